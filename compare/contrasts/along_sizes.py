"""R_f and the test error of one net along P: exponent beside exponent, and how closely the two go together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compare.curves.series import Curves, OfSeries, Results, SeriesKey
from compare.fits.error_law import trained_parts
from compare.fits.jackknife import jackknife_correlation, jackknife_interval, jackknife_polynomial
from compare.fits.power_law import PowerLawFit, fit_series
from theory.common.errors import InputError
from theory.common.estimate import Estimate

__all__ = ["AlongSizes", "along_sizes"]

#: Seeds that an interval over seeds needs, and P that a correlation along P needs.
_LEAST_SEEDS, _LEAST_SIZES = 3, 4


@dataclass(frozen=True, slots=True)
class AlongSizes(OfSeries):
    r"""One trained net along P, see `along_sizes`.

    .. math:: R_f \sim P^{b}, \quad \epsilon_t \sim P^{c}, \quad \epsilon_t \sim R_f^{c / b}

    Attributes
    ----------
    key : what the net is
    stability, error : the fits of R_f and eps_t
    ratio : c / b, 1/2 where eps_t goes as the square root of R_f; jackknife over seeds. Without an interval below three
        seeds, and where the interval of b holds 0, so that c / b has no bounds
    correlation : Pearson's of the means of log eps_t and log R_f over the P; jackknife of Fisher's z over seeds
    """

    stability: PowerLawFit
    error: PowerLawFit
    ratio: Estimate
    correlation: Estimate
    _told = ("label", "stability", "error", "ratio", "correlation")


def along_sizes(table: pd.DataFrame | Curves, *, confidence: float = 0.95) -> Results[AlongSizes]:
    """Fit R_f and the test error of every trained series of a table along P.

    Parameters
    ----------
    table : a curve table; of its trained rows those with R_f and a test error above 0
    confidence : of the intervals, between 0 and 1

    Returns
    -------
    `AlongSizes` of each series, and the series that have too few points, with the reason.

    Raises
    ------
    InputError
        If the table is not a valid curve table.

    Example
    -------
    >>> from compare import along_sizes
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "train_size": p, "seed": seed, "relative_stability": 8 / p * 1.1**seed, "test_error": p**-0.5}
    ...     for p in (64, 128, 256, 512) for seed in range(3)
    ... )
    >>> (found,) = along_sizes(table)
    >>> str(found.key), round(found.stability.exponent.value, 6), round(found.error.exponent.value, 6)
    ('images digits mlp trained', -1.0, -0.5)
    >>> round(found.ratio.value, 6), found.ratio.n
    (0.5, 3)
    """
    found: list[AlongSizes] = []
    skipped: list[tuple[SeriesKey, str]] = []
    for key, kept in trained_parts(table, "relative_stability").items():
        try:
            found.append(_along(key, kept, confidence))
        except InputError as error:
            skipped.append((key, str(error)))
    return Results(tuple(found), tuple(skipped))


def _along(key: SeriesKey, rows: pd.DataFrame, confidence: float) -> AlongSizes:
    stability = fit_series(key, rows, "train_size", "relative_stability", confidence)
    error = fit_series(key, rows, "train_size", "test_error", confidence)
    u = np.log(rows["train_size"].to_numpy(dtype=float))
    seeds = rows["seed"].to_numpy(dtype=int)
    ratio = Estimate(error.exponent.value / stability.exponent.value, n=stability.n_seeds, confidence=confidence)
    if stability.interval_method == "per-seed" and not stability.exponent.low <= 0 <= stability.exponent.high:
        without = [
            jackknife_polynomial(u, np.log(rows[name].to_numpy(dtype=float)), seeds, 1)[1][:, 1]
            for name in ("test_error", "relative_stability")
        ]
        ratio = jackknife_interval(ratio.value, without[0] / without[1], confidence)
    return AlongSizes(key, stability, error, ratio, _correlation(rows, confidence))


def _correlation(rows: pd.DataFrame, confidence: float) -> Estimate:
    """Of the means over seeds; its interval is the jackknife of Fisher's z over seeds."""
    _, sizes = np.unique(rows["train_size"].to_numpy(dtype=float), return_inverse=True)
    logs = np.log(rows[["test_error", "relative_stability"]].to_numpy(dtype=float))
    seeds = rows["seed"].to_numpy(dtype=int)
    names = np.unique(seeds)
    value = _of_means(sizes, logs)
    without = [_of_means(sizes[seeds != seed], logs[seeds != seed]) for seed in names]
    if names.size < _LEAST_SEEDS or not np.isfinite([value, *without]).all():
        return Estimate(value, n=names.size, confidence=confidence)
    return jackknife_correlation(value, without, confidence)


def _of_means(sizes: np.ndarray, logs: np.ndarray) -> float:
    """Pearson's r of the means at each P; NaN below four P."""
    counts = np.bincount(sizes)
    means = np.array([np.bincount(sizes, values)[counts > 0] / counts[counts > 0] for values in logs.T])
    enough = means.shape[1] >= _LEAST_SIZES and np.ptp(means, axis=1).min() > 0
    return float(np.corrcoef(means)[0, 1]) if enough else math.nan
