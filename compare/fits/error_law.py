"""The law eps_t = a x^b of trained nets, x one of R_f, D_f and G_f, with intervals over whole series or seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from compare.curves.numbers import SYMBOLS, Summarised, format_estimate, format_number
from compare.curves.series import Curves, SeriesKey
from compare.fits.jackknife import jackknife_interval
from compare.fits.law_plot import DrawnLaw
from compare.fits.power_law import positive
from theory.common.errors import InputError, require_choice, require_real
from theory.common.estimate import Estimate, exponential

__all__ = [
    "LEAST_UNITS", "X_COLUMNS", "ErrorLaw", "Unit", "clustered_error_law", "fit_error_law", "law_of_parts",
    "trained_parts",
]  # fmt: skip

Unit = Literal["series", "seed"]
X_COLUMNS = ("relative_stability", "diffeo_stability", "noise_stability")
#: Units that an interval over units needs.
LEAST_UNITS = 3


@dataclass(frozen=True, slots=True, repr=False)
class ErrorLaw(Summarised, DrawnLaw):
    r"""A law of the test error, see `clustered_error_law`.

    .. math:: \epsilon_t = a x^{b}

    Intervals are Student's t over the jackknife's pseudo-values of whole units: the series, or the seeds of each
    series. The points of one net along P share data and noise, and are no independent points. There is no interval
    below three units, nor of a fixed exponent. x is taken as exact: its scatter draws b towards 0.

    Attributes
    ----------
    x : column of the curve table: ``relative_stability`` R_f, ``diffeo_stability`` D_f or ``noise_stability`` G_f
    unit : what the jackknife leaves out, ``series`` or ``seed``
    fixed : whether b was given
    exponent : b
    amplitude : a, the test error at x = 1
    residual_rms : root mean square of log eps_t about the law
    r_squared : part of the variance of log eps_t that the law explains
    x_range : smallest and largest x
    n_points, n_units : rows and units
    points : pairs (x, eps_t), one a row
    """

    x: str
    unit: Unit
    fixed: bool
    exponent: Estimate
    amplitude: Estimate
    residual_rms: float
    r_squared: float
    x_range: tuple[float, float]
    n_points: int
    n_units: int
    points: tuple[tuple[float, float], ...] = field(default=(), compare=False)
    _told = (
        "x", "unit", "fixed", "exponent", "amplitude", "residual_rms", "r_squared", "x_range", "n_points", "n_units",
    )  # fmt: skip

    def predict(self, x: float | np.ndarray) -> np.ndarray:
        """amplitude * x^exponent.

        Parameters
        ----------
        x : positive, of any shape

        Returns
        -------
        The test error, in the shape of `x`.
        """
        return self.amplitude.value * np.asarray(x, dtype=float) ** self.exponent.value

    def holds(self, exponent: float) -> bool | None:
        """Whether the interval over units holds an exponent; None without an interval.

        Parameters
        ----------
        exponent : b of another law, 1/2 say
        """
        if not math.isfinite(self.exponent.error):
            return None
        return bool(self.exponent.low <= exponent <= self.exponent.high)

    def __repr__(self) -> str:
        symbol = SYMBOLS[self.x]
        power = f"{self.exponent.value:g}" if self.fixed else format_estimate(self.exponent)
        low, high = map(format_number, self.x_range)
        return (
            f"eps_t = ({format_estimate(self.amplitude)}) {symbol}^({power}) over {symbol} = {low}…{high} "
            f"(n={self.n_points}, {self.n_units} {'series' if self.unit == 'series' else 'seeds of series'})"
        )

    def _axis_words(self) -> tuple[str, str]:
        return SYMBOLS[self.x], "eps_t"


def clustered_error_law(
    table: pd.DataFrame | Curves,
    x: str = "relative_stability",
    *,
    exponent: float | None = None,
    unit: Unit = "series",
    confidence: float = 0.95,
) -> ErrorLaw:
    r"""Fit eps_t = a x^b to all trained rows with a positive test error and x, whatever their series.

    Least squares of log eps_t on log x; with the S units u left out in turn, the jackknife's interval of b is

    .. math:: b \pm t_{S - 1} \sqrt{\frac{\mathrm{var}_u(\tilde b_u)}{S}}, \qquad \tilde b_u = S b - (S - 1) b_{(u)}

    The law of CIFAR10 nets at a displacement of one pixel is eps_t ~ 0.2 sqrt(R_f) (arXiv 2105.02468, figure 3). The
    interval is Tukey's, see Miller, Biometrika 61, 1 (1974).

    Parameters
    ----------
    table : a curve table of any number of series
    x : ``relative_stability``, ``diffeo_stability`` or ``noise_stability``
    exponent : b if it is fixed; free if None
    unit : what the jackknife leaves out as a whole: a ``series`` (data set, net), or one ``seed`` of a series
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If `x` or `unit` is none of those allowed, or there are fewer than three such rows or two distinct x.

    Example
    -------
    >>> from compare import clustered_error_law
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "stage": "trained", "train_size": 1024, "seed": 0}
    >>> table = curve_table(
    ...     {**net, "architecture": name, "relative_stability": r, "test_error": 0.2 * r**0.5}
    ...     for name, r in (("mlp", 0.5), ("lenet", 0.1), ("vgg", 0.04), ("resnet", 0.02))
    ... )
    >>> round(clustered_error_law(table, exponent=0.5).amplitude.value, 6)
    0.2
    >>> law = clustered_error_law(table)
    >>> round(law.amplitude.value, 6), round(law.exponent.value, 6), law.holds(0.5)
    (0.2, 0.5, True)
    >>> float(round(law.predict(0.25), 6))
    0.1
    """
    require_choice("x", x, X_COLUMNS)
    require_choice("unit", unit, ("series", "seed"))
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    if exponent is not None:
        exponent = require_real("exponent", exponent)
    return law_of_parts(trained_parts(table, x), x, exponent, unit, confidence)


def fit_error_law(table: pd.DataFrame | Curves, *, confidence: float = 0.95) -> ErrorLaw:
    """Fit eps_t = a R_f^b to all trained rows with a test error, whatever their series: `clustered_error_law`.

    CIFAR10 nets at a displacement of one pixel have eps_t ~ 0.2 sqrt(R_f) (arXiv 2105.02468, figure 3): a of
    0.2 and b of 1/2. Intervals are over whole series (data set, net): nets differ by more than their seeds do. Below
    three series they are over the seeds of these, where there are three, and say nothing on other nets; `unit` of the
    result says which. Else there is none. A series that has the test errors of an earlier one is the same nets, R_f
    measured in another way (the published curves hold two interpolations), and left out.
    R_f is taken as exact: where its scatter matters, b comes out too close to 0.

    Parameters
    ----------
    table : a curve table of any number of series
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If there are no such rows, fewer than three, or a test error or R_f is 0.

    Example
    -------
    >>> from compare import fit_error_law
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "stage": "trained", "train_size": 1024, "seed": 0}
    >>> table = curve_table(
    ...     {**net, "architecture": name, "relative_stability": r, "test_error": 0.2 * r**0.5}
    ...     for name, r in (("mlp", 0.5), ("lenet", 0.1), ("vgg", 0.04), ("resnet", 0.02))
    ... )
    >>> law = fit_error_law(table)
    >>> round(law.amplitude.value, 6), round(law.exponent.value, 6), law.unit, law.n_units
    (0.2, 0.5, 'series', 4)
    """
    curves = Curves.of(table)
    trained = {key: rows[rows["test_error"].notna()] for key, rows in curves.parts.items() if key.stage == "trained"}
    trained = {key: rows for key, rows in trained.items() if len(rows)}
    if not trained:
        raise InputError("table", f"{len(curves.table)} rows", "must hold trained rows with a test error")
    seen: dict[tuple[tuple[float, ...], ...], SeriesKey] = {}
    for key, rows in trained.items():
        for name in ("relative_stability", "test_error"):
            positive(rows, name, key)
        errors = tuple(rows[["train_size", "seed", "test_error"]].astype("float64").itertuples(index=False, name=None))
        # One row may agree with another by chance.
        seen.setdefault(errors if len(errors) > 1 else (*errors, (float(len(seen)),)), key)
    kept = {key: trained[key] for key in seen.values()}
    law = law_of_parts(kept, "relative_stability", None, "series", confidence)
    if law.n_units >= LEAST_UNITS:
        return law
    by_seed = law_of_parts(kept, "relative_stability", None, "seed", confidence)
    return by_seed if by_seed.n_units >= LEAST_UNITS else law


def trained_parts(table: pd.DataFrame | Curves, x: str) -> dict[SeriesKey, pd.DataFrame]:
    """Of every trained series the rows whose test error and x are above 0; series without such a row are left out."""
    parts = {}
    for key, rows in Curves.of(table).parts.items():
        kept = rows[(rows["test_error"] > 0) & (rows[x] > 0)]
        if key.stage == "trained" and len(kept):
            parts[key] = kept
    return parts


def law_of_parts(
    parts: dict[SeriesKey, pd.DataFrame], x: str, exponent: float | None, unit: Unit, confidence: float
) -> ErrorLaw:
    """The law through all rows of the series; InputError below three rows or two x."""
    units = [
        (np.log(group[x].to_numpy(dtype=float)), np.log(group["test_error"].to_numpy(dtype=float)))
        for rows in parts.values()
        for group in ([rows] if unit == "series" else [own for _, own in rows.groupby("seed", sort=True)])
    ]
    u, v = (np.concatenate([pair[i] for pair in units]) if units else np.zeros(0) for i in (0, 1))
    if u.size < 3 or float(np.ptp(u)) < 1e-9:
        words = "must hold three trained rows or more with a test error above 0, at two values of x above 0"
        raise InputError("table", f"{u.size} such rows", words)
    whole = _line(u, v, exponent)
    found = [Estimate(value, n=len(units), confidence=confidence) for value in whole]
    left = [_without(units, i, exponent) for i in range(len(units))] if len(units) >= LEAST_UNITS else []
    lines = np.array([line for line in left if line is not None])
    if left and len(lines) == len(left):
        found = [jackknife_interval(whole[i], lines[:, i], confidence) for i in (0, 1)]
    residual = v - whole[0] - whole[1] * u
    spread = float(((v - v.mean()) ** 2).sum())
    return ErrorLaw(
        x=x,
        unit=unit,
        fixed=exponent is not None,
        exponent=found[1] if exponent is None else Estimate(exponent, n=len(units), confidence=confidence),
        amplitude=exponential(found[0]),
        residual_rms=float(np.sqrt(np.mean(residual**2))),
        r_squared=1 - float((residual**2).sum()) / spread if spread > 0 else math.nan,
        x_range=(math.exp(u.min()), math.exp(u.max())),
        n_points=u.size,
        n_units=len(units),
        points=tuple(zip(np.exp(u).tolist(), np.exp(v).tolist(), strict=True)),
    )


def _line(u: np.ndarray, v: np.ndarray, exponent: float | None) -> tuple[float, float]:
    """log a and b of least squares."""
    if exponent is not None:
        return float((v - exponent * u).mean()), exponent
    slope = float(((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum())
    return float(v.mean() - slope * u.mean()), slope


def _without(
    units: list[tuple[np.ndarray, np.ndarray]], left: int, exponent: float | None
) -> tuple[float, float] | None:
    """The line through all units but one; None if these have one x only."""
    u, v = (np.concatenate([pair[i] for j, pair in enumerate(units) if j != left]) for i in (0, 1))
    return None if exponent is None and float(np.ptp(u)) < 1e-9 else _line(u, v, exponent)
