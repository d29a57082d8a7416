"""Intervals of a law's parameters: by profile likelihood, over seeds by the jackknife, over seeds by the bootstrap."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from theory.common.estimate import Estimate

__all__ = ["bootstrap_interval", "jackknife_interval", "profile_interval", "resamples"]

#: Up to this many different resamples of the seeds are enumerated, which needs no random numbers.
_ENUMERATED = 500


def profile_interval(
    misfit: Callable[[float], float],
    best: float,
    step: float,
    threshold: float,
    bounds: tuple[float, float],
    edges: tuple[float, float],
) -> tuple[float, float]:
    """The two values, around `best`, at which the misfit with all other parameters refitted meets `threshold`.

    A side that reaches its bound below the threshold gets the edge instead, infinite as a rule.
    """
    known: dict[float, float] = {}

    def above(value: float) -> float:
        """Misfit over the threshold, found once for each value: refits from elsewhere may end a little elsewhere."""
        if value not in known:
            known[value] = misfit(value) - threshold
        return known[value]

    known[best] = min(above(best), -1e-12 * abs(threshold))
    ends = []
    for direction, bound, edge in ((-1, bounds[0], edges[0]), (1, bounds[1], edges[1])):
        inner, reach = best, step
        while True:
            outer = best + direction * reach
            at_bound = outer <= bound if direction < 0 else outer >= bound
            outer = bound if at_bound else outer
            if above(outer) > 0:
                ends.append(float(brentq(above, inner, outer, xtol=1e-3 * step, rtol=1e-6)))
                break
            if at_bound or not math.isfinite(outer) or reach > 1e6 * step:
                ends.append(edge)
                break
            inner, reach = outer, 2 * reach
    return ends[0], ends[1]


def jackknife_interval(whole: float, without: np.ndarray, confidence: float) -> Estimate:
    """Student's t interval about `whole` from the values found `without` each of S >= 2 seeds.

    The pseudo-values S whole - (S - 1) without_s are treated as S independent values. For parameters that are
    linear in the data, and with no run missing, they are the fits of the single seeds: Student's t over these.
    """
    count = without.size
    pseudo = count * whole - (count - 1) * without
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * pseudo.std(ddof=1) / math.sqrt(count))
    return Estimate(whole, whole - half, whole + half, count, confidence)


def resamples(count: int, draws: int, rng: np.random.Generator) -> list[tuple[tuple[int, ...], float]]:
    """Resamples of `count` seeds, with repetition, each with its probability.

    All of them where they are no more than 500 (six seeds have 462), else `draws` at random.
    """
    if math.comb(2 * count - 1, count) <= _ENUMERATED:
        every = itertools.combinations_with_replacement(range(count), count)
        orders = math.factorial(count) / count**count
        return [(s, orders / math.prod(math.factorial(n) for n in Counter(s).values())) for s in every]
    drawn = np.sort(rng.integers(count, size=(draws, count)), axis=1)
    return [(tuple(int(i) for i in row), 1 / draws) for row in drawn]


def bootstrap_interval(whole: float, values: np.ndarray, weights: np.ndarray, n: int, confidence: float) -> Estimate:
    """The percentile interval of `values` that have the probabilities `weights`."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    tail = (1 - confidence) / 2
    low = values[order][np.searchsorted(cumulative, tail - 1e-12)]
    high = values[order][np.searchsorted(cumulative, 1 - tail - 1e-12)]
    return Estimate(whole, float(low), float(high), n, confidence)
