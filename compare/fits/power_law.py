"""The result of a power-law fit: numbers with intervals, a sentence, a dictionary, a plot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from compare.curves.wording import SYMBOLS, format_estimate, format_number
from theory.common.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["IntervalMethod", "PowerLawFit"]

IntervalMethod = Literal["per-seed", "pooled"]


@dataclass(frozen=True, slots=True, repr=False)
class PowerLawFit:
    """y = amplitude * x^exponent, fitted to log y against log x.

    `amplitude` is the value at x = 1, far from the data as a rule; `value_at_pivot` is the value at the
    geometric mean `pivot` of x, whose error is independent of the exponent's. `curvature` is the coefficient
    of (log(x / pivot))^2 when a parabola is fitted instead (None below four distinct x): its interval leaves
    out 0 where the curve is not a power law. `residual_rms` is the root mean square, over x, of the seeds'
    mean log y about the line. `interval_method` says where intervals come from, see `fit_power_law`.
    """

    label: str
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
    #: (seed, its own exponent), where the interval is over seeds.
    seed_exponents: tuple[tuple[int, float], ...] = field(default=(), compare=False, repr=False)

    @property
    def bent(self) -> bool:
        """Whether the curvature's interval leaves out 0 (beyond rounding)."""
        if self.curvature is None or not np.isfinite(self.curvature.error):
            return False
        return bool(self.curvature.low > 1e-9 or self.curvature.high < -1e-9)

    def predict(self, x: float | np.ndarray) -> np.ndarray:
        """amplitude * x^exponent, in the shape of `x`."""
        return self.value_at_pivot.value * (np.asarray(x, dtype=float) / self.pivot) ** self.exponent.value

    def summary(self) -> dict[str, Any]:
        """Everything but the points, JSON-ready."""
        return {
            "label": self.label,
            "x": self.x,
            "y": self.y,
            "exponent": self.exponent.summary(),
            "amplitude": self.amplitude.summary(),
            "pivot": self.pivot,
            "value_at_pivot": self.value_at_pivot.summary(),
            "interval_method": self.interval_method,
            "residual_rms": self.residual_rms,
            "curvature": None if self.curvature is None else self.curvature.summary(),
            "bent": self.bent,
            "x_range": list(self.x_range),
            "n_points": self.n_points,
            "n_seeds": self.n_seeds,
        }

    def law(self) -> str:
        """The fit without its range: ``R_f ~ P^(-1.02 ± 0.03)``."""
        x, y = SYMBOLS.get(self.x, self.x), SYMBOLS.get(self.y, self.y)
        return f"{y} ~ {x}^({format_estimate(self.exponent)})"

    def __repr__(self) -> str:
        x, y = SYMBOLS.get(self.x, self.x), SYMBOLS.get(self.y, self.y)
        low, high = map(format_number, self.x_range)
        seeds = f"{self.n_seeds} seed" + "s" * (self.n_seeds != 1)
        return (
            f"{y} = {self.amplitude.value:.3g} {x}^({format_estimate(self.exponent)}) "
            f"over {x} = {low}…{high} (n={self.n_points}, {seeds})"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points and the fitted line on log axes; on a new figure if `ax` is None. Returns the axes."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()
        ax.set(
            xscale="log", yscale="log", xlabel=SYMBOLS.get(self.x, self.x), ylabel=SYMBOLS.get(self.y, self.y)
        )
        if self.points:
            ax.plot(*np.transpose(self.points), "o", color="#0072B2", alpha=0.7)
        line = np.geomspace(*self.x_range, 50)
        ax.plot(line, self.predict(line), "--", color="#D55E00")
        ax.set_title(f"{self.label}: {self.law()}".replace("$", r"\$"), fontsize="medium", wrap=True)
        return ax
