"""Fitting a law to one series of the curve table, and the intervals of its parameters by the profile of the misfit.

lmfit finds the optimum. Its `conf_interval` makes the same profile, but not as well for these laws: it refuses laws
of one parameter, takes seven times as long, and where the data leave a parameter nearly free it ends in a local
minimum or at infinity. So the profile is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq, leastsq

from compare.curves.seed_errors import ROUNDING, SeedMeans, seed_errors
from compare.curves.series import Curves, SeriesKey
from compare.fits.fitted_law import LawFit, LawParameter, Residual
from compare.fits.goodness import goodness
from compare.fits.laws import Law, LawName, TheoryCurve, make_law
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate

__all__ = ["LawFitter", "fit_law", "one_series"]


def fit_law(
    table: pd.DataFrame | Curves,
    law: LawName = "power",
    *,
    theory: str | pd.DataFrame | None = None,
    confidence: float = 0.95,
) -> LawFit:
    r"""Fit one law to R_f(P) of one series, by generalised least squares of log R_f, see `LawFit`.

    P_0 is the geometric mean of the P of the series. The laws:

    .. math::

        \text{power:} \quad & R_f = A (P / P_0)^{-b} \\
        \text{floor:} \quad & R_f = A (P / P_0)^{-b} + F \\
        \text{broken:} \quad & \log R_f = \log A - b_1 w - (b_2 - b_1) D \log(1 + e^{w / D}), \;
            w = \log(P / P_b), \; D = 0.5 \\
        \text{theory-shifted:} \quad & R_f = R_{th}(P / s) \\
        \text{theory-scaled:} \quad & R_f = a R_{th}(P / s)

    Intervals are those of `LawParameter`.

    Parameters
    ----------
    table : a curve table that holds the series to fit
    law : ``power``, ``floor``, ``broken``, ``theory-shifted`` or ``theory-scaled``
    theory : R_th of the last two: the label of a series of `table`, which then holds it beside the series to fit, or
        a table of one series
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If `table` is no valid curve table or holds not exactly one series (besides the theory's), a R_f is 0,
        there are too few distinct P for the law, or the law needs a theory that is not there.

    Example
    -------
    >>> from compare import fit_law, load_reference
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> fit = fit_law(measured, "theory-shifted", theory=theory)
    >>> round(fit["shift"].estimate.value, 1)
    3.0
    >>> table = load_reference("mnist", "EfficientNet", 3, "bilinear").query("train_size < 50000")
    >>> fit = fit_law(table, "power")
    >>> fit.law.formula, round(fit["b"].estimate.value, 2), fit.unidentified()
    ('A (P/P0)^-b', 0.24, ())
    >>> float(fit.predict(100).round(3))
    2.514
    >>> [parameter.name for parameter in fit.law.parameters], fit.law.pivot_words
    (['amplitude', 'b'], 'P0 = 1448')
    >>> fit["b"].words(), fit["b"].identified
    ('b = 0.242 ± 0.046', True)
    >>> first = fit.residuals[0]
    >>> first.train_size, first.value.low < 0 < first.value.high
    (64, True)
    >>> goodness = fit.goodness
    >>> goodness.n, goodness.parameters, round(goodness.aicc - goodness.aic, 3), goodness.passes
    (160, 2, 0.154, False)
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    key, rows, curve = one_series(table, theory)
    return LawFitter(confidence).fit(key, rows, law, curve)


def one_series(
    table: pd.DataFrame | Curves, theory: str | pd.DataFrame | None
) -> tuple[SeriesKey, pd.DataFrame, TheoryCurve | None]:
    """Key and rows of the series to fit, and the theory's curve."""
    curves = Curves.of(table)
    curve = None
    if isinstance(theory, str):
        named = curves.named(theory)
        curve = TheoryCurve.of(curves.parts[named], theory)
        curves = curves.pick(lambda key: key != named)
    elif theory is not None:
        predicted = Curves.of(theory, "theory")
        curve = TheoryCurve.of(predicted.table, str(next(iter(predicted.parts), "theory")))
    if len(curves.parts) != 1:
        listed = ", ".join(map(str, list(curves.parts)[:3]))
        raise InputError("table", f"{len(curves.parts)} series ({listed})", "must hold one series to fit")
    ((key, rows),) = curves.parts.items()
    return key, rows, curve


@dataclass(slots=True)
class LawFitter:
    """Fits laws to series, each once: a law asked for again is returned as it was fitted first."""

    confidence: float = 0.95
    _means: dict[SeriesKey, SeedMeans] = field(default_factory=dict, repr=False)
    _fits: dict[tuple[SeriesKey, LawName, str], LawFit] = field(default_factory=dict, repr=False)

    def fit(self, key: SeriesKey, rows: pd.DataFrame, name: LawName, theory: TheoryCurve | None) -> LawFit:
        """`fit_law` for the rows of one series of a valid table."""
        asked = (key, name, theory.label if theory and name.startswith("theory") else "")
        if asked not in self._fits:
            if key not in self._means:
                self._means[key] = seed_errors(rows, str(key))
            self._fits[asked] = _fit(key, rows, self._means[key], name, theory, self.confidence)
        return self._fits[asked]


def _fit(
    key: SeriesKey,
    rows: pd.DataFrame,
    whole: SeedMeans,
    name: LawName,
    theory: TheoryCurve | None,
    confidence: float,
) -> LawFit:
    law = make_law(name, whole.log_sizes, whole.means, theory)
    best, missed = _best(law, whole)
    ends = _profiles(law, whole, best, max(missed + whole.pure, whole.n * ROUNDING**2), confidence)
    shown = [parameter.shown(float(value)) for parameter, value in zip(law.parameters, best, strict=True)]
    points = rows[["train_size", "relative_stability"]].astype("float64")
    return LawFit(
        key=key,
        law=law,
        parameters=tuple(
            LawParameter(parameter.name, Estimate(value, *pair, whole.n, confidence))
            for parameter, value, pair in zip(law.parameters, shown, ends, strict=True)
        ),
        goodness=goodness(missed, best.size, whole.means.size, whole.pure, whole.pure_freedom, ROUNDING),
        seed_deviation=math.sqrt(whole.variance),
        seed_correlation=whole.correlation,
        extended=law.extended(tuple(best.tolist()), whole.log_sizes),
        x_range=(math.exp(whole.log_sizes[0]), math.exp(whole.log_sizes[-1])),
        n_points=whole.n,
        n_sizes=int(whole.means.size),
        n_seeds=whole.n_seeds,
        residuals=_residuals(law, whole, best, confidence),
        fitted=tuple(best.tolist()),
        points=tuple(points.itertuples(index=False, name=None)),
    )


def _best(law: Law, data: SeedMeans) -> tuple[np.ndarray, float]:
    """Parameters of least squares by lmfit, the best over the law's starts, and their sum of squares."""
    from lmfit import Minimizer, Parameters  # takes a second to import

    names = [parameter.name for parameter in law.parameters]

    def residuals(values: Any) -> np.ndarray:
        shown = np.array([values[name].value for name in names])
        return data.whiten @ (data.means - law.log_value(shown, data.log_sizes))

    found: list[tuple[float, tuple[float, ...]]] = []
    for start in law.starts:
        parameters = Parameters()
        for parameter, value in zip(law.parameters, start, strict=True):
            span = parameter.high - parameter.low
            room = 1e-6 * span if math.isfinite(span) else 0.0
            inside = float(np.clip(value, parameter.low + room, parameter.high - room))
            parameters.add(parameter.name, inside, min=parameter.low, max=parameter.high)
        result = Minimizer(residuals, parameters, calc_covar=False).leastsq(max_nfev=400 * len(names))
        found.append((float(result.chisqr), tuple(float(result.params[name].value) for name in names)))
    misfit, values = min(found)
    return np.array(values), misfit


def _again(law: Law, data: SeedMeans, start: np.ndarray, fixed: int) -> tuple[np.ndarray, float]:
    """Least squares from a point near the optimum, the parameter `fixed` held.

    The same MINPACK routine that lmfit calls, ten times faster without lmfit's parameter objects: a profile
    needs hundreds of fits. Beyond its bounds a parameter is worth its bound, and is drawn back.
    """
    low = np.array([parameter.low for parameter in law.parameters])
    high = np.array([parameter.high for parameter in law.parameters])
    free = np.array([i for i in range(start.size) if i != fixed], dtype=int)

    def inside(moved: np.ndarray) -> np.ndarray:
        values = start.copy()
        values[free] = np.clip(moved, low[free], high[free])
        return values

    def residuals(moved: np.ndarray) -> np.ndarray:
        values = inside(moved)
        missed = data.whiten @ (data.means - law.log_value(values, data.log_sizes))
        return np.concatenate([missed, moved - values[free]])

    values = start.copy()
    if free.size:
        # With all its output it keeps quiet where a flat direction has no minimum.
        moved = leastsq(residuals, start[free], maxfev=200 * (free.size + 1), full_output=True)[0]
        values = inside(np.atleast_1d(moved))
    missed = data.whiten @ (data.means - law.log_value(values, data.log_sizes))
    return values, float(missed @ missed)


def _steps(law: Law, data: SeedMeans, best: np.ndarray, variance: float) -> np.ndarray:
    """Standard errors of the parameters by central differences: first steps of the search for the ends."""
    columns = []
    for i in range(best.size):
        change = np.zeros(best.size)
        change[i] = 1e-4
        up, down = law.log_value(best + change, data.log_sizes), law.log_value(best - change, data.log_sizes)
        columns.append(data.whiten @ (up - down) / 2e-4)
    jacobian = np.column_stack(columns)
    found = np.sqrt(np.clip(np.diag(np.linalg.pinv(jacobian.T @ jacobian)), 0, None) * variance)
    return np.clip(found, 1e-6, 0.5)


def _profiles(
    law: Law, data: SeedMeans, best: np.ndarray, total: float, confidence: float
) -> list[tuple[float, float]]:
    """The F test's interval of each parameter, as shown."""
    freedom = data.n - best.size
    if freedom < 1:
        return [(math.nan, math.nan)] * best.size
    limit = total / freedom * float(stats.t.ppf((1 + confidence) / 2, freedom)) ** 2 + total
    steps = _steps(law, data, best, total / freedom)
    found = []
    for i, parameter in enumerate(law.parameters):
        last = best.copy()

        def over(value: float, i: int = i, last: np.ndarray = last) -> float:
            """By how much the misfit with parameter i at `value`, the others refitted, exceeds the limit."""
            tried = []
            for start in (last, best):
                held = start.copy()
                held[i] = value
                tried.append(_again(law, data, held, fixed=i))
            values, missed = min(tried, key=lambda pair: pair[1])
            last[:] = values
            return missed + data.pure - limit

        ends = []
        for direction, bound, edge in ((-1, parameter.low, parameter.edge_low), (1, parameter.high, math.inf)):
            end = _end(over, float(best[i]), direction * float(steps[i]), bound, limit)
            if end is None or _runs_away(law, data, best, i, end):
                end = edge
            ends.append(math.inf if parameter.log and end > 709 else math.exp(end) if parameter.log else end)
        found.append((ends[0], ends[1]))
    return found


def _end(over: Callable[[float], float], best: float, step: float, bound: float, limit: float) -> float | None:
    """Where the misfit meets its limit, on the side of `step`; None if it does not before the bound."""
    known = {best: min(over(best), -1e-12 * abs(limit))}

    def once(value: float) -> float:
        """Refits from elsewhere may end a little elsewhere: each value is asked for once."""
        if value not in known:
            known[value] = over(value)
        return known[value]

    inner, reach = best, step
    while True:
        outer = best + reach
        at_bound = outer <= bound if step < 0 else outer >= bound
        outer = bound if at_bound else outer
        if once(outer) > 0:
            return float(brentq(once, inner, outer, xtol=1e-3 * abs(step), rtol=1e-6))
        if at_bound or not math.isfinite(outer) or reach / step > 1e6:
            return None
        inner, reach = outer, 2 * reach


def _runs_away(law: Law, data: SeedMeans, best: np.ndarray, i: int, end: float) -> bool:
    """Whether s meets its bound with parameter `i` at this end: nothing but that bound then closes the interval."""
    held = best.copy()
    held[i] = end
    values, _ = _again(law, data, held, fixed=i)
    return any(
        parameter.name == "shift" and j != i and not parameter.low + 0.1 < values[j] < parameter.high - 0.1
        for j, parameter in enumerate(law.parameters)
    )


def _residuals(law: Law, data: SeedMeans, best: np.ndarray, confidence: float) -> tuple[Residual, ...]:
    """log R_f minus the law at each P, with the interval of the mean over seeds."""
    missed = data.means - law.log_value(best, data.log_sizes)
    half = np.full(missed.size, math.nan)
    if data.pure_freedom > 0:
        quantile = float(stats.t.ppf((1 + confidence) / 2, data.pure_freedom))
        half = quantile * np.sqrt(data.variance * np.diag(data.covariance))
    return tuple(
        Residual(round(math.exp(x)), Estimate(float(r), float(r - h), float(r + h), int(n), confidence))
        for x, r, h, n in zip(data.log_sizes, missed, half, data.counts, strict=True)
    )
