"""The law eps_t = a x^b of trained nets, x one of R_f, D_f and G_f, with intervals over whole series or seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.series import series
from compare.curves.wording import SYMBOLS, format_estimate, format_number
from compare.fits.intervals import bootstrap_interval, jackknife_interval, resamples
from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.common.estimate import Estimate, exponential
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ErrorLaw", "Unit", "clustered_error_law"]

Unit = Literal["series", "seed"]
_COLUMNS = ("relative_stability", "diffeo_stability", "noise_stability")
#: Units that an interval over units needs.
_LEAST = 3


@dataclass(frozen=True, slots=True, repr=False)
class ErrorLaw:
    """eps_t = amplitude * x^exponent by least squares of logarithms, with three kinds of interval.

    - `exponent` and `amplitude` (the value at x = 1): Student's t over the jackknife's pseudo-values of whole
      units: the series, or the seeds of each series. The points of one net along P share data and noise, and are
      no independent points. No interval below three units.
    - `pooled_exponent`, `pooled_amplitude`: as if all points were independent; much too narrow as a rule.
    - `bootstrap_exponent`, `bootstrap_amplitude`: percentiles over resampled units; too narrow for few of them.

    A fixed exponent has no interval. x is taken as exact: its scatter draws b towards 0.
    """

    x: str
    unit: Unit
    fixed: bool
    exponent: Estimate
    amplitude: Estimate
    pooled_exponent: Estimate
    pooled_amplitude: Estimate
    bootstrap_exponent: Estimate | None
    bootstrap_amplitude: Estimate | None
    residual_rms: float
    r_squared: float
    x_range: tuple[float, float]
    n_points: int
    n_units: int
    points: tuple[tuple[float, float], ...] = field(default=(), compare=False)

    def predict(self, x: float | np.ndarray) -> np.ndarray:
        """amplitude * x^exponent, in the shape of `x`."""
        return self.amplitude.value * np.asarray(x, dtype=float) ** self.exponent.value

    def holds(self, exponent: float) -> bool | None:
        """Whether the interval over units holds `exponent`; None without an interval."""
        if not math.isfinite(self.exponent.error):
            return None
        return bool(self.exponent.low <= exponent <= self.exponent.high)

    def summary(self) -> dict[str, Any]:
        """Everything but the points, JSON-ready."""
        names = ("exponent", "amplitude", "pooled_exponent", "pooled_amplitude")
        boot = {name: getattr(self, name) for name in ("bootstrap_exponent", "bootstrap_amplitude")}
        return {
            "x": self.x,
            "unit": self.unit,
            "fixed": self.fixed,
            **{name: getattr(self, name).summary() for name in names},
            **{name: None if value is None else value.summary() for name, value in boot.items()},
            "residual_rms": self.residual_rms,
            "r_squared": self.r_squared if math.isfinite(self.r_squared) else None,
            "x_range": list(self.x_range),
            "n_points": self.n_points,
            "n_units": self.n_units,
        }

    def __repr__(self) -> str:
        symbol = SYMBOLS[self.x]
        power = f"{self.exponent.value:g}" if self.fixed else format_estimate(self.exponent)
        low, high = map(format_number, self.x_range)
        return (
            f"eps_t = ({format_estimate(self.amplitude)}) {symbol}^({power}) over {symbol} = {low}…{high} "
            f"(n={self.n_points}, {self.n_units} {'series' if self.unit == 'series' else 'seeds of series'})"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points and the law on log axes; on a new figure if `ax` is None. Returns the axes."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()
        ax.set(xscale="log", yscale="log", xlabel=SYMBOLS[self.x], ylabel="eps_t")
        ax.plot(*np.transpose(self.points), "o", color="#0072B2", alpha=0.7)
        line = np.geomspace(*self.x_range, 50)
        ax.plot(line, self.predict(line), "--", color="#D55E00")
        return ax


def clustered_error_law(
    table: pd.DataFrame,
    x: str = "relative_stability",
    *,
    exponent: float | None = None,
    unit: Unit = "series",
    confidence: float = 0.95,
    draws: int = 999,
    rng: np.random.Generator | None = None,
) -> ErrorLaw:
    """Fit eps_t = a x^b to all trained rows with a positive test error and x, whatever their series.

    b is free if `exponent` is None, else fixed: 1/2 is the law that CIFAR10 nets follow at a displacement of one
    pixel, eps_t ~ 0.2 sqrt(R_f) (arXiv 2105.02468, figure 3). `unit` is what is left out or resampled as a whole:
    a series (data set, net), or one seed of a series. `rng` draws the bootstrap of more than six units
    (`numpy.random.default_rng(0)` if None).

    Raises
    ------
    InputError
        If `x` or `unit` is none of those allowed, or there are fewer than three such rows or two distinct x.
    """
    require_choice("x", x, _COLUMNS)
    require_choice("unit", unit, ("series", "seed"))
    require_integer("draws", draws, 1)
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    if exponent is not None:
        exponent = require_real("exponent", exponent)
    valid = validate_table(table)
    rows = valid[(valid["stage"] == "trained") & (valid["test_error"] > 0) & (valid[x] > 0)]
    if len(rows) < 3 or len(set(rows[x])) < 2:
        words = "must hold three trained rows or more with a test error above 0, at two values of x above 0"
        raise InputError("table", f"{len(rows)} such rows", words)
    parts = [
        group
        for own in series(rows).values()
        for group in ([own] if unit == "series" else [seed for _, seed in own.groupby("seed", sort=True)])
    ]
    logs = [(np.log(part[x].to_numpy(dtype=float)), np.log(part["test_error"].to_numpy(dtype=float))) for part in parts]
    u, v = (np.concatenate([pair[i] for pair in logs]) for i in (0, 1))
    whole = _line(u, v, exponent)
    residual = v - whole[0] - whole[1] * u
    jackknifed = bootstrapped = None
    if len(logs) >= _LEAST:
        left = [_over(logs, [j for j in range(len(logs)) if j != i], exponent) for i in range(len(logs))]
        if all(line is not None for line in left):
            lines = np.array(left)
            jackknifed = [jackknife_interval(whole[i], lines[:, i], confidence) for i in (0, 1)]
        chosen = resamples(len(logs), draws, rng or np.random.default_rng(0))
        kept = [(line, weight) for units, weight in chosen if (line := _over(logs, units, exponent)) is not None]
        lines, weights = np.array([line for line, _ in kept]), np.array([weight for _, weight in kept])
        bootstrapped = [bootstrap_interval(whole[i], lines[:, i], weights, len(logs), confidence) for i in (0, 1)]
    bare = [Estimate(value, n=len(logs), confidence=confidence) for value in whole]
    found = jackknifed or bare
    pooled = _pooled(u, v, whole, exponent, confidence)
    spread = float(((v - v.mean()) ** 2).sum())
    return ErrorLaw(
        x=x,
        unit=unit,
        fixed=exponent is not None,
        exponent=found[1] if exponent is None else bare[1],
        amplitude=exponential(found[0]),
        pooled_exponent=pooled[1],
        pooled_amplitude=exponential(pooled[0]),
        bootstrap_exponent=bootstrapped[1] if bootstrapped and exponent is None else None,
        bootstrap_amplitude=exponential(bootstrapped[0]) if bootstrapped else None,
        residual_rms=float(np.sqrt(np.mean(residual**2))),
        r_squared=1 - float((residual**2).sum()) / spread if spread > 0 else math.nan,
        x_range=(math.exp(u.min()), math.exp(u.max())),
        n_points=u.size,
        n_units=len(logs),
        points=tuple(zip(np.exp(u).tolist(), np.exp(v).tolist(), strict=True)),
    )


def _line(u: np.ndarray, v: np.ndarray, exponent: float | None) -> tuple[float, float]:
    """log a and b of least squares."""
    if exponent is not None:
        return float((v - exponent * u).mean()), exponent
    slope = float(((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum())
    return float(v.mean() - slope * u.mean()), slope


def _over(
    logs: list[tuple[np.ndarray, np.ndarray]], units: list[int] | tuple[int, ...], exponent: float | None
) -> tuple[float, float] | None:
    """The line through some units; None if they have one x only."""
    u, v = (np.concatenate([logs[j][i] for j in units]) for i in (0, 1))
    if exponent is None and float(np.ptp(u)) < 1e-9:
        return None
    return _line(u, v, exponent)


def _pooled(
    u: np.ndarray, v: np.ndarray, whole: tuple[float, float], exponent: float | None, confidence: float
) -> list[Estimate]:
    """Intervals of log a and b as if all points were independent."""
    free = u.size - (1 if exponent is not None else 2)
    quantile = float(stats.t.ppf((1 + confidence) / 2, free))
    deviation = math.sqrt(float(((v - whole[0] - whole[1] * u) ** 2).sum()) / free)
    if exponent is not None:
        half = [quantile * deviation / math.sqrt(u.size), math.nan]
    else:
        spread = float(((u - u.mean()) ** 2).sum())
        half = [
            quantile * deviation * math.sqrt(1 / u.size + float(u.mean()) ** 2 / spread),
            quantile * deviation / math.sqrt(spread),
        ]
    return [Estimate(w, w - h, w + h, u.size, confidence) for w, h in zip(whole, half, strict=True)]
