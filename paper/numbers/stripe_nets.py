"""Numbers of nets trained on the stripe by SGD and Adam, of one to three layers, beside the flow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from compare import fit_power_law, measured_over_theory
from paper.figures.stripe import TRAINED_STAGE, net_label, nets_table, predicted_stability
from paper.numbers.formats import full, names, plain, short
from paper.numbers.image_table import DATA
from theory import Estimate, InputError, read_table
from theory.common.estimate import geometric_mean

#: P below which R_f of all these nets is near 1.
FROM = 256


def numbers() -> dict[str, str]:
    table = nets_table()
    # At the nets' own alpha, from the same points and neurons.
    flow = read_table(DATA / "stripe_alpha1e-2.csv")
    flow = flow[(flow["stage"] == TRAINED_STAGE) & flow["seed"].isin(table["seed"])]
    found = {
        "nets.seeds": str(table["seed"].nunique()), "nets.smallest": str(table["train_size"].min()),
        "nets.largest": str(table["train_size"].max()), "nets.from": str(FROM),
        "nets.stage": TRAINED_STAGE.removeprefix("q="),
    }  # fmt: skip
    slopes, ratios, large = [], [], []
    for (architecture, variant), rows in table.groupby(["architecture", "variant"], sort=False):
        label = net_label(architecture, variant)
        slopes.append(f"{short(_exponent(rows))} ({label})")
        ratio = measured_over_theory(rows, flow) if "one-hidden" in str(architecture) else None
        if ratio is not None:
            sizes = ", ".join(map(str, ratio.train_sizes))
            ratios.append(f"{full(ratio.estimate)} for {label} ($P$ = {sizes})")
            if rows["train_size"].max() == table["train_size"].max():
                large.append(f"{short(_over_prediction(rows))} ({label})")
    if not ratios:
        raise InputError("stripe_nets.csv", "one-hidden", "has no P in common with the flow; the text needs them")
    return found | {"nets.exponents": names(slopes), "nets.ratios": names(ratios), "nets.large": names(large),
        "nets.flow": full(_exponent(flow)), "nets.flow.largest": str(flow["train_size"].max()),
        "nets.series": plain(len(slopes)), "nets.sgd": _shorter_steps(table),
    }  # fmt: skip


def _over_prediction(rows: pd.DataFrame) -> Estimate:
    """R_f at the largest P over that predicted at the nets' own alpha."""
    size = rows["train_size"].max()
    predicted = predicted_stability(TRAINED_STAGE, np.array([float(size)]), "prediction_alpha1e-2.csv")
    return geometric_mean(rows.loc[rows["train_size"] == size, "relative_stability"].to_numpy() / predicted)


def _shorter_steps(table: pd.DataFrame) -> str:
    """What SGD's R_f at the largest P owes to the length of the steps: the same nets with steps a fifth as long."""
    short_steps = read_table(DATA / "stripe_nets_short_steps.csv")
    short_steps = short_steps[short_steps["stage"] == TRAINED_STAGE]
    size = int(short_steps["train_size"].max())
    keys = ["architecture", "variant", "seed", "train_size"]
    both = table.merge(short_steps, on=keys, suffixes=("", "_short"))
    both = both[both["train_size"] == size]
    if both.empty:
        raise InputError("stripe_nets_short_steps.csv", size, "is no P of stripe_nets.csv; the text compares them")
    usual, fifth = (geometric_mean(both[f"relative_stability{end}"].to_numpy()) for end in ("", "_short"))
    ratio = geometric_mean((both["relative_stability_short"] / both["relative_stability"]).to_numpy())
    word = "makes no significant difference"
    if ratio.high < 1:
        word = "holds it up"
    elif ratio.low > 1:
        word = "holds it down"
    return (
        f"two layers have $R_f$ = {short(usual)} at $P$ = {size}, and {short(fifth)} with steps a fifth as long, "
        f"{full(ratio)} times as much: the steps' length {word}"
    )


def _exponent(rows: pd.DataFrame) -> Estimate:
    """Over the P at which R_f has left its saturation."""
    return fit_power_law(rows[rows["train_size"] >= FROM]).exponent
