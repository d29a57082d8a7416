"""The power of the swap test: how often it tells R_f from D_f on planted tables of nets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from compare.contrasts.strata import Block
from compare.contrasts.swap_test import all_swaps, swap_probability
from compare.curves.numbers import Summarised
from theory.common.errors import InputError, require_integer, require_real
from theory.common.estimate import Estimate

__all__ = ["SwapPower", "planted_block", "swap_power"]

#: The part of a net's deviation from the mean that it keeps along P.
_KEPT = 0.8


@dataclass(frozen=True, slots=True)
class SwapPower(Summarised):
    """What part of planted tables the test tells apart, see `swap_power`.

    Attributes
    ----------
    nets, strata : of each table
    r, d : planted correlations of log eps_t with log R_f and with log D_f
    shared : part of the noise of R_f and of D_f that is common to both
    level : p-value below which the two are told apart
    right : part of the tables in which the measure with the larger planted |correlation| is found the better one, with
        Clopper and Pearson's interval; its n is the number of tables
    wrong : part in which the other one is
    """

    nets: int
    strata: int
    r: float
    d: float
    shared: float
    level: float
    right: Estimate
    wrong: Estimate
    _told = ("nets", "strata", "r", "d", "shared", "level", "right", "wrong")


def planted_block(
    rng: np.random.Generator, nets: int, strata: int, r: float, d: float, shared: float = 0.0
) -> Block:
    """A table of nets whose log R_f and log D_f have the correlations r and d with log eps_t.

    Standard normal logarithms, of which each net keeps the part 0.8 (of the variance) along P; `shared` is the part of
    R_f's and D_f's own noise that is common to both.
    """

    def noise() -> np.ndarray:
        kept = np.sqrt(_KEPT) * rng.normal(size=(1, nets))
        return kept + np.sqrt(1 - _KEPT) * rng.normal(size=(strata, nets))

    error, both = noise(), noise()
    made = [c * error + np.sqrt(1 - c**2) * (np.sqrt(shared) * both + np.sqrt(1 - shared) * noise()) for c in (r, d)]
    logs = {"test_error": error, "relative_stability": made[0], "diffeo_stability": 3 * made[1] + 1}
    return Block("planted", tuple(range(1, strata + 1)), tuple(f"net{i}" for i in range(nets)), logs)


def swap_power(
    nets: int,
    strata: int,
    r: float,
    d: float,
    *,
    shared: float = 0.0,
    level: float = 0.05,
    tables: int = 400,
    rng: np.random.Generator | None = None,
) -> SwapPower:
    """How often `swap_test` tells R_f from D_f at `level`, in planted tables.

    Parameters
    ----------
    nets, strata : of each table, three nets or more
    r, d : planted correlations, between -1 and 1
    shared : part of R_f's and D_f's own noise that is common to both, between 0 and 1
    level : of the test
    tables : how many are drawn
    rng : draws them; `numpy.random.default_rng(0)` if None

    Raises
    ------
    InputError
        If a number is out of its range.

    Example
    -------
    >>> from compare import swap_power
    >>> found = swap_power(7, 2, 0.95, 0.0, tables=50)
    >>> found.right.n, found.right.value > found.wrong.value
    (50, True)
    >>> found = swap_power(9, 1, 0.95, 0.0, tables=50)
    >>> found.nets, found.level, found.wrong.value
    (9, 0.05, 0.0)
    """
    nets, strata = require_integer("nets", nets, 3), require_integer("strata", strata, 1)
    tables = require_integer("tables", tables, 1)
    for name, value in (("r", r), ("d", d)):
        require_real(name, value, minimum=-1, maximum=1)
    shared = require_real("shared", shared, minimum=0, maximum=1)
    level = require_real("level", level, above=0, maximum=1)
    if abs(r) == abs(d):
        raise InputError("d", d, f"must differ from r = {r:g} in size: there is nothing to tell apart")
    rng = rng or np.random.default_rng(0)
    swaps = all_swaps(nets, rng)
    counts = {"right": 0, "wrong": 0}
    for _ in range(tables):
        part = planted_block(rng, nets, strata, r, d, shared)
        probability, difference = swap_probability([part], "relative_stability", "diffeo_stability", swaps)
        if probability < level:
            counts["right" if (difference > 0) == (abs(r) > abs(d)) else "wrong"] += 1
    right, wrong = (_part(counts[name], tables) for name in ("right", "wrong"))
    return SwapPower(nets, strata, r, d, shared, level, right, wrong)


def _part(count: int, of: int) -> Estimate:
    interval = stats.binomtest(count, of).proportion_ci(0.95)
    return Estimate(count / of, float(interval.low), float(interval.high), of)
