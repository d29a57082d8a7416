"""The laws that a series R_f(P) is fitted with: their formulas, parameters, bounds and first guesses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from compare.curves.series import SERIES_KEY
from theory.common.errors import InputError, require_choice

__all__ = ["LAWS", "SYMBOLS", "Law", "LawName", "Parameter", "TheoryCurve", "make_law"]

LawName = Literal["power", "floor", "broken", "theory-shifted", "theory-scaled"]
#: Laws, the simplest first, and the distinct P that each needs: one more than it has parameters.
LAWS: dict[LawName, int] = {"power": 3, "theory-shifted": 2, "theory-scaled": 3, "floor": 4, "broken": 5}
#: Symbols of parameters in the formulas, where they are not the parameter's own name.
SYMBOLS = {"amplitude": "A", "floor": "F", "break_size": "P_b", "scale": "a", "shift": "s"}
#: Width in log P of the bend of a broken power law: it passes from one slope to the other within a factor e or so.
BEND = 0.5
#: Beyond the overlap of measurement and theory, s may lie this far in log P.
_REACH = math.log(1e6)
#: A floor this far (in log R_f) below the smallest value cannot be told from none.
_DEPTH = 8.0
_STEEPEST = 20.0
#: Tasks of the simple model by their names: the dimension d and, of a cylinder, that of its informative part.
_TASK = re.compile(r"stripe-d(\d+)|cylinder-d(\d+)-(\d+)")

Numbers = tuple[float, ...]
Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: fitted between `low` and `high` as it is or, if `log`, as its logarithm.

    `edge_low` is what the lower end of an interval becomes that reaches its bound: infinite where the bound is only
    numerical, a value (in fitted terms) where it has a meaning.
    """

    name: str
    log: bool = False
    low: float = -math.inf
    high: float = math.inf
    edge_low: float = -math.inf
    may_vanish: bool = False

    def shown(self, fitted: float) -> float:
        """The parameter itself; one that may vanish is 0 at its lower bound."""
        if self.may_vanish and fitted <= self.low + 1e-3:
            return 0.0
        if not self.log:
            return fitted
        return math.inf if fitted > 709 else math.exp(fitted)


@dataclass(frozen=True, slots=True)
class TheoryCurve:
    r"""R_th(P) of one series: the geometric means over its seeds, interpolated in log-log.

    Between its points by the monotone cubic of Fritsch and Carlson (PCHIP), which has no kinks and makes no
    bumps; beyond its last P along the slope of its last pair of points. Below its first P along the slope of its
    first pair, but no higher than the model saturates, and no lower than the first value:

    .. math:: R_f \le \frac{d}{d - d_\parallel}

    For fewer points the model only tends to its saturation. The curve is taken as exact. Sources: Fritsch and Carlson,
    SIAM Journal on Numerical Analysis 17, 238 (1980); the saturation is that of a net whose gradient is isotropic.

    Attributes
    ----------
    label : how the series prints
    log_sizes : log P, rising
    log_values : log R_f at these P
    log_saturation : log of the model's saturation; 0, for R_f = 1, where the task's name does not tell d

    Example
    -------
    >>> import numpy as np
    >>> from compare import TheoryCurve
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> sizes = (16, 32, 64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in sizes)
    >>> curve = TheoryCurve.of(theory)
    >>> np.exp(curve.log_at(np.log([64, 512]))).round(4).tolist()
    [0.1111, 0.0154]
    >>> round(float(np.exp(curve.log_saturation)), 4) == round(30 / 29, 4)
    True
    """

    label: str
    log_sizes: Numbers
    log_values: Numbers
    log_saturation: float = 0.0
    _inside: PchipInterpolator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inside", PchipInterpolator(self.log_sizes, self.log_values))

    @staticmethod
    def of(rows: pd.DataFrame, label: str = "theory") -> TheoryCurve:
        """The curve of the rows of one series, those with R_f = 0 left out.

        Parameters
        ----------
        rows : rows of a valid curve table
        label : how the series prints, for messages too

        Raises
        ------
        InputError
            If `rows` are several series, or have fewer than two P with a positive R_f.
        """
        if (count := len(rows[list(SERIES_KEY)].drop_duplicates())) > 1:
            raise InputError(label, f"{count} series", "must hold one series only")
        kept = rows[rows["relative_stability"] > 0]
        sizes = kept["train_size"].to_numpy(dtype=float)
        logs = np.log(kept["relative_stability"].to_numpy(dtype=float))
        distinct, which = np.unique(sizes, return_inverse=True)
        if distinct.size < 2:
            raise InputError(label, f"{distinct.size} P with R_f > 0", "must have at least two")
        means = np.bincount(which, logs) / np.bincount(which)
        limit = math.log(_saturation(str(kept["task"].iloc[0])))
        return TheoryCurve(label, tuple(np.log(distinct).tolist()), tuple(means.tolist()), limit)

    @property
    def log_top(self) -> float:
        """log of the model's largest R_f: its saturation, or what the curve reaches above it."""
        return max(*self.log_values, self._log_cap)

    @property
    def _log_cap(self) -> float:
        """Where the curve ends that is extended below its first P; never below its own first value."""
        return max(self.log_saturation, self.log_values[0])

    def log_at(self, log_size: Array) -> Array:
        """log R_th at log P.

        Parameters
        ----------
        log_size : log P, of any shape

        Returns
        -------
        log R_th in the shape of `log_size`.
        """
        x, y = np.array(self.log_sizes), np.array(self.log_values)
        first, last = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
        below = np.clip(y[0] + first * (log_size - x[0]), y[0], self._log_cap)
        inside = self._inside(np.clip(log_size, x[0], x[-1]))
        return np.where(log_size < x[0], below, inside + last * np.maximum(log_size - x[-1], 0))

    def extended(self, log_sizes: Array) -> float:
        """The part, from 0 to 1, of a range of P that lies beyond the ends of the curve.

        Parameters
        ----------
        log_sizes : log P, of any shape; their smallest and largest are the range
        """
        low, high = float(np.min(log_sizes)), float(np.max(log_sizes))
        covered = max(0.0, min(high, self.log_sizes[-1]) - max(low, self.log_sizes[0]))
        return 1 - covered / (high - low) if high > low else float(covered <= 0)


def _saturation(task: str) -> float:
    """The R_f of an isotropic net, d/(d - d_par); 1 where the task's name does not tell d."""
    found = _TASK.fullmatch(task)
    if found is None:
        return 1.0
    stripe, dim, informative = found.groups()
    whole, part = (int(stripe), 1) if stripe else (int(dim), int(informative))
    return whole / (whole - part) if whole > part else 1.0


@dataclass(frozen=True, slots=True)
class Law:
    """A law for one series: its formula, its parameters, and log R_f as a function of log P.

    The laws are written out in `fit_law`.

    Attributes
    ----------
    name : the law's, as above
    formula : as it is printed
    parameters : names, and the ranges in which they are fitted
    pivot : the geometric mean of P
    starts : first guesses to fit from
    theory : R_th of the two laws that have it
    log_value : log R_f from (fitted parameters, log P); parameters that are positive as their logarithms
    """

    name: LawName
    formula: str
    parameters: tuple[Parameter, ...]
    pivot: float
    starts: tuple[Numbers, ...] = field(repr=False)
    theory: TheoryCurve | None = field(default=None, repr=False)
    log_value: Callable[[Array, Array], Array] = field(
        default=lambda values, log_sizes: log_sizes, repr=False, compare=False
    )

    @property
    def pivot_words(self) -> str:
        """``P0 = 2048`` where the formula has it, else nothing."""
        if "P0" not in self.formula:
            return ""
        return f"P0 = {self.pivot:.0f}" if self.pivot >= 1000 else f"P0 = {self.pivot:.4g}"

    def extended(self, values: Numbers, log_sizes: Array) -> float:
        """The part of the measured range, from 0 to 1, at which the theory's curve is extended; 0 without a theory.

        Parameters
        ----------
        values : the parameters as they are fitted, log s the last
        log_sizes : log P of the series, shape (distinct P,)
        """
        if self.theory is None:
            return 0.0
        return self.theory.extended(np.asarray(log_sizes) - values[-1])


def make_law(name: LawName, log_sizes: Array, log_values: Array, theory: TheoryCurve | None = None) -> Law:
    """The law `name` for a series with means `log_values` at distinct `log_sizes`, in rising order; see `fit_law`.

    The amplitude A of ``broken`` is the value at which its two lines meet; P_0 of ``power`` makes the errors of A and b
    independent; s of ``theory-shifted`` is how many times as many points as the theory a net needs.

    Raises
    ------
    InputError
        If `name` is no law, there are fewer distinct P than `LAWS` says, or a theory is needed and missing.
    """
    require_choice("law", name, list(LAWS))
    x, y = np.asarray(log_sizes, dtype=float), np.asarray(log_values, dtype=float)
    if x.size < LAWS[name]:
        raise InputError("series", f"{x.size} distinct P", f"must have at least {LAWS[name]} for the law {name}")
    if name in ("theory-shifted", "theory-scaled"):
        if theory is None:
            raise InputError("theory", "none", f"the law {name} needs a series of the theory")
        return _theory_law(name, x, y, theory)
    return {"power": _power, "floor": _floor, "broken": _broken}[name](x, y)


def _power(x: Array, y: Array) -> Law:
    middle = float(x.mean())
    slope, centre = np.polyfit(x - middle, y, 1)
    return Law(
        name="power",
        formula="A (P/P0)^-b",
        parameters=(Parameter("amplitude", log=True), Parameter("b")),
        pivot=math.exp(middle),
        starts=((float(centre), float(-slope)),),
        log_value=lambda p, t: p[0] - p[1] * (t - middle),
    )


def _floor(x: Array, y: Array) -> Law:
    middle, lowest, highest = float(x.mean()), float(y.min()), float(y.max())
    bounds = {"low": lowest - _DEPTH, "high": highest + 1}
    starts = []
    for below in (0.2, 1.0, _DEPTH - 1):
        level = lowest - below
        slope, centre = np.polyfit(x - middle, np.log(np.exp(y) - math.exp(level)), 1)
        starts.append((float(centre), float(np.clip(-slope, 0.05, _STEEPEST / 2)), level))
    return Law(
        name="floor",
        formula="A (P/P0)^-b + F",
        parameters=(
            Parameter("amplitude", log=True, low=lowest - 30, high=highest + 30),
            Parameter("b", low=0.0, high=_STEEPEST, edge_low=0.0),
            Parameter("floor", log=True, may_vanish=True, **bounds),
        ),
        pivot=math.exp(middle),
        starts=tuple(starts),
        log_value=lambda p, t: np.logaddexp(p[0] - p[1] * (t - middle), p[2]),
    )


def _broken(x: Array, y: Array) -> Law:
    starts = []
    for at in np.quantile(x, (0.3, 0.5, 0.7)):
        w = x - at
        design = np.column_stack([np.ones_like(x), -w, -_softened(w)])
        value, b1, turn = np.linalg.lstsq(design, y, rcond=None)[0]
        slopes = np.clip([b1, b1 + turn], -_STEEPEST / 2, _STEEPEST / 2)
        starts.append((float(value), float(slopes[0]), float(slopes[1]), float(at)))
    return Law(
        name="broken",
        formula="A (P/P_b)^-b1 below P_b, ^-b2 above",
        parameters=(
            Parameter("amplitude", log=True),
            Parameter("b1", low=-_STEEPEST, high=_STEEPEST),
            Parameter("b2", low=-_STEEPEST, high=_STEEPEST),
            Parameter("break_size", log=True, low=float(x[1]), high=float(x[-2])),
        ),
        pivot=math.exp(float(x.mean())),
        starts=tuple(starts),
        log_value=lambda p, t: p[0] - p[1] * (t - p[3]) - (p[2] - p[1]) * _softened(t - p[3]),
    )


def _softened(w: Array) -> Array:
    """max(w, 0) with a bend of width `BEND`."""
    return BEND * np.logaddexp(0, w / BEND)


def _theory_law(name: LawName, x: Array, y: Array, theory: TheoryCurve) -> Law:
    """Starts are the best of a scan over s: the interpolated curve is smooth but may have several minima."""
    low, high = x[0] - theory.log_sizes[-1] - _REACH, x[-1] - theory.log_sizes[0] + _REACH
    scan = np.linspace(low, high, 400)
    curves = theory.log_at(x[None, :] - scan[:, None])
    scaled = name == "theory-scaled"
    scales = (y - curves).mean(axis=1) if scaled else np.zeros(scan.size)
    misfit = ((y - curves - scales[:, None]) ** 2).sum(axis=1)
    padded = np.concatenate([[np.inf], misfit, [np.inf]])
    minima = np.flatnonzero((misfit <= padded[:-2]) & (misfit <= padded[2:]))
    best = minima[np.argsort(misfit[minima], kind="stable")[:3]]  # where the curve is flat, the smallest s
    room = float(scan[1] - scan[0])
    shift = Parameter("shift", log=True, low=float(low) - room, high=float(high) + room)
    return Law(
        name=name,
        formula="a R_th(P/s)" if scaled else "R_th(P/s)",
        parameters=(Parameter("scale", log=True), shift) if scaled else (shift,),
        pivot=math.exp(float(x.mean())),
        starts=tuple((float(scales[i]), float(scan[i])) if scaled else (float(scan[i]),) for i in best),
        theory=theory,
        log_value=((lambda p, t: p[0] + theory.log_at(t - p[1])) if scaled else (lambda p, t: theory.log_at(t - p[0]))),
    )
