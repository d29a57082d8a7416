"""Power laws fitted to series of the curve table, with intervals and a check of the form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.series import series
from compare.curves.wording import SYMBOLS, listing
from compare.fits.error_law import ErrorLaw, clustered_error_law
from compare.fits.power_law import IntervalMethod, PowerLawFit
from theory.common.errors import InputError, require_choice, require_real
from theory.common.estimate import Estimate, exponential, mean
from theory.common.table import COLUMNS, validate_table

__all__ = ["Fits", "PowerLawFit", "fit_all", "fit_error_law", "fit_power_law"]

#: Seeds that an interval over seeds needs, and x that a curvature needs.
_LEAST_SEEDS, _LEAST_FOR_BEND = 3, 4
_NUMERIC = tuple(name for name, column in COLUMNS.items() if column.kind != "text")


@dataclass(frozen=True, slots=True)
class Fits:
    """The fits of all series of a table that can be fitted, and the reason for each that cannot."""

    fits: tuple[PowerLawFit, ...]
    skipped: tuple[tuple[str, str], ...]  # label, reason

    def __iter__(self) -> Iterator[PowerLawFit]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    def __getitem__(self, label: str) -> PowerLawFit:
        """The fit of the series `label`; KeyError if there is none."""
        for fit in self.fits:
            if fit.label == label:
                return fit
        raise KeyError(label)

    def summary(self) -> dict[str, Any]:
        """JSON-ready: the fits, and what was skipped and why."""
        return {
            "fits": [fit.summary() for fit in self.fits],
            "skipped": [{"label": label, "reason": reason} for label, reason in self.skipped],
        }


def fit_power_law(
    table: pd.DataFrame,
    *,
    x: str = "train_size",
    y: str = "relative_stability",
    confidence: float = 0.95,
) -> PowerLawFit:
    """Fit y = amplitude * x^exponent to one series, by least squares of log y on log x.

    Intervals come in two ways, named by `interval_method` of the result:

    - ``per-seed``: three seeds or more with two or more x each (a seed with one x is left out). Each seed is
      fitted by itself and the interval is Student's t over the seeds' values. It holds when the residuals of
      one seed are correlated, as they are when a seed's training sets are nested, and where runs are missing.
      If none is, the seeds' mean is the joint fit.
    - ``pooled``: otherwise. lmfit's covariance of all points with Student's t of n - 2 degrees of freedom.
      It is too narrow where residuals of one seed are correlated.

    Raises
    ------
    InputError
        If the table is not a valid curve table, is empty or holds several series, `x` or `y` is no numeric
        column, a value is not positive and finite, or there are too few points: fewer than two distinct x
        (three for a single seed) or fewer than three points.
    """
    valid = validate_table(table)
    groups = series(valid)
    if not groups:
        raise InputError("table", "empty", "must hold the rows of one series")
    if len(groups) > 1:
        raise InputError(
            "table", f"{len(groups)} series ({listing(list(groups))})", "must hold one series only"
        )
    ((label, rows),) = groups.items()
    return _fit(rows, label, x, y, confidence)


def fit_all(
    table: pd.DataFrame,
    *,
    x: str = "train_size",
    y: str = "relative_stability",
    confidence: float = 0.95,
) -> Fits:
    """`fit_power_law` for each series of `table`; one that cannot be fitted is skipped, with its reason."""
    require_choice("x", x, _NUMERIC)
    require_choice("y", y, _NUMERIC)
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    fits: list[PowerLawFit] = []
    skipped: list[tuple[str, str]] = []
    for label, rows in series(validate_table(table)).items():
        try:
            fits.append(_fit(rows, label, x, y, confidence))
        except InputError as error:
            skipped.append((label, str(error)))
    return Fits(tuple(fits), tuple(skipped))


def fit_error_law(table: pd.DataFrame, *, confidence: float = 0.95) -> ErrorLaw:
    """Fit eps_t = a * R_f^b to all trained rows with a test error, whatever their series: `clustered_error_law`.

    CIFAR10 nets at a displacement of one pixel have eps_t ~ 0.2 sqrt(R_f) (arXiv 2105.02468, figure 3): a of
    0.2 and b of 1/2. Intervals are over whole series (data set, net): nets differ by more than their seeds do. Below
    three series they are over the seeds of these, where there are three, and say nothing on other nets; `unit` of the
    result says which. Else there is none but the pooled one. A series that has the test errors of an earlier
    one is the same nets, R_f measured in another way (the published curves hold two interpolations), and left out.
    R_f is taken as exact: where its scatter matters, b comes out too close to 0.

    Raises
    ------
    InputError
        If there are no such rows, fewer than three, or a test error or R_f is 0.
    """
    valid = validate_table(table)
    rows = valid[(valid["stage"] == "trained") & valid["test_error"].notna()]
    if rows.empty:
        raise InputError("table", f"{len(valid)} rows", "must hold trained rows with a test error")
    label = f"trained rows of {len(series(rows))} series"
    for name in ("relative_stability", "test_error"):
        _positive(rows, name, label)
    seen: dict[tuple[tuple[float, ...], ...], pd.DataFrame] = {}
    for own in series(rows).values():
        key = tuple(own[["train_size", "seed", "test_error"]].astype("float64").itertuples(index=False, name=None))
        # One row may agree with another by chance.
        seen.setdefault(key if len(key) > 1 else (*key, (float(len(seen)),)), own)
    kept = pd.concat(seen.values(), ignore_index=True)
    law = clustered_error_law(kept, unit="series", confidence=confidence)
    if law.n_units >= _LEAST_SEEDS:
        return law
    by_seed = clustered_error_law(kept, unit="seed", confidence=confidence)
    return by_seed if by_seed.n_units >= _LEAST_SEEDS else law


def _fit(rows: pd.DataFrame, label: str, x: str, y: str, confidence: float) -> PowerLawFit:
    """Fit the given rows, which need not be one series."""
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    xs, ys = _positive(rows, x, label), _positive(rows, y, label)
    seeds = rows["seed"].to_numpy(dtype=int)
    n_seeds, n_x = np.unique(seeds).size, np.unique(xs).size
    needed = 3 if n_seeds == 1 else 2
    if n_x < needed or xs.size < 3:
        symbol = SYMBOLS.get(x, x)
        raise InputError(
            label,
            f"{xs.size} points at {n_x} distinct {symbol}",
            f"must have at least 3 points at {needed} distinct {symbol} or more",
        )
    pivot = math.exp(float(np.log(xs).mean()))
    u, v = np.log(xs / pivot), np.log(ys)
    lines = _by_seed(u, v, seeds, 1)
    method: IntervalMethod
    if len(lines) >= _LEAST_SEEDS:
        method = "per-seed"
        intercepts, slopes = np.array(list(lines.values())).T
        centre, slope = mean(intercepts, confidence), mean(slopes, confidence)
        at_one = mean(intercepts - slopes * math.log(pivot), confidence)
        parabolas = _by_seed(u, v, seeds, 2)
        enough = len(parabolas) >= _LEAST_SEEDS
        bend = mean([c[2] for c in parabolas.values()], confidence) if enough else None
    else:
        method, lines = "pooled", {}
        centre, slope = _pooled(u, v, 1, confidence)
        # At the pivot the two errors are independent, so that they add in quadrature at x = 1.
        at_one = _difference(centre, slope, math.log(pivot))
        bend = _pooled(u, v, 2, confidence)[2] if n_x >= _LEAST_FOR_BEND else None
    distinct, which = np.unique(u, return_inverse=True)
    seed_means = np.bincount(which, v) / np.bincount(which)
    return PowerLawFit(
        label=label,
        x=x,
        y=y,
        exponent=slope,
        amplitude=exponential(at_one),
        pivot=pivot,
        value_at_pivot=exponential(centre),
        interval_method=method,
        residual_rms=float(np.sqrt(np.mean((seed_means - centre.value - slope.value * distinct) ** 2))),
        curvature=bend,
        x_range=(float(xs.min()), float(xs.max())),
        n_points=int(xs.size),
        n_seeds=int(n_seeds),
        points=tuple(zip(xs.tolist(), ys.tolist(), strict=True)),
        seed_exponents=tuple((seed, float(line[1])) for seed, line in lines.items()),
    )


def _positive(rows: pd.DataFrame, name: str, label: str) -> np.ndarray:
    """Column `name` as floats, all positive and finite."""
    require_choice("column", name, _NUMERIC)
    values = rows[name].astype("float64").to_numpy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        row = rows.iloc[int(bad[0])]
        where = f"{label}, P = {row['train_size']}, seed {row['seed']}"
        raise InputError(
            name, float(values[bad[0]]), f"must be positive and finite for a power law ({where})"
        )
    return values


def _by_seed(u: np.ndarray, v: np.ndarray, seeds: np.ndarray, degree: int) -> dict[int, np.ndarray]:
    """Coefficients, constant first, of the polynomial through each seed that has points enough for it."""
    least = 2 if degree == 1 else _LEAST_FOR_BEND
    fitted = {}
    for seed in np.unique(seeds):
        own = seeds == seed
        if np.unique(u[own]).size >= least:
            fitted[int(seed)] = np.polynomial.polynomial.polyfit(u[own], v[own], degree)
    return fitted


def _pooled(u: np.ndarray, v: np.ndarray, degree: int, confidence: float) -> list[Estimate]:
    """Polynomial coefficients, constant first, from lmfit, with intervals of t(n - degree - 1)."""
    from lmfit.models import PolynomialModel  # takes a second to import

    model = PolynomialModel(degree)
    result = model.fit(v, model.guess(v, x=u), x=u)
    free = u.size - degree - 1
    quantile = float(stats.t.ppf((1 + confidence) / 2, free)) if free > 0 else math.nan
    estimates = []
    for power in range(degree + 1):
        parameter = result.params[f"c{power}"]
        error = math.nan if parameter.stderr is None else float(parameter.stderr) * quantile
        value = float(parameter.value)
        estimates.append(Estimate(value, value - error, value + error, u.size, confidence))
    return estimates


def _difference(centre: Estimate, slope: Estimate, distance: float) -> Estimate:
    """centre - distance * slope, for independent errors."""
    value = centre.value - distance * slope.value
    error = math.hypot(centre.error, distance * slope.error)
    return Estimate(value, value - error, value + error, centre.n, centre.confidence)

