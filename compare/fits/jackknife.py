"""The jackknife over whole units (nets, series, seeds), whose values are not independent within a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from theory.common.estimate import Estimate

__all__ = ["fisher_z", "jackknife_correlation", "jackknife_interval", "jackknife_polynomial"]


def jackknife_interval(whole: float, without: np.ndarray, confidence: float) -> Estimate:
    """Student's t interval about `whole` from the values found `without` each of S >= 2 units.

    The pseudo-values S whole - (S - 1) without_s are treated as S independent values (Tukey's jackknife, see Miller,
    Biometrika 61, 1, 1974).
    """
    count = without.size
    pseudo = count * whole - (count - 1) * without
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * pseudo.std(ddof=1) / math.sqrt(count))
    return Estimate(whole, whole - half, whole + half, count, confidence)


def fisher_z(r: float) -> float:
    """Fisher's z of a correlation; finite also where r is 1 or -1."""
    return math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))


def jackknife_correlation(whole: float, without: Sequence[float], confidence: float) -> Estimate:
    """`jackknife_interval` of a correlation, by way of Fisher's z."""
    found = jackknife_interval(fisher_z(whole), np.array([fisher_z(r) for r in without]), confidence)
    return Estimate(whole, math.tanh(found.low), math.tanh(found.high), found.n, confidence)


def jackknife_polynomial(
    u: np.ndarray, v: np.ndarray, seeds: np.ndarray, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, constant first, of least squares through the means of v at each distinct u; and the same without
    each seed, shape (seeds, degree + 1).

    Every u counts alike, however many seeds it has. If no run is missing the coefficients are the means of the seeds'
    own, and the jackknife's interval is Student's t over these.
    """
    labels = np.unique(seeds)
    return _through_means(u, v, degree), np.array(
        [_through_means(u[seeds != seed], v[seeds != seed], degree) for seed in labels]
    )


def _through_means(u: np.ndarray, v: np.ndarray, degree: int) -> np.ndarray:
    distinct, which = np.unique(u, return_inverse=True)
    return np.polynomial.polynomial.polyfit(distinct, np.bincount(which, v) / np.bincount(which), degree)
