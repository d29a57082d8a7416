"""Numbers of the theory's part: closed forms, exponents, prediction and flow, where they part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from compare import fit_power_law
from paper.figures.stripe import STAGES, flow_table, predicted_prefactor, predicted_table
from paper.numbers.formats import full, plain, short, span
from paper.numbers.image_table import DATA
from paper.scripts.learning_curves import exponents as learning_exponents
from paper.scripts.learning_curves import tables as learning_tables
from theory import Estimate, Stripe, fixed_points, read_table
from theory.common.estimate import geometric_mean

#: From here on R_f of the flow falls as a power: it saturates below.
FROM = 1024
_KEYS = ["train_size", "seed", "stage"]


def fit_from(table: pd.DataFrame, stage: str, y: str = "relative_stability") -> Estimate:
    """The exponent of one stage over P >= `FROM`."""
    rows = table[(table["stage"] == stage) & (table["train_size"] >= FROM)]
    return fit_power_law(rows, y=y).exponent


def ratio(flow: pd.DataFrame, predicted: pd.DataFrame, stage: str, size: int) -> Estimate:
    """Flow over prediction of the same seeds, geometric mean."""
    both = flow.merge(predicted, on=_KEYS, suffixes=("", "_predicted"))
    both = both[(both["stage"] == stage) & (both["train_size"] == size)]
    return geometric_mean((both["relative_stability"] / both["relative_stability_predicted"]).to_numpy())


def numbers() -> dict[str, str]:
    flow, predicted = flow_table(), predicted_table()
    dim = Stripe().dim
    fastest = fixed_points(Stripe())[0]
    shared = sorted(set(flow["train_size"]) & set(predicted["train_size"]))
    largest, smallest = int(shared[-1]), int(shared[0])
    found = {
        "theory.seeds": str(flow["seed"].nunique()),
        "theory.sizes": f"{smallest} to {largest}",
        "theory.from": str(FROM), "theory.largest": str(largest), "theory.smallest": str(smallest),
        "theory.closed.kink": plain(fastest.kink), "theory.closed.rate": plain(fastest.rate),
        "theory.closed.prefactor": plain(dim / (dim - 1) * fastest.spread),
    }  # fmt: skip
    for stage in STAGES:
        rows = flow[(flow["stage"] == stage) & (flow["train_size"] == largest)]
        values = geometric_mean(rows["train_size"].to_numpy(float) * rows["relative_stability"].to_numpy())
        found |= {
            f"theory.{stage}.exponent": short(fit_from(flow, stage)),
            f"theory.{stage}.compression": short(fit_from(flow, stage, "compression")),
            f"theory.{stage}.predicted": plain(predicted_prefactor(stage).value),
            f"theory.{stage}.flow": short(values),
            f"theory.{stage}.ratio": short(ratio(flow, predicted, stage, largest)),
        }
    exponents = [fit_from(flow, stage) for stage in STAGES]
    covered = sum(e.low <= -1 <= e.high for e in exponents)
    found["theory.exponents.covered"] = f"{covered} of the {len(exponents)}"
    found["theory.q=0.3.exponent.full"] = full(fit_from(flow, "q=0.3"))
    small = [ratio(flow, predicted, stage, smallest) for stage in STAGES]
    found["theory.small.ratio"] = span([e.value for e in small])
    found |= _alphas() | _convergence() | _learning()
    return found


def _alphas() -> dict[str, str]:
    """Flow over prediction at larger alpha, and how R_f falls with P there."""
    found = {}
    for name, label in (("alpha1", "alpha=1"), ("alpha100", "alpha=100")):
        flow, predicted = read_table(DATA / f"stripe_{name}.csv"), read_table(DATA / f"prediction_{name}.csv")
        size = int(flow["train_size"].max())
        found[f"theory.{label}.ratio"] = span([ratio(flow, predicted, stage, size).value for stage in STAGES])
        found[f"theory.{label}.size"], found[f"theory.{label}.seeds"] = str(size), str(flow["seed"].nunique())
        last = flow[flow["train_size"] == size]
        found[f"theory.{label}.compression"] = span(
            [geometric_mean(last.loc[last["stage"] == stage, "compression"].to_numpy()).value for stage in STAGES]
        )
    return found


def _convergence() -> dict[str, str]:
    """The largest change of P R_f over q from 140 cells to 560."""
    table = pd.read_csv(DATA / "prediction_convergence.csv", comment="#")
    cells = table[table["parameter"] == "cells"].pivot_table(index="q", columns="value", values="prefactor")
    return {"theory.cells.change": f"{100 * float(np.abs(cells[140] / cells[560] - 1).max()):.1f}\u00a0%"}


def _learning() -> dict[str, str]:
    """beta of the test error at q = 0.01, d = 5, from P = 512 on, beside the scaling argument."""
    rows = learning_exponents(learning_tables())
    rows = rows[(rows["stage"] == "q=0.01") & (rows["dim"] == 5) & (rows["least_train_size"] == 512)]
    found = {}
    for _, row in rows.iterrows():
        estimate = Estimate(row["test_error"], row["test_error_low"], row["test_error_high"], int(row["seeds"]))
        found[f"theory.learning.{row['regime']}"] = full(estimate)
        found[f"theory.learning.{row['regime']}.expected"] = plain(row["expected"])
    return found
