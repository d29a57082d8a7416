"""A law fitted to a series: parameters with their intervals, goodness, residuals, a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.curves.numbers import format_estimate, format_interval, format_number, json_ready
from compare.curves.series import SeriesKey
from compare.fits.goodness import Goodness
from compare.fits.law_plot import plot_law
from compare.fits.laws import SYMBOLS, Law, LawName
from theory.common.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LawFit", "LawParameter", "Residual"]

#: Parameters that are positive: an interval of theirs that reaches 0 is open below.
_POSITIVE = ("amplitude", "floor", "break_size", "scale", "shift")


@dataclass(frozen=True, slots=True)
class LawParameter:
    """One fitted parameter; a side of its interval that the data leave open is infinite (or at its bound).

    The interval is the profile's: all values at which the sum of squares, the other parameters refitted, is not
    worse by more than the F test allows. It rests on the pooled variance and correlation of the seeds.
    """

    name: str
    estimate: Estimate

    @property
    def identified(self) -> bool:
        """Whether the data bound the parameter on both sides; a floor must also be told from 0."""
        low, high = self.estimate.low, self.estimate.high
        return bool(math.isfinite(low) and math.isfinite(high) and (self.name not in _POSITIVE or low > 0))

    def words(self) -> str:
        """``b = 0.16 ± 0.09``; a floor that may be 0 as ``F < 0.3``; ``s not fixed`` where both sides are open."""
        name, found = SYMBOLS.get(self.name, self.name), self.estimate
        if self.identified or math.isnan(found.low):
            return f"{name} = {format_estimate(found)}"
        if not math.isfinite(found.low) or (self.name in SYMBOLS and found.low <= 0):
            return f"{name} < {found.high:.2g}" if math.isfinite(found.high) else f"{name} not fixed"
        return f"{name} > {found.low:.2g}"

    def summary(self) -> dict[str, Any]:
        """JSON-ready; an open side is None, and `open` names it."""
        low, high = self.estimate.low, self.estimate.high
        open_below = not math.isfinite(low) or (self.name in _POSITIVE and low <= 0)
        sides = [side for side, there in (("below", open_below), ("above", not math.isfinite(high))) if there]
        found = json_ready(self, "name", "estimate", "identified")
        return {**found, "value": json_ready(self.estimate.value), "open": sides}

    def __repr__(self) -> str:
        return f"{self.name} = {format_interval(self.estimate)}"


@dataclass(frozen=True, slots=True)
class Residual:
    """log R_f minus the law at one P: an Estimate whose interval is that of the mean over its seeds.

    The interval is Student's t with the pooled variance; NaN where no P is replicated.
    """

    train_size: int
    value: Estimate

    def summary(self) -> dict[str, Any]:
        return {"train_size": self.train_size, **self.value.summary()}


@dataclass(frozen=True, slots=True, repr=False)
class LawFit:
    """A law fitted by least squares of log R_f, all seeds of a series together.

    Values are weighted by the inverse of the pooled covariance of the seeds (`seed_deviation`, the standard
    deviation of log R_f, and `seed_correlation` between neighbouring doublings of P, see `SeedErrors`); a
    series of one seed is unweighted. `extended` is the part of the measured range, from 0 to 1, at which the
    theory's curve had to be extended beyond its ends.
    """

    key: SeriesKey
    law: Law
    parameters: tuple[LawParameter, ...]
    goodness: Goodness
    seed_deviation: float
    seed_correlation: float
    extended: float
    x_range: tuple[float, float]
    n_points: int
    n_sizes: int
    n_seeds: int
    residuals: tuple[Residual, ...]
    fitted: tuple[float, ...] = field(repr=False)
    points: tuple[tuple[float, float], ...] = field(default=(), compare=False)

    def __getitem__(self, name: str) -> LawParameter:
        """The parameter `name`; KeyError if the law has none such."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    @property
    def label(self) -> str:
        return str(self.key)

    @property
    def name(self) -> LawName:
        return self.law.name

    @property
    def theory(self) -> str | None:
        """What the theory's series prints as, of a law that has one."""
        return None if self.law.theory is None else self.law.theory.label

    @property
    def beyond_theory(self) -> bool:
        """Whether more than half of the measured range is read off the extension of the theory's curve, not off it."""
        return self.extended > 0.5

    def predict(self, train_size: float | np.ndarray) -> np.ndarray:
        """R_f at P, in the shape of `train_size`."""
        logs = np.log(np.asarray(train_size, dtype=float))
        return np.exp(self.law.log_value(np.array(self.fitted), np.atleast_1d(logs))).reshape(logs.shape)

    def unidentified(self) -> tuple[str, ...]:
        """Names of the parameters that the data leave open on a side; a floor that may be 0 is one."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.identified)

    def words(self) -> str:
        """All parameters, and the P at which the law has its amplitude."""
        return ", ".join([*(p.words() for p in self.parameters), *filter(None, [self.law.pivot_words])])

    def summary(self) -> dict[str, Any]:
        """Everything but the points, JSON-ready."""
        names = (
            "label", "theory", "parameters", "goodness", "seed_deviation", "seed_correlation", "extended", "x_range",
            "n_points", "n_sizes", "n_seeds", "residuals",
        )  # fmt: skip
        law = {"law": self.name, "formula": self.law.formula, "pivot": self.law.pivot}
        return {**law, **json_ready(self, *names), "unidentified": list(self.unidentified())}

    def __repr__(self) -> str:
        low, high = map(format_number, self.x_range)
        seeds = f"{self.n_seeds} seed" + "s" * (self.n_seeds != 1)
        values = ", ".join([*map(repr, self.parameters), *filter(None, [self.law.pivot_words])])
        return f"R_f = {self.law.formula}: {values} over P = {low}…{high} (n={self.n_points}, {seeds})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points and the fitted law on log axes; on a new figure if `ax` is None. Returns the axes."""
        title = f"{self.label}: {self.law.formula}"
        return plot_law(ax, self.points, self.predict, self.x_range, ("P", "R_f"), title)
