"""Power laws fitted to series of the curve table, with intervals and a check of the form."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.numbers import SYMBOLS, format_estimate, format_number, listing
from compare.curves.series import Curves, OfSeries, Results, SeriesKey
from compare.fits.jackknife import jackknife_interval, jackknife_polynomial
from compare.fits.law_plot import DrawnLaw
from theory.common.errors import InputError, require_choice, require_real
from theory.common.estimate import Estimate, exponential
from theory.common.table import COLUMNS

__all__ = ["Fits", "IntervalMethod", "PowerLawFit", "fit_all", "fit_power_law", "fit_series", "positive"]

IntervalMethod = Literal["per-seed", "pooled"]
#: Seeds that an interval over seeds needs, and x that a curvature needs.
_LEAST_SEEDS, _LEAST_FOR_BEND = 3, 4
_NUMERIC = tuple(name for name, column in COLUMNS.items() if column.kind != "text")


@dataclass(frozen=True, slots=True, repr=False)
class PowerLawFit(OfSeries, DrawnLaw):
    r"""A power law fitted to one series, see `fit_power_law`.

    .. math:: y = A x^{b}, \qquad \log y = \log y_0 + b \log (x / x_0)

    x_0, the pivot, is the geometric mean of x, where the errors of y_0 and b are independent.

    Attributes
    ----------
    key : what the series is of
    x, y : names of columns of the curve table
    exponent : b, dimensionless
    amplitude : A, the value at x = 1, far from the data as a rule; in the units of y
    pivot : x_0, in the units of x
    value_at_pivot : y_0, in the units of y
    interval_method : where intervals come from, ``per-seed`` or ``pooled``
    residual_rms : root mean square, over x, of the seeds' mean log y about the line
    curvature : coefficient of (log(x / x_0))^2 when a parabola is fitted instead; its interval leaves out 0 where the
        curve is no power law. None below four distinct x
    x_range : smallest and largest x
    n_points, n_seeds : rows and seeds of the series
    points : pairs (x, y), one a row
    seed_exponents : pairs (seed, its own exponent), where the interval is over seeds
    """

    x: str
    y: str
    exponent: Estimate
    amplitude: Estimate
    pivot: float
    value_at_pivot: Estimate
    interval_method: IntervalMethod
    residual_rms: float
    curvature: Estimate | None
    x_range: tuple[float, float]
    n_points: int
    n_seeds: int
    points: tuple[tuple[float, float], ...] = field(default=(), compare=False)
    seed_exponents: tuple[tuple[int, float], ...] = field(default=(), compare=False, repr=False)
    _told = (
        "label", "x", "y", "exponent", "amplitude", "pivot", "value_at_pivot", "interval_method", "residual_rms",
        "curvature", "bent", "x_range", "n_points", "n_seeds",
    )  # fmt: skip

    @property
    def bent(self) -> bool:
        """Whether the curvature's interval leaves out 0 (beyond rounding)."""
        if self.curvature is None or not np.isfinite(self.curvature.error):
            return False
        return bool(self.curvature.low > 1e-9 or self.curvature.high < -1e-9)

    def predict(self, x: float | np.ndarray) -> np.ndarray:
        """amplitude * x^exponent.

        Parameters
        ----------
        x : positive, of any shape, in the units of the fit's x

        Returns
        -------
        y in the shape of `x`.
        """
        return self.value_at_pivot.value * (np.asarray(x, dtype=float) / self.pivot) ** self.exponent.value

    def law(self) -> str:
        """The fit without its range: ``R_f ~ P^(-1.02 ± 0.03)``."""
        x, y = self._axis_words()
        return f"{y} ~ {x}^({format_estimate(self.exponent)})"

    def __repr__(self) -> str:
        x, y = self._axis_words()
        low, high = map(format_number, self.x_range)
        seeds = f"{self.n_seeds} seed" + "s" * (self.n_seeds != 1)
        return (
            f"{y} = {self.amplitude.value:.3g} {x}^({format_estimate(self.exponent)}) "
            f"over {x} = {low}…{high} (n={self.n_points}, {seeds})"
        )

    def _axis_words(self) -> tuple[str, str]:
        return SYMBOLS.get(self.x, self.x), SYMBOLS.get(self.y, self.y)

    def _title(self) -> str:
        return f"{self.label}: {self.law()}"


class Fits(Results[PowerLawFit]):
    """The fits of all series of a table that can be fitted, and the reason for each that cannot, see `fit_all`.

    Iterates over the fits; `fits[name]` finds one by its series' key or printed name.

    Attributes
    ----------
    found : the fits, in the order of the series
    skipped : pairs (key, reason)
    """

    __slots__ = ()
    _plural = "fits"


def fit_power_law(
    table: pd.DataFrame | Curves,
    *,
    x: str = "train_size",
    y: str = "relative_stability",
    confidence: float = 0.95,
) -> PowerLawFit:
    r"""Fit y = A x^b to one series, by least squares of log y on log x.

    .. math:: (\hat A, \hat b) = \arg\min_{A, b} \sum_i \left(\log y_i - \log A - b \log x_i\right)^2

    Intervals come in two ways, named by `interval_method` of the result:

    - ``per-seed``: three seeds or more with two or more x each. The line goes through the seeds' means at each x, and
      the interval is the jackknife's over seeds. It holds when the residuals of one seed are correlated, as they are
      when a seed's training sets are nested, and where runs are missing. If none is, the line is the mean of the
      seeds' own, and the interval Student's t over these.
    - ``pooled``: otherwise. The covariance of all points with Student's t of n - 2 degrees of freedom.
      It is too narrow where residuals of one seed are correlated.

    The exponent of R_f(P) is what arXiv 2105.02468, section 5, derives for the simple model: R_f ~ P^-1.

    Parameters
    ----------
    table : a curve table that holds one series
    x, y : numeric columns of the curve table
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If the table is not a valid curve table, is empty or holds several series, `x` or `y` is no numeric
        column, a value is not positive and finite, or there are too few points: fewer than two distinct x
        (three for a single seed) or fewer than three points.

    Example
    -------
    >>> from compare import fit_power_law, load_reference
    >>> table = load_reference("mnist", "EfficientNet", 3, "bilinear").query("train_size < 50000")
    >>> fit = fit_power_law(table)
    >>> fit
    R_f = 7.66 P^(-0.242 ± 0.036) over P = 64…32768 (n=160, 16 seeds)
    >>> fit.interval_method, fit.x_range, fit.predict([100, 1000]).round(2).tolist()
    ('per-seed', (64.0, 32768.0), [2.51, 1.44])
    """
    parts = Curves.of(table).parts
    if len(parts) != 1:
        held = f"{len(parts)} series ({listing([str(key) for key in parts])})" if parts else "empty"
        raise InputError("table", held, "must hold the rows of one series")
    ((key, rows),) = parts.items()
    return fit_series(key, rows, x, y, confidence)


def fit_all(
    table: pd.DataFrame | Curves,
    *,
    x: str = "train_size",
    y: str = "relative_stability",
    confidence: float = 0.95,
) -> Fits:
    """`fit_power_law` for each series of a table; one that cannot be fitted is skipped, with its reason.

    Parameters
    ----------
    table : a curve table of any number of series
    x, y : numeric columns of the curve table
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If the table is not a valid curve table, `x` or `y` is no numeric column, or `confidence` is not allowed.

    Example
    -------
    >>> from compare import fit_all
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> table = curve_table({**net, "train_size": p, "relative_stability": 8 / p} for p in (64, 128, 256, 512))
    >>> [(str(fit.key), round(fit.exponent.value, 6)) for fit in fit_all(table)]
    [('images digits mlp trained', -1.0)]
    >>> fit_all(table.head(2)).skipped[0][1]
    'images digits mlp trained = 2 points at 2 distinct P: must have at least 3 points at 3 distinct P or more'
    >>> fits = fit_all(table)
    >>> len(fits), fits["images digits mlp trained"].n_points, fits.skipped
    (1, 4, ())
    """
    require_choice("x", x, _NUMERIC)
    require_choice("y", y, _NUMERIC)
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    fits: list[PowerLawFit] = []
    skipped: list[tuple[SeriesKey, str]] = []
    for key, rows in Curves.of(table).parts.items():
        try:
            fits.append(fit_series(key, rows, x, y, confidence))
        except InputError as error:
            skipped.append((key, str(error)))
    return Fits(tuple(fits), tuple(skipped))


def fit_series(
    key: SeriesKey,
    rows: pd.DataFrame,
    x: str = "train_size",
    y: str = "relative_stability",
    confidence: float = 0.95,
) -> PowerLawFit:
    """`fit_power_law` for the rows of one series of a valid table."""
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    xs, ys = positive(rows, x, key), positive(rows, y, key)
    seeds = rows["seed"].to_numpy(dtype=int)
    n_seeds, n_x = np.unique(seeds).size, np.unique(xs).size
    needed = 3 if n_seeds == 1 else 2
    if n_x < needed or xs.size < 3:
        symbol = SYMBOLS.get(x, x)
        words = f"must have at least 3 points at {needed} distinct {symbol} or more"
        raise InputError(str(key), f"{xs.size} points at {n_x} distinct {symbol}", words)
    pivot = math.exp(float(np.log(xs).mean()))
    u, v = np.log(xs / pivot), np.log(ys)
    lines = _by_seed(u, v, seeds, 1)
    method: IntervalMethod
    if len(lines) >= _LEAST_SEEDS:
        method = "per-seed"
        line, without = jackknife_polynomial(u, v, seeds, 1)
        centre, slope = (jackknife_interval(float(line[i]), without[:, i], confidence) for i in (0, 1))
        to_one = np.array([1.0, -math.log(pivot)])
        at_one = jackknife_interval(float(line @ to_one), without @ to_one, confidence)
        bend = None
        if len(_by_seed(u, v, seeds, 2)) >= _LEAST_SEEDS:
            parabola, bent = jackknife_polynomial(u, v, seeds, 2)
            bend = jackknife_interval(float(parabola[2]), bent[:, 2], confidence)
    else:
        method, lines = "pooled", {}
        centre, slope = _pooled(u, v, 1, confidence)
        # At the pivot the two errors are independent, so that they add in quadrature at x = 1.
        value = centre.value - math.log(pivot) * slope.value
        error = math.hypot(centre.error, math.log(pivot) * slope.error)
        at_one = Estimate(value, value - error, value + error, centre.n, confidence)
        bend = _pooled(u, v, 2, confidence)[2] if n_x >= _LEAST_FOR_BEND else None
    distinct, which = np.unique(u, return_inverse=True)
    seed_means = np.bincount(which, v) / np.bincount(which)
    return PowerLawFit(
        key=key,
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


def positive(rows: pd.DataFrame, name: str, key: SeriesKey | str) -> np.ndarray:
    """Column `name` as floats, all positive and finite; InputError with the first row that is not."""
    require_choice("column", name, _NUMERIC)
    values = rows[name].astype("float64").to_numpy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        row = rows.iloc[int(bad[0])]
        where = f"{key}, P = {row['train_size']}, seed {row['seed']}"
        raise InputError(name, float(values[bad[0]]), f"must be positive and finite for a power law ({where})")
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
    """Polynomial coefficients, constant first, with intervals of t(n - degree - 1) from their covariance."""
    free = u.size - degree - 1
    if free < 1:
        return [Estimate(float(c), n=u.size, confidence=confidence) for c in np.polyfit(u, v, degree)[::-1]]
    values, covariance = np.polyfit(u, v, degree, cov=True)
    half = float(stats.t.ppf((1 + confidence) / 2, free)) * np.sqrt(np.diag(covariance))
    ends = list(zip(values.tolist(), half.tolist(), strict=True))[::-1]
    return [Estimate(value, value - reach, value + reach, u.size, confidence) for value, reach in ends]
