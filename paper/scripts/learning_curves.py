"""Learning curves of the stripe in both limits: exponents of the test error, and of R_f, beside the scaling argument.

`make figures` runs it. It reads `paper/data/learning_*.csv` (each file's first line is its command), and writes
`paper/data/exponents/learning_curves.csv` and `paper/figures/learning-curves.png`. The scaling argument of
arXiv 2007.11471 gives eps ~ P^-beta with beta = d / (3 d - 2) in the lazy and (2 d - 1) / (3 d - 2) in the feature
regime.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compare import fit_power_law
from paper.scripts.stripe_flow import DATA, FIGURES, HERE, draw
from theory import Estimate, read_table
from theory.common.files import write_whole
from theory.common.terminal import Terminal

#: Fits begin at these P: the curves bend at first.
FROM = (128, 512)
_NAMES = {"lazy": "lazy limit", "feature": "alpha = 1e-6"}


def expected(regime: str, dim: int) -> float:
    """beta by the scaling argument."""
    return (dim if regime == "lazy" else 2 * dim - 1) / (3 * dim - 2)


def tables() -> pd.DataFrame:
    """All learning curves, with d and the regime as columns."""
    table = pd.concat([read_table(path) for path in sorted(DATA.glob("learning_*_d*.csv"))], ignore_index=True)
    table["dim"] = table["task"].str.extract(r"stripe-d(\d+)", expand=False).astype(int)
    table["regime"] = np.where(table["variant"] == "alpha=inf", "lazy", "feature")
    return table


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """beta = -(exponent of the test error), and that of R_f, 95 % over seeds."""
    rows = []
    for (regime, dim, stage), part in table.groupby(["regime", "dim", "stage"]):
        if stage not in ("q=0.1", "q=0.01"):
            continue
        for least in FROM:
            kept = part[part["train_size"] >= least].drop(columns=["dim", "regime"])
            row = {"regime": regime, "dim": dim, "stage": stage, "least_train_size": least,
                   "largest_train_size": int(kept["train_size"].max()), "expected": expected(regime, dim)}  # fmt: skip
            for name in ("test_error", "relative_stability"):
                fit = fit_power_law(kept, y=name)
                row |= {"seeds": fit.n_seeds, name: -fit.exponent.value, f"{name}_low": -fit.exponent.high,
                        f"{name}_high": -fit.exponent.low, f"{name}_bent": fit.bent}  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows)


def _shown(row: pd.Series, name: str) -> str:
    estimate = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return repr(estimate).split(" (n=")[0] + (" *" if row[f"{name}_bent"] else "")


def readme_rows(found: pd.DataFrame) -> list[str]:
    """The table of `theory/prediction/README.md`: the end of the trajectories, q = 0.01."""
    lines = []
    for _, row in found[found["stage"] == "q=0.01"].iterrows():
        sizes = f"{row['least_train_size']} to {row['largest_train_size']}"
        cells = (_NAMES[row["regime"]], str(row["dim"]), sizes, _shown(row, "test_error"), f"{row['expected']:.3f}",
                 _shown(row, "relative_stability"))  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def figure(table: pd.DataFrame) -> Figure:
    """Test error and R_f at q = 0.01 against P, for both limits and dimensions."""
    result = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = result.subplots(1, 2)
    last = table[table["stage"] == "q=0.01"]
    for ax, y, title in zip(
        axes, ("test_error", "relative_stability"), ("test error", "relative stability $R_f$"), strict=True
    ):
        parts = [(f"{_NAMES[regime]}, d = {dim}", part) for (regime, dim), part in last.groupby(["regime", "dim"])]
        draw(ax, parts, y)
        ax.set_xticks([128, 512, 2048], ["128", "512", "2048"])
        ax.set(xlabel="training points P", ylabel=title)
    sizes = np.array([128.0, 4096.0])
    for (regime, dim), part in last.groupby(["regime", "dim"]):
        beta = expected(regime, dim)
        level = np.mean(np.log(part["test_error"].to_numpy()) + beta * np.log(part["train_size"].to_numpy(float)))
        axes[0].plot(sizes, math.exp(float(level)) * sizes**-beta, ":", color="#666666")
    axes[0].legend(fontsize="x-small", title="dotted: slopes of the scaling argument", title_fontsize="x-small")
    seeds = last["seed"].nunique()
    result.suptitle(f"stripe, softplus hinge, q = 0.01: geometric means, 95 % over {seeds} seeds", fontsize="medium")
    return result


def main() -> None:
    table = tables()
    found = exponents(table)
    target = DATA / "exponents" / "learning_curves.csv"
    text = found.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.learning_curves\n" + text))
    terminal = Terminal()
    terminal.table(
        "exponents beta of the test error and of R_f, 95 % over seeds; *: bent, no power law",
        ["regime", "d", "q", "P", "beta", "scaling argument", "R_f"],
        [
            [row["regime"], str(row["dim"]), row["stage"][2:],
             f"{row['least_train_size']}..{row['largest_train_size']}", _shown(row, "test_error"),
             f"{row['expected']:.3f}", _shown(row, "relative_stability")]
            for _, row in found.iterrows()
        ],
    )  # fmt: skip
    path = FIGURES / "learning-curves.png"
    drawn = figure(table)
    write_whole(path, lambda aside: drawn.savefig(aside, dpi=150, metadata={"Software": None}))
    terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
