"""Which of two measures tracks the test error better: the test of two correlations that share a variable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compare.contrasts.correlation import Method, pooled_correlation, standardised, unit
from compare.contrasts.strata import EVERYWHERE, MEASURES, Block, blocks, common, net_table, without_twins
from compare.curves.numbers import SYMBOLS, format_estimate, json_ready
from compare.fits.jackknife import jackknife_interval
from theory.common.estimate import Estimate

__all__ = ["SwapTest", "all_swaps", "swap_probability", "swap_test", "swap_tests"]

#: Nets up to which all swaps (2^12) are enumerated; beyond, draws by a generator.
_SWAPS, _DRAWS = 12, 9999
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class SwapTest:
    r"""Does `left` track the test error better than `right` does? |r_left| - |r_right|, tested; see `swap_tests`.

    r is the mean, over strata (data set and P), of the correlation across nets of log eps_t with log `left`. The
    null is that, net by net, the two standardised logarithms may be swapped, once `right` has the sign that makes
    r_left and r_right one sign: |r| does not change by that, and a swap of measures that go with the error in opposite
    ways would mix rise and fall. Each swap of whole nets, in all strata together (the P of one net are not
    independent), gives one value of the studentised difference, and `p_value` is the two-sided part of them that
    is as large; `p_ranks` the same of ranks. `smallest_p` is what so few nets can reach, 2 / 2^n. `difference` has
    the jackknife's interval over nets.

    The difference is that of Fisher's z over its standard error where both correlations are r and that between the two
    measures is k (Dunn and Clark 1969, Steiger 1980), but for a factor that all swaps share:

    .. math::

        \frac{(|z_{\text{left}}| - |z_{\text{right}}|) \, (1 - r^2)}{\sqrt{(1 - k) (2 - r^2 (3 - k))}}, \qquad
        r = \frac{|r_{\text{left}}| + |r_{\text{right}}|}{2}

    Swaps change r and k, and so the spread of a bare difference, which rejects too often. The test is approximate all
    the same: columns are standardised, and the sign found, from the data. At a nominal 5 % it rejects in 1 to 5 % of
    planted tables without a difference (normal noise, seven nets at 1, 5 or 16 strata, |r| of 0 to 0.98, signs
    alike or opposite), in up to 6 % with heavy tails (Student's t of 3 degrees); |r_left| - |r_right| alone in up
    to 10 and 13 %.

    Attributes
    ----------
    where : the data set, or ``all data sets``
    left, right : columns of the two measures
    r_left, r_right : their pooled correlations with log eps_t
    difference : abs(r_left) - abs(r_right), with the jackknife's interval over nets
    p_value, p_ranks : two-sided, of the values and of their ranks
    smallest_p : what so few nets can reach
    nets, strata : of the table
    """

    where: str
    left: str
    right: str
    r_left: float
    r_right: float
    difference: Estimate
    p_value: float
    p_ranks: float
    smallest_p: float
    nets: int
    strata: int

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        names = ("where", "left", "right", "r_left", "r_right", "difference", "p_value", "p_ranks", "smallest_p")
        return {**json_ready(self, *names, "nets", "strata"), "verdict": self.verdict()}

    def verdict(self, level: float = 0.05) -> str:
        """In words: which of the two tracks the error better, or that the data cannot tell.

        Parameters
        ----------
        level : p-value from which on they cannot
        """
        left, right = SYMBOLS[self.left], SYMBOLS[self.right]
        numbers = f"difference {format_estimate(self.difference, sign=True)}, p = {self.p_value:.2g}"
        if self.p_value >= level:
            reason = "" if self.smallest_p < level else f": {self.nets} nets are too few for p < {level:g}"
            return f"the data do not tell whether {left} or {right} tracks the test error better{reason} ({numbers})"
        winner, loser = (left, right) if self.difference.value > 0 else (right, left)
        return f"{winner} tracks the test error better than {loser} ({numbers})"


def swap_tests(table: pd.DataFrame, confidence: float = 0.95, rng: np.random.Generator | None = None) -> list[SwapTest]:
    """R_f against D_f and against G_f on each data set of a valid curve table, and on all with the nets they share.

    Parameters
    ----------
    table : a valid curve table; its trained rows count whose test error and R_f are above 0
    confidence : of the intervals, between 0 and 1
    rng : draws swaps of more than twelve nets, `numpy.random.default_rng(0)` if None; below, all are enumerated

    Example
    -------
    >>> from compare import swap_tests
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "stage": "trained", "train_size": 1024, "seed": 0}
    >>> table = curve_table(
    ...     {**net, "architecture": f"net{i}", "relative_stability": 0.5**i, "test_error": 0.2 * 0.7**i,
    ...      "diffeo_stability": 0.01 * (3 + i * i % 5)}
    ...     for i in range(8)
    ... )
    >>> test = swap_tests(table)[0]
    >>> print(test.verdict().partition(" (")[0])
    R_f tracks the test error better than D_f
    >>> test.right, test.nets, test.difference.value > 0
    ('diffeo_stability', 8, True)
    """
    rng = rng or np.random.default_rng(0)
    nets, _ = without_twins(net_table(table))
    tests: list[SwapTest] = []
    for right in MEASURES[1:]:
        both = blocks(nets, ("test_error", MEASURES[0], right))
        tests += [swap_test([part], MEASURES[0], right, part.setting, confidence, rng) for part in both]
        if len(both) > 1 and (shared := common(both)):
            tests.append(swap_test(shared, MEASURES[0], right, EVERYWHERE, confidence, rng))
    return tests


def swap_test(
    parts: Sequence[Block], left: str, right: str, where: str, confidence: float, rng: np.random.Generator
) -> SwapTest:
    """The test of `SwapTest` on blocks of the same nets.

    All 2^n swaps are enumerated up to twelve nets; beyond, the identity and 9999 random ones.
    """
    names = parts[0].nets
    n = len(names)
    swaps = all_swaps(n, rng)
    r_left, r_right = pooled_correlation(parts, left), pooled_correlation(parts, right)
    without = [
        abs(pooled_correlation(rest, left)) - abs(pooled_correlation(rest, right))
        for rest in ([part.without(net) for part in parts] for net in names)
        if n > 3
    ]
    value = abs(r_left) - abs(r_right)
    difference = Estimate(value, n=n, confidence=confidence)
    if without:
        difference = jackknife_interval(value, np.array(without), confidence)
    return SwapTest(
        where=where,
        left=left,
        right=right,
        r_left=r_left,
        r_right=r_right,
        difference=difference,
        p_value=swap_probability(parts, left, right, swaps, "pearson")[0],
        p_ranks=swap_probability(parts, left, right, swaps, "spearman")[0],
        smallest_p=2 / len(swaps),
        nets=n,
        strata=sum(len(part.train_sizes) for part in parts),
    )


def all_swaps(nets: int, rng: np.random.Generator) -> np.ndarray:
    """Which nets are swapped, shape (swaps, nets), nobody first: all of them, or `rng`'s draws beyond twelve nets."""
    if nets <= _SWAPS:
        return np.array(list(itertools.product((False, True), repeat=nets)))
    return np.vstack([np.zeros((1, nets), dtype=bool), rng.random((_DRAWS, nets)) < 0.5])


def swap_probability(
    parts: Sequence[Block], left: str, right: str, swaps: np.ndarray, method: Method = "pearson"
) -> tuple[float, float]:
    """Two-sided part of the studentised differences, over all swaps, that are as large as the data's; and the data's.

    Above 0 where `left` tracks the error better.
    """
    opposite = pooled_correlation(parts, left, method) * pooled_correlation(parts, right, method) < 0
    sums, strata = np.zeros((3, len(swaps))), 0
    for part in parts:
        own = swaps[:, None, :]
        error, a, b = (standardised(part, name, method) for name in ("test_error", left, right))
        b = -b if opposite else b
        x, y = (unit(values) for values in (np.where(own, b, a), np.where(own, a, b)))
        for i, product in enumerate((error * x, error * y, x * y)):
            sums[i] += product.sum(axis=(1, 2))
        strata += len(part.train_sizes)
    differences = _studentised(*(sums / strata))
    observed = float(differences[0])
    return float(np.mean(np.abs(differences) >= abs(observed) - _TIE)), observed


def _studentised(r_left: np.ndarray, r_right: np.ndarray, between: np.ndarray) -> np.ndarray:
    """The statistic of `SwapTest` from the pooled correlations; 0 where the two measures are one."""
    # Measures that go with the error in opposite ways: |r| of both is that of one of them turned round.
    k = np.where(r_left * r_right < 0, -between, between)
    left, right = (np.minimum(np.abs(r), 1 - 1e-12) for r in (r_left, r_right))
    r = (left + right) / 2
    # At least (1 - k)^2 / 2: the correlations, means over strata, are those of some three variables.
    variance = np.maximum((1 - k) * (2 - r**2 * (3 - k)), 1e-12)
    return (np.arctanh(left) - np.arctanh(right)) * (1 - r**2) / np.sqrt(variance)
