"""A law fitted to a series: parameters with three kinds of interval, goodness, residuals, a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.curves.wording import format_interval, format_number
from compare.fits.goodness import Goodness
from compare.fits.laws import Law, LawName
from theory.common.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LawFit", "LawParameter", "Residual"]

Numbers = tuple[float, ...]
#: Parameters that are positive: an interval of theirs that reaches 0 is open below.
_POSITIVE = ("amplitude", "floor", "break_size", "scale", "shift")


@dataclass(frozen=True, slots=True)
class LawParameter:
    """One fitted parameter and its intervals; a side that the data leave open is infinite (or at its bound).

    - `profile`: all values of the parameter at which the sum of squares, the others refitted, is not worse by
      more than the F test allows. It rests on the pooled variance and correlation of the seeds.
    - `seeds`: Student's t over seeds (the jackknife's pseudo-values), three seeds or more; it assumes nothing
      about the scatter of one seed along P.
    - `bootstrap`: percentiles over resampled seeds. With three or four seeds it is much too narrow.
    """

    name: str
    profile: Estimate
    seeds: Estimate | None = None
    bootstrap: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """The value with the interval to quote: that over seeds where there is one, else the profile's.

        A floor's is the profile's: near 0 its values from single seeds are not scattered as Student's t has it.
        """
        return self.profile if self.seeds is None or self.name == "floor" else self.seeds

    @property
    def identified(self) -> bool:
        """Whether the data bound the parameter on both sides; a floor must also be told from 0."""
        low, high = self.profile.low, self.profile.high
        return bool(math.isfinite(low) and math.isfinite(high) and (self.name not in _POSITIVE or low > 0))

    def summary(self) -> dict[str, Any]:
        """JSON-ready; an open side is None, and `open` names it."""
        low, high = self.profile.low, self.profile.high
        open_below = not math.isfinite(low) or (self.name in _POSITIVE and low <= 0)
        sides = [side for side, there in (("below", open_below), ("above", not math.isfinite(high))) if there]
        return {
            "name": self.name,
            "value": self.profile.value if math.isfinite(self.profile.value) else None,
            "profile": self.profile.summary(),
            "open": sides,
            "seeds": None if self.seeds is None else self.seeds.summary(),
            "bootstrap": None if self.bootstrap is None else self.bootstrap.summary(),
            "identified": self.identified,
        }

    def __repr__(self) -> str:
        return f"{self.name} = {format_interval(self.estimate)}"


@dataclass(frozen=True, slots=True)
class Residual:
    """log R_f minus the law at one P: an Estimate whose interval is that of the mean over its seeds.

    The interval is Student's t with the pooled variance; NaN where no P is replicated.
    """

    train_size: int
    value: Estimate


@dataclass(frozen=True, slots=True, repr=False)
class LawFit:
    """A law fitted by least squares of log R_f, all seeds of a series together.

    Values are weighted by the inverse of the pooled covariance of the seeds (`seed_deviation`, the standard
    deviation of log R_f, and `seed_correlation` between neighbouring doublings of P, see `SeedErrors`); a
    series of one seed is unweighted and gets no interval over seeds. `extended` is the part of the measured
    range, from 0 to 1, at which the theory's curve had to be extended beyond its ends.
    """

    label: str
    law: Law
    theory: str | None
    parameters: tuple[LawParameter, ...]
    goodness: Goodness
    seed_deviation: float
    seed_correlation: float
    equal_variances: float | None
    extended: float
    x_range: tuple[float, float]
    n_points: int
    n_sizes: int
    n_seeds: int
    residuals: tuple[Residual, ...]
    fitted: Numbers = field(repr=False)
    points: tuple[tuple[float, float], ...] = field(default=(), compare=False)

    def __getitem__(self, name: str) -> LawParameter:
        """The parameter `name`; KeyError if the law has none such."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    @property
    def name(self) -> LawName:
        return self.law.name

    def predict(self, train_size: float | np.ndarray) -> np.ndarray:
        """R_f at P, in the shape of `train_size`."""
        logs = np.log(np.asarray(train_size, dtype=float))
        return np.exp(self.law.log_value(np.array(self.fitted), np.atleast_1d(logs))).reshape(logs.shape)

    def unidentified(self) -> tuple[str, ...]:
        """Names of the parameters that the data leave open on a side; a floor that may be 0 is one."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.identified)

    def summary(self) -> dict[str, Any]:
        """Everything but the points, JSON-ready."""
        return {
            "label": self.label,
            "law": self.name,
            "formula": self.law.formula,
            "theory": self.theory,
            "pivot": self.law.pivot,
            "parameters": [parameter.summary() for parameter in self.parameters],
            "unidentified": list(self.unidentified()),
            "goodness": self.goodness.summary(),
            "seed_deviation": _number(self.seed_deviation),
            "seed_correlation": self.seed_correlation,
            "equal_variances_p": self.equal_variances,
            "extended": self.extended,
            "x_range": list(self.x_range),
            "n_points": self.n_points,
            "n_sizes": self.n_sizes,
            "n_seeds": self.n_seeds,
            "residuals": [{"train_size": item.train_size, **item.value.summary()} for item in self.residuals],
        }

    def __repr__(self) -> str:
        low, high = map(format_number, self.x_range)
        seeds = f"{self.n_seeds} seed" + "s" * (self.n_seeds != 1)
        values = ", ".join([*map(repr, self.parameters), *filter(None, [self.law.pivot_words])])
        return f"R_f = {self.law.formula}: {values} over P = {low}…{high} (n={self.n_points}, {seeds})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points and the fitted law on log axes; on a new figure if `ax` is None. Returns the axes."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()
        ax.set(xscale="log", yscale="log", xlabel="P", ylabel="R_f")
        if self.points:
            ax.plot(*np.transpose(self.points), "o", color="#0072B2", alpha=0.7)
        line = np.geomspace(*self.x_range, 100)
        ax.plot(line, self.predict(line), "--", color="#D55E00")
        ax.set_title(f"{self.label}: {self.law.formula}".replace("$", r"\$"), fontsize="medium", wrap=True)
        return ax


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
