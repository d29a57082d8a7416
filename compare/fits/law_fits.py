"""Fitting a law to one series of the curve table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import leastsq

from compare.curves.seed_errors import ROUNDING, SeedErrors, SeedMeans, seed_errors
from compare.curves.series import series
from compare.curves.wording import listing
from compare.fits.fitted_law import LawFit, LawParameter, Residual
from compare.fits.goodness import goodness
from compare.fits.intervals import bootstrap_interval, jackknife_interval, profile_interval, resamples
from compare.fits.laws import Law, LawName, TheoryCurve, make_law
from theory.common.errors import InputError, require_integer, require_real
from theory.common.estimate import Estimate
from theory.common.table import validate_table

__all__ = ["fit_law"]

#: Seeds that an interval over seeds needs.
LEAST_SEEDS = 3
Numbers = tuple[float, ...]


def fit_law(
    table: pd.DataFrame,
    law: LawName = "power",
    *,
    theory: str | pd.DataFrame | None = None,
    confidence: float = 0.95,
    draws: int = 400,
    rng: np.random.Generator | None = None,
) -> LawFit:
    """Fit `law` (see `compare.fits.laws.make_law`) to R_f(P) of one series, by lmfit on log R_f.

    `theory` is R_th of the laws ``theory-shifted`` and ``theory-scaled``: the label of a series of `table`, which
    then holds it beside the series to fit, or a table of one series. Which interval covers what is written at
    `LawParameter`. The bootstrap enumerates all resamples of up to six seeds; of more it takes `draws` by `rng`
    (`numpy.random.default_rng(0)` if None, so that a table gives the same interval each time), none if `draws` is 0.

    Raises
    ------
    InputError
        If `table` is no valid curve table or holds not exactly one series (besides the theory's), a R_f is 0,
        there are too few distinct P for the law, or the law needs a theory that is not there.
    """
    require_integer("draws", draws, 0)
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    label, rows, curve = one_series(table, theory)
    return fit_rows(rows, label, law, curve, confidence, draws, rng or np.random.default_rng(0))


def one_series(
    table: pd.DataFrame, theory: str | pd.DataFrame | None
) -> tuple[str, pd.DataFrame, TheoryCurve | None]:
    """Label and rows of the series to fit, and the theory's curve."""
    groups = series(validate_table(table))
    curve = None
    if isinstance(theory, str):
        if theory not in groups:
            raise InputError("theory", theory, "must be the label of a series: " + listing(list(groups), 8))
        curve = TheoryCurve.of(groups.pop(theory), theory)
    elif theory is not None:
        valid = validate_table(theory, "theory")
        curve = TheoryCurve.of(valid, next(iter(series(valid)), "theory"))
    if len(groups) != 1:
        words = f"{len(groups)} series ({listing(list(groups))})" if groups else "empty"
        raise InputError("table", words, "must hold one series to fit")
    ((label, rows),) = groups.items()
    return label, rows, curve


def fit_rows(
    rows: pd.DataFrame,
    label: str,
    name: LawName,
    theory: TheoryCurve | None,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> LawFit:
    """`fit_law` for the rows of one series of a valid table."""
    errors = seed_errors(rows, label)
    whole = errors.means()
    law = make_law(name, whole.log_sizes, whole.means, theory)
    best, missed = _best(law, whole)
    jacobian = _jacobian(law, whole, best)
    total = max(missed + whole.pure, whole.n * ROUNDING**2)
    freedom = whole.n - best.size
    profile = _profiles(law, whole, best, total, jacobian, confidence)
    seeds, bootstrap = _over_seeds(law, errors, best, confidence, draws, rng)
    residuals = whole.whiten @ (whole.means - law.log_value(best, whole.log_sizes))
    return LawFit(
        label=label,
        law=law,
        theory=None if law.theory is None else law.theory.label,
        parameters=tuple(
            LawParameter(
                parameter.name,
                Estimate(parameter.shown(float(best[i])), *profile[i], whole.n, confidence)
                if freedom > 0
                else Estimate(parameter.shown(float(best[i])), n=whole.n, confidence=confidence),
                seeds[i],
                bootstrap[i],
            )
            for i, parameter in enumerate(law.parameters)
        ),
        goodness=goodness(residuals, jacobian, whole.pure, whole.pure_freedom, whole.n, ROUNDING),
        seed_deviation=math.sqrt(errors.variance),
        seed_correlation=errors.correlation,
        equal_variances=errors.equal_variances,
        extended=law.extended(tuple(best.tolist()), whole.log_sizes),
        x_range=(math.exp(whole.log_sizes[0]), math.exp(whole.log_sizes[-1])),
        n_points=whole.n,
        n_sizes=int(whole.means.size),
        n_seeds=len(errors.seeds),
        residuals=_residuals(law, errors, whole, best, confidence),
        fitted=tuple(best.tolist()),
        points=tuple(
            zip(
                rows["train_size"].astype(float).tolist(),
                rows["relative_stability"].astype(float).tolist(),
                strict=True,
            )
        ),
    )


def beyond_theory(fit: LawFit) -> bool:
    """Whether more than half of the measured range is read off the extension of the theory's curve, not off it."""
    return fit.extended > 0.5


def _best(law: Law, data: SeedMeans) -> tuple[np.ndarray, float]:
    """Parameters of least squares by lmfit, the best over the law's starts, and their sum of squares."""
    from lmfit import Minimizer, Parameters  # takes a second to import

    names = [parameter.name for parameter in law.parameters]

    def residuals(values: Any) -> np.ndarray:
        shown = np.array([values[name].value for name in names])
        return data.whiten @ (data.means - law.log_value(shown, data.log_sizes))

    found: list[tuple[float, Numbers]] = []
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


def _again(law: Law, data: SeedMeans, start: np.ndarray, fixed: int | None = None) -> tuple[np.ndarray, float]:
    """Least squares from a point near the optimum, the parameter `fixed` held.

    The same MINPACK routine that lmfit calls, ten times faster without lmfit's parameter objects: a profile and a
    bootstrap need hundreds of fits. Beyond its bounds a parameter is worth its bound, and is drawn back.
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


def _jacobian(law: Law, data: SeedMeans, best: np.ndarray) -> np.ndarray:
    """Derivatives of the whitened law (P by parameters), by central differences."""
    step = 1e-4
    columns = []
    for i in range(best.size):
        change = np.zeros(best.size)
        change[i] = step
        up, down = law.log_value(best + change, data.log_sizes), law.log_value(best - change, data.log_sizes)
        columns.append(data.whiten @ (up - down) / (2 * step))
    return np.column_stack(columns)


def _profiles(
    law: Law, data: SeedMeans, best: np.ndarray, total: float, jacobian: np.ndarray, confidence: float
) -> list[tuple[float, float]]:
    """The F test's interval of each parameter, as shown."""
    freedom = data.n - best.size
    if freedom < 1:
        return [(math.nan, math.nan)] * best.size
    limit = total / freedom * float(stats.t.ppf((1 + confidence) / 2, freedom)) ** 2 + total
    steps = np.sqrt(np.clip(np.diag(np.linalg.pinv(jacobian.T @ jacobian)), 0, None) * total / freedom)
    found = []
    for i, parameter in enumerate(law.parameters):
        last = best.copy()

        def misfit(value: float, i: int = i, last: np.ndarray = last) -> float:
            found = []
            for start in (last, best):
                held = start.copy()
                held[i] = value
                found.append(_again(law, data, held, fixed=i))
            values, missed = min(found, key=lambda pair: pair[1])
            last[:] = values
            return missed + data.pure

        ends = profile_interval(
            misfit,
            float(best[i]),
            float(np.clip(steps[i], 1e-6, 0.5)),
            limit,
            (parameter.low, parameter.high),
            (parameter.edge_low, parameter.edge_high),
        )
        closed = [
            edge if math.isfinite(end) and _runs_away(law, data, best, i, end) else end
            for end, edge in zip(ends, (parameter.edge_low, parameter.edge_high), strict=True)
        ]
        found.append((_end(parameter.log, closed[0]), _end(parameter.log, closed[1])))
    return found


def _runs_away(law: Law, data: SeedMeans, best: np.ndarray, i: int, end: float) -> bool:
    """Whether s meets its bound with parameter `i` at this end: nothing but that bound then closes the interval."""
    held = best.copy()
    held[i] = end
    values, _ = _again(law, data, held, fixed=i)
    return any(
        parameter.name == "shift" and j != i and not parameter.low + 0.1 < values[j] < parameter.high - 0.1
        for j, parameter in enumerate(law.parameters)
    )


def _end(log: bool, fitted: float) -> float:
    if not log:
        return fitted
    return math.inf if fitted > 709 else math.exp(fitted)


def _over_seeds(
    law: Law, errors: SeedErrors, best: np.ndarray, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[list[Estimate | None], list[Estimate | None]]:
    """Student's t over seeds and the percentile bootstrap of each parameter; None where there are too few seeds."""
    nothing: list[Estimate | None] = [None] * best.size
    count = len(errors.seeds)
    if count < LEAST_SEEDS or not errors.replicated:
        return nothing, nothing
    columns = range(count)
    without = [_refit(law, errors, tuple(j for j in columns if j != i), best) for i in columns]
    whole = _scales(law, best)
    if any(values is None for values in without):
        return nothing, nothing  # without some seed there are too few P
    left = np.array([_scales(law, values) for values in without if values is not None])
    # At a bound a parameter does not move with the seeds: only the profile says how far it may lie.
    inside = [p.low + 1e-3 < value < p.high - 1e-3 for p, value in zip(law.parameters, best, strict=True)]
    seeds = [
        _shown(law, i, jackknife_interval(float(whole[i]), left[:, i], confidence)) if inside[i] else None
        for i in range(best.size)
    ]
    if not draws:
        return seeds, [None] * best.size
    kept = [
        (values, weight)
        for chosen, weight in resamples(count, draws, rng)
        if (values := _refit(law, errors, chosen, best)) is not None
    ]
    table = np.array([_scales(law, values) for values, _ in kept])
    weights = np.array([weight for _, weight in kept])
    bootstrap = [
        _shown(law, i, bootstrap_interval(float(whole[i]), table[:, i], weights, count, confidence))
        if inside[i]
        else None
        for i in range(best.size)
    ]
    return seeds, bootstrap


def _refit(law: Law, errors: SeedErrors, seeds: tuple[int, ...], best: np.ndarray) -> np.ndarray | None:
    """The law fitted to some seeds, from the parameters of all; None if they have too few P for it."""
    data = errors.means(seeds)
    if data.means.size < best.size:
        return None
    return _again(law, data, best)[0]


def _scales(law: Law, values: np.ndarray) -> np.ndarray:
    """Parameters on the scale on which they are averaged: logarithms, but the floor, which may be 0, as it is."""
    return np.array(
        [p.shown(float(value)) if p.may_vanish else value for p, value in zip(law.parameters, values, strict=True)]
    )


def _shown(law: Law, i: int, estimate: Estimate) -> Estimate:
    parameter = law.parameters[i]
    ends = [estimate.value, estimate.low, estimate.high]
    if parameter.may_vanish:
        ends = [max(end, 0.0) for end in ends]
    elif parameter.log:
        ends = [_end(True, end) for end in ends]
    return Estimate(ends[0], ends[1], ends[2], estimate.n, estimate.confidence)


def _residuals(
    law: Law, errors: SeedErrors, data: SeedMeans, best: np.ndarray, confidence: float
) -> tuple[Residual, ...]:
    """log R_f minus the law at each P, with the interval of the mean over seeds."""
    missed = data.means - law.log_value(best, data.log_sizes)
    half = np.full(missed.size, math.nan)
    if data.pure_freedom > 0:
        quantile = float(stats.t.ppf((1 + confidence) / 2, data.pure_freedom))
        half = quantile * np.sqrt(errors.variance * np.diag(data.covariance))
    counts = np.isfinite(errors.logs).sum(axis=1)
    return tuple(
        Residual(round(math.exp(x)), Estimate(float(r), float(r - h), float(r + h), int(n), confidence))
        for x, r, h, n in zip(data.log_sizes, missed, half, counts, strict=True)
    )
