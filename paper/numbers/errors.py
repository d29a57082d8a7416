"""What goes with the test error: the law eps_t = a R_f^b, and correlations across nets with their tests."""

from __future__ import annotations

import math

import pandas as pd

from compare import Correlations, correlations, fit_error_law
from compare.contrasts.strata import EVERYWHERE, LEVEL
from compare.contrasts.swap_test import SwapTest, swap_tests
from paper.numbers.formats import full, short
from paper.numbers.image_table import TASKS, image_table
from theory import InputError

_SYMBOLS = {"relative_stability": "R_f", "diffeo_stability": "D_f"}
_NAMES = {**TASKS, EVERYWHERE: "both data sets together"}


def numbers() -> dict[str, str]:
    table = image_table()
    trained = table[table["stage"] == "trained"]
    found = {}
    for task in TASKS:
        law = fit_error_law(trained[trained["task"] == task])
        if law.unit != "series" or not math.isfinite(law.exponent.error):
            raise InputError("image_curves.csv", task, "has fewer than three nets; the text needs more")
        found[f"{task}.law.exponent"], found[f"{task}.law.amplitude"] = full(law.exponent), short(law.amplitude)
    every, tests = correlations(trained), swap_tests(trained)
    for where in (*TASKS, EVERYWHERE):
        found[f"correlations.{where}"] = correlation_sentence(every, tests, where)
    return found | {"correlations.level": f"{LEVEL:g}", "correlations.nets": _nets(trained)}


def _nets(trained: pd.DataFrame) -> str:
    return str(trained["architecture"].nunique())


def correlation_sentence(found: Correlations, tests: list[SwapTest], where: str) -> str:
    """Pooled correlations of log eps_t with log R_f and log D_f, and which of the two tracks it better."""
    clauses = []
    for x, symbol in _SYMBOLS.items():
        rows = found.pick("pooled", x, where)
        if not rows:
            raise InputError("image_curves.csv", where, "has no P at which three nets or more stand; the text needs it")
        (row,) = rows
        word = "is correlated" if row.p_pearson < LEVEL else "is not significantly correlated"
        numbers = f"r = {short(row.pearson)}, p = {row.p_pearson:.2g}, ranks {_two_digits(row.spearman.value)}"
        clauses.append(f"${symbol}$ {word} with $epsilon_t$ ({numbers})")
    pairs = [test for test in tests if (test.right, test.where) == ("diffeo_stability", where)]
    if not pairs:
        raise InputError("image_curves.csv", where, "allows no test of R_f against D_f; the text needs it")
    (test,) = pairs
    if test.p_value >= LEVEL:
        which = "the data do not tell which of the two tracks it better"
    else:
        which = f"${'R_f' if test.difference.value > 0 else 'D_f'}$ tracks it better"
    sizes = f"n = {test.nets} nets at {test.strata} P"
    return f"on {_NAMES[where]} {' and '.join(clauses)}; {which} (p = {test.p_value:.2g}, {sizes})"


def _two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")
