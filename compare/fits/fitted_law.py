"""A law fitted to a series: parameters with their intervals, goodness, residuals, a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.curves.numbers import format_estimate, format_interval, format_number, json_ready
from compare.curves.series import OfSeries
from compare.fits.goodness import Goodness
from compare.fits.law_plot import DrawnLaw
from compare.fits.laws import SYMBOLS, Law, LawName
from theory.common.estimate import Estimate

__all__ = ["LawFit", "LawParameter", "Residual"]

#: Parameters that are positive: an interval of theirs that reaches 0 is open below.
_POSITIVE = ("amplitude", "floor", "break_size", "scale", "shift")


@dataclass(frozen=True, slots=True)
class LawParameter:
    r"""One fitted parameter; a side of its interval that the data leave open is infinite (or at its bound).

    Made by `fit_law`.

    The interval is the profile's: all values theta at which the sum of squares S, the other k - 1 parameters refitted,
    is not worse than at the optimum by more than the F test allows,

    .. math:: S(\theta) \le S_{\min} \left(1 + \frac{F_{1, N - k}}{N - k}\right)

    It rests on the pooled variance and correlation of the seeds. Source: Bates and Watts, *Nonlinear Regression
    Analysis and Its Applications* (1988), chapter 6.

    Attributes
    ----------
    name : the parameter's, ``b`` or ``shift`` say
    estimate : value and interval; exponents are dimensionless, ``break_size`` is a P, ``shift`` a ratio of P
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
    """log R_f minus the law at one P, the mean over its seeds; see `fit_law`.

    The interval is Student's t with the pooled variance of the seeds; NaN where no P is replicated.

    Attributes
    ----------
    train_size : P
    value : mean over seeds of log R_f, less the law's
    """

    train_size: int
    value: Estimate

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"train_size": self.train_size, **self.value.summary()}


@dataclass(frozen=True, slots=True, repr=False)
class LawFit(OfSeries, DrawnLaw):
    r"""A law fitted to one series by generalised least squares of log R_f, all seeds together, see `fit_law`.

    .. math::

        \min_\theta \; \sum_s r_s^\top C^{-1} r_s, \qquad
        r_s(P) = \log R_f(P, s) - \log R_\theta(P), \qquad
        C_{P P'} = \rho^{\left\lvert \log_2 (P' / P) \right\rvert}

    A series of one seed is unweighted.

    Attributes
    ----------
    key : what the series is of
    law : the law, with its formula
    parameters : its parameters, in the order of the formula
    goodness : information criteria and the test of lack of fit
    seed_deviation : standard deviation of log R_f between seeds, pooled over P
    seed_correlation : rho, between neighbouring doublings of P
    extended : the part of the measured range, from 0 to 1, for which the theory's curve had to be extended beyond its
        ends
    x_range : smallest and largest P
    n_points, n_sizes, n_seeds : rows, distinct P and seeds
    residuals : one at each P
    fitted : the parameters as they were fitted, logarithms where they are positive
    points : pairs (P, R_f), one a row
    """

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
    def name(self) -> LawName:
        """The law's name, ``power`` say."""
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
        """R_f at P, by the law.

        Parameters
        ----------
        train_size : P, positive, of any shape

        Returns
        -------
        R_f in the shape of `train_size`.
        """
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

    def _axis_words(self) -> tuple[str, str]:
        return "P", "R_f"

    def _title(self) -> str:
        return f"{self.label}: {self.law.formula}"
