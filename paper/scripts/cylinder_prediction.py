"""The cylinder's mean prediction beside the flow: ratios of R_f for two and three directions, and two alpha.

    python -m paper.scripts.cylinder_prediction    # and theory/prediction/README.md between the marks

It predicts with 256 Sobol neurons, some minutes on one core, writes `paper/data/cylinder_prediction.csv`, and holds
that against the flows of `paper/data/cylinder_*.csv`.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from paper.marked_text import put_between
from paper.scripts.stripe_flow import DATA, HERE, STAGES
from theory import Cylinder, FlowConfig, curve_table, predict, read_table, write_table
from theory.common.terminal import Terminal
from theory.prediction.fixed_points import fixed_points

__all__ = ["TARGET", "ratio_rows", "ratios"]

TARGET = DATA / "cylinder_prediction.csv"
_MARKS = "<!-- cylinder -->", "<!-- end of the cylinder -->"
_TASKS = tuple(Cylinder(dim, directions) for dim in (10, 30) for directions in (2, 3))
_SCALES, _SIZES = (1e-6, 1e-2), (2048, 8192)


def predicted() -> pd.DataFrame:
    """The curve table of the predictions."""
    rows = []
    for task in _TASKS:
        for scale in _SCALES:
            config = FlowConfig(width=256, scale=scale, unfit_fractions=(0.9, 0.7, 0.5, 0.3, 0.1))
            with warnings.catch_warnings():
                # That P is small for (18): the table has the size of it.
                warnings.filterwarnings("ignore", "prediction to leading order")
                rows += predict(task, config, _SIZES, sobol=True).rows()
    return curve_table(rows)


def ratios(prediction: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean of flow / prediction of R_f over seeds with its standard error, for each task, alpha, P and q."""
    flows = pd.concat([read_table(path) for path in sorted(DATA.glob("cylinder_*.csv")) if path != TARGET])
    flows = flows[flows["source"] == "theory"]
    keys = ["task", "variant", "train_size", "stage"]
    both = flows.merge(prediction[[*keys, "relative_stability"]], on=keys, suffixes=("", "_predicted"))
    both["log"] = np.log(both["relative_stability"] / both["relative_stability_predicted"])
    found = both.groupby(keys)["log"].agg(["mean", "std", "count"]).reset_index()
    ratio = np.exp(found["mean"])
    return found.assign(ratio=ratio, error=ratio * found["std"] / np.sqrt(found["count"]))


def ratio_rows(found: pd.DataFrame) -> Iterator[str]:
    """A row for each task, alpha and P, with the size of (18)."""
    for task in _TASKS:
        fastest = fixed_points(task)[0]
        for scale in _SCALES:
            needed = (fastest.noise * math.log(1 / scale) / (2 * fastest.rate)) ** 2
            variant = FlowConfig(scale=scale).variant
            own = found[(found["task"] == task.name) & (found["variant"] == variant)]
            for size, part in own.groupby("train_size"):
                by_stage = part.set_index("stage")
                cells = [f"{by_stage.loc[q, 'ratio']:.2f} ± {by_stage.loc[q, 'error']:.2f}" for q in STAGES]
                count = f"{part['count'].min()}"
                yield f"| {task.name} | {scale:g} | {size} | {needed / size:.2f} | {count} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="The cylinder's mean prediction; see the docstring.")
    parser.add_argument("--table", action="store_true", help="take the predictions that are there")
    options = parser.parse_args()
    if not options.table:
        write_table(predicted(), TARGET, "python -m paper.scripts.cylinder_prediction")
    found = ratios(read_table(TARGET))
    text = "\n".join([
        _MARKS[0],
        "Flow over mean prediction of R_f, geometric mean over seeds with one standard error (`python -m",
        "paper.scripts.cylinder_prediction`; flows of h = 300):",
        "",
        f"| task | alpha | P | (sigma t*)^2 / P | seeds | {' | '.join(STAGES)} |",
        "|" + "---|" * 10,
        *ratio_rows(found),
        _MARKS[1],
    ])  # fmt: skip
    put_between(HERE.parent / "theory" / "prediction" / "README.md", _MARKS, text)
    terminal = Terminal()
    terminal.table("flow / prediction", ["task", "alpha", "P", "(18)", "n", *STAGES],
                   [[cell.strip() for cell in row.strip("|").split("|")] for row in ratio_rows(found)])  # fmt: skip


if __name__ == "__main__":
    main()
