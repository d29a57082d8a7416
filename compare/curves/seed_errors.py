"""The scatter of a series between its seeds: one variance, and one correlation along P, pooled over all P."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from theory.common.errors import InputError

__all__ = ["SeedMeans", "seed_errors"]

#: Residuals of this size of log R_f are rounding: tables carry seven digits.
ROUNDING = 1e-6
_MOST = 0.99  # correlation between neighbouring doublings of P


@dataclass(frozen=True, slots=True)
class SeedMeans:
    """Best means of log R_f of one series at each distinct P, and the law of the scatter of its seeds about them.

    Two values of one seed at P and P' have the correlation rho^|log2(P'/P)|: a seed's training sets are nested,
    so that what is odd about one is odd about its neighbours. Variance and rho are pooled over P and seeds:
    at one P, three or four seeds give a variance that is wrong by a factor of two as often as not, and
    weights made of such variances are worse than none.

    `covariance` is that of the means, in units of `variance`; `counts` are the seeds at each P. `pure` is the weighted
    sum of squares of the values about their means, with `pure_freedom` degrees of freedom, so that any law f has the
    sum of squares pure + (means - f)' covariance^-1 (means - f).
    """

    log_sizes: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    pure: float
    counts: np.ndarray
    n_seeds: int
    correlation: float  # rho
    whiten: np.ndarray = field(repr=False)  # turns means - f into residuals of equal variance, uncorrelated

    @property
    def n(self) -> int:
        """Values."""
        return int(self.counts.sum())

    @property
    def pure_freedom(self) -> int:
        return self.n - self.means.size

    @property
    def variance(self) -> float:
        """Variance of log R_f of one seed about the mean over seeds; NaN without replicates."""
        return self.pure / self.pure_freedom if self.pure_freedom else math.nan


def seed_errors(rows: pd.DataFrame, label: str) -> SeedMeans:
    """The scatter of the rows of one series.

    rho maximises the restricted likelihood (REML) of the values about free means at each P, so that it does not
    depend on the law fitted; it is 0 without replicates.

    Raises
    ------
    InputError
        If a value of R_f is not positive.
    """
    ratios = rows["relative_stability"].to_numpy(dtype=float)
    if not (ratios > 0).all():
        bad = rows.iloc[int(np.flatnonzero(~(ratios > 0))[0])]
        where = f"{label}, P = {bad['train_size']}, seed {bad['seed']}"
        raise InputError("relative_stability", float(bad["relative_stability"]), f"must be positive ({where})")
    frame = pd.DataFrame(
        {
            "size": rows["train_size"].to_numpy(dtype=float),
            "seed": rows["seed"].to_numpy(dtype=int),
            "log": np.log(ratios),
        }
    )
    table = frame.pivot_table(index="size", columns="seed", values="log", aggfunc="mean")
    x, y = np.log(table.index.to_numpy(dtype=float)), table.to_numpy(dtype=float)
    rho = 0.0
    if y.shape[0] > 1 and (np.isfinite(y).sum(axis=1) > 1).sum() > 1 and _means(x, y, 0.0)[0].pure > ROUNDING**2:
        rho = float(minimize_scalar(lambda r: _restricted(x, y, r), bounds=(0.0, _MOST), method="bounded").x)
    return _means(x, y, rho)[0]


def _means(x: np.ndarray, y: np.ndarray, rho: float) -> tuple[SeedMeans, float]:
    """Generalised least squares of free means, and sum of log determinants (of all seeds, and of the means)."""
    there = np.isfinite(y)
    correlation = rho ** (np.abs(x[:, None] - x[None, :]) / math.log(2)) if rho > 0 else np.eye(x.size)
    information, weighted = np.zeros((x.size, x.size)), np.zeros(x.size)
    inverses, determinants = [], 0.0
    for own, values in zip(there.T, y.T, strict=True):
        block = np.ix_(own, own)
        inverse = np.linalg.inv(correlation[block])
        inverses.append(inverse)
        information[block] += inverse
        weighted[own] += inverse @ values[own]
        determinants += float(np.linalg.slogdet(correlation[block])[1])
    covariance = np.linalg.inv(information)
    means = covariance @ weighted
    pure = 0.0
    for own, values, inverse in zip(there.T, y.T, inverses, strict=True):
        residual = values[own] - means[own]
        pure += float(residual @ inverse @ residual)
    determinants += float(np.linalg.slogdet(information)[1])
    whiten = np.linalg.cholesky((information + information.T) / 2).T
    return SeedMeans(x, means, covariance, pure, there.sum(axis=1), there.shape[1], rho, whiten), determinants


def _restricted(x: np.ndarray, y: np.ndarray, rho: float) -> float:
    """-2 log restricted likelihood of rho, the variance concentrated out, up to a constant."""
    means, determinants = _means(x, y, rho)
    freedom = means.pure_freedom
    return determinants + freedom * math.log(max(means.pure, ROUNDING**2) / freedom)
