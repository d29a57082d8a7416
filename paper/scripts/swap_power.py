"""The power of the test of R_f against D_f on planted tables of seven and of twelve nets.

    python -m paper.scripts.swap_power    # prints it and writes paper/data/exponents/swap_power.csv; two minutes
"""

from __future__ import annotations

import pandas as pd

from compare import swap_power
from compare.curves.numbers import format_interval
from paper.numbers.image_table import DATA
from theory import Estimate
from theory.common.files import write_whole
from theory.common.terminal import Terminal

TARGET = DATA / "exponents" / "swap_power.csv"
#: Nets and strata: seven nets at five P (as `image_curves.csv`), seven and twelve at one P, twelve on two data sets.
TABLES = ((7, 5), (7, 1), (12, 1), (12, 2))
#: Planted correlations of log eps_t with log R_f and with log D_f. The paper's claim is the first.
EFFECTS = ((0.95, 0.0), (0.95, 0.5), (0.95, -0.7), (0.95, 0.8), (0.8, 0.0))
#: Tables planted for each.
COUNT = 400
HEADS = ("nets", "P", "r with R_f", "r with D_f", "told apart")


def row(nets: int, strata: int, r: float, d: float) -> dict[str, float]:
    """One row of the table; each has a generator of its own, so that it can be computed by itself."""
    found = swap_power(nets, strata, r, d, tables=COUNT)
    right = found.right
    planted = {"nets": nets, "strata": strata, "r": r, "d": d, "level": found.level, "tables": right.n}
    return {**planted, "right": right.value, "right_low": right.low, "right_high": right.high,
            "wrong": found.wrong.value}  # fmt: skip


def power_table() -> pd.DataFrame:
    return pd.read_csv(TARGET, comment="#")


def cells(table: pd.DataFrame) -> list[list[str]]:
    """Rows of the printed table: how often the right one of the two is found, with its interval."""
    return [
        [f"{one.nets:.0f}", f"{one.strata:.0f}", f"{one.r:g}", f"{one.d:g}",
         format_interval(Estimate(one.right, one.right_low, one.right_high, int(one.tables)))]
        for one in table.itertuples()
    ]  # fmt: skip


def main() -> None:
    terminal = Terminal()
    table = pd.DataFrame([row(*size, *effect) for size in TABLES for effect in EFFECTS])
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(TARGET, lambda aside: aside.write_text("# python -m paper.scripts.swap_power\n" + text))
    terminal.table(f"planted tables ({COUNT} each) in which R_f and D_f are told apart at 0.05", HEADS, cells(table))
    terminal.line(f"wrong one found: in {100 * table['wrong'].max():.2g} % at most")


if __name__ == "__main__":
    main()
