"""The effective scale of P: how many times as many points a net needs as the simple model, and where they part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.nearest_theory import INITIAL, nearest_theory, usable_theory
from compare.curves.numbers import Summarised, format_interval, json_ready, skipped_lines, wrapped
from compare.curves.seed_errors import ROUNDING
from compare.curves.series import Curves, OfSeries, Results, SeriesKey
from compare.fits.fitted_law import LawFit
from compare.fits.law_fits import LawFitter
from compare.fits.laws import TheoryCurve
from theory.common.errors import InputError, require_real

__all__ = ["ABOVE", "OUTSIDE", "Parting", "Scale", "Scales", "effective_scales", "scales_of"]

#: Why a series has no s: no shift in P reaches it, or what s it would have is read off the extension of the theory.
ABOVE = "R_f lies above the model's largest value"
OUTSIDE = "its s would be read outside the P of the theory"


@dataclass(frozen=True, slots=True)
class Parting(Summarised):
    """The first P at which a series leaves the interval about the shifted theory; see `effective_scales`.

    The intervals are those of all P together: with K of them at confidence 1 - alpha, each stands at 1 - alpha / K
    (Bonferroni).

    Attributes
    ----------
    train_size : P
    side : ``above`` or ``below``
    factor : measured R_f over the shifted theory's there
    method : ``seeds``, Student's t with the pooled variance of the seeds, or ``images``, the rows' own intervals over
        images, of a single seed
    outside : all P that lie outside
    sizes : K, the number of P
    """

    train_size: int
    side: Literal["above", "below"]
    factor: float
    method: Literal["seeds", "images"]
    outside: tuple[int, ...]
    sizes: int
    _told = ("train_size", "side", "factor", "method", "outside")


@dataclass(frozen=True, slots=True)
class Scale(OfSeries):
    r"""One measured series against the theory, shifted and, if it has three P, scaled too; see `effective_scales`.

    .. math:: R_f(P) = R_{th}(P / s), \qquad R_f(P) = a R_{th}(P / s)

    It has an s that the data determine: at most half of its P have an R_f above the model's largest, and at most
    half of its range of P / s lies beyond the theory's own P (`extended`). Other series are in `Scales.skipped`.

    Attributes
    ----------
    key : what the measured series is of
    curve : R_th
    shifted : the fit of s, a ratio of P
    scaled : the fit of a, a ratio of R_f, and s; None below three P
    parting : where the series leaves the shifted theory; None if it never does
    tested : whether that could be seen, that is whether there are intervals
    """

    curve: TheoryCurve
    shifted: LawFit
    scaled: LawFit | None
    parting: Parting | None
    tested: bool

    @property
    def theory(self) -> str:
        """The theory's series as it is printed."""
        return self.curve.label

    @property
    def placed(self) -> tuple[float, float]:
        """a and s by which the series is laid on the theory: of the scaled law if the data fix both, else a = 1."""
        if self.scaled is not None and not self.scaled.beyond_theory and not self.scaled.unidentified():
            return self.scaled["scale"].estimate.value, self.scaled["shift"].estimate.value
        return 1.0, self.shifted["shift"].estimate.value

    @property
    def miss(self) -> float:
        """The factor by which measured means differ from the shifted theory, as a root mean square over P."""
        logs = [item.value.value for item in self.shifted.residuals]
        return math.exp(math.sqrt(float(np.mean(np.square(logs)))))

    def cells(self) -> tuple[str, str, str, str, str]:
        """s; the part of P / s beyond the theory's P; the miss; where it parts from the theory; the free a and s."""
        parts = "never" if self.tested else "no intervals"
        if self.parting is not None:
            parts = f"P = {self.parting.train_size} ({self.parting.side})"
        free = "–"
        if self.scaled is not None:
            beyond = self.scaled.beyond_theory
            free = "not fixed" if beyond else ", ".join(one.words() for one in self.scaled.parameters)
        s = format_interval(self.shifted["shift"].estimate)
        return s, f"{100 * self.shifted.extended:.0f} %", f"{self.miss:.2g} times", parts, free

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        scaled = None if self.scaled is None else json_ready(self.scaled.parameters)
        shift = {"shift": self.shifted["shift"].summary(), "extended": self.shifted.extended, "scaled": scaled}
        return {**json_ready(self, "label", "theory", "miss", "parting", "tested", "placed"), **shift}


class Scales(Results[Scale]):
    """The effective scales of all measured series, and the reason for each that has none; see `effective_scales`.

    Two of the reasons say that the series has a curve, which determines no s: R_f lies above the model's largest value,
    or s would be read outside the P of the theory (`without`). Iterates over the scales; `scales[name]` finds one by
    its series' key or printed name.

    Attributes
    ----------
    found : the scales, in the order of the series
    skipped : pairs (key, reason)
    """

    __slots__ = ()
    _plural = "scales"

    def without(self, reason: str | None = None) -> tuple[SeriesKey, ...]:
        """The keys of the series whose curve determines no s.

        Parameters
        ----------
        reason : one of the two, as `skipped` gives it; either if None
        """
        wanted = (ABOVE, OUTSIDE) if reason is None else (reason,)
        return tuple(key for key, why in self.skipped if why in wanted)

    def lines(self) -> list[str]:
        """Lines of at most 79 columns."""
        lines = []
        for scale in self:
            s, beyond, miss, parts, free = scale.cells()
            words = (
                f"s = {s}, off by {miss}, {beyond} of its range beyond the theory's P; departs: {parts}; free: {free}"
            )
            lines += wrapped(f"{scale.label} on {scale.theory}: {words}")
        return lines + skipped_lines("no effective scale", self.skipped)


def effective_scales(
    theory_table: pd.DataFrame | Curves,
    measured_table: pd.DataFrame | Curves,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> Scales:
    """How many times as many points as the theory a net needs for the same R_f: s for each measured series.

    .. math:: R_f(P) = R_{th}(P / s)

    s is fitted as in `fit_law`, with R_th interpolated as in `TheoryCurve`; s > 1 needs more points than the theory.
    The theory's series is the one that `contrast` lays beside the measured one. Series at stage "initial" have no
    scale, as R_f does not depend on P there; others have none whose R_f lies above the model's at more than half of
    their P, or that would be read mostly beyond the theory's own P (see `Scale`).

    Parameters
    ----------
    theory_table, measured_table : curve tables of any number of series
    stage : of the theory's series that is preferred where a series' own stage is not there
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If a table is no valid curve table, or no series of the theory has two P with a positive R_f.

    Example
    -------
    >>> from compare import effective_scales
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> [round(scale.shifted["shift"].estimate.value, 1) for scale in effective_scales(theory, measured)]
    [3.0]
    >>> scale = effective_scales(theory, measured)["images digits mlp trained"]
    >>> [round(number, 1) for number in scale.placed], round(scale.miss, 2), scale.tested
    ([1.0, 3.0], 1.0, False)
    >>> high = measured.assign(relative_stability=40 * measured["relative_stability"])
    >>> scales = effective_scales(theory, high)
    >>> len(scales), [why for _, why in scales.skipped], len(scales.without())
    (0, ["R_f lies above the model's largest value"], 1)
    >>> raised = measured["relative_stability"].where(measured["train_size"] < 1024, 0.034)
    >>> measured = measured.assign(relative_stability=raised, relative_stability_low=0.9 * raised)
    >>> measured = measured.assign(relative_stability_high=1.1 * raised)
    >>> parting = effective_scales(theory, measured)["images digits mlp trained"].parting
    >>> parting.train_size, parting.side, parting.method, parting.outside, parting.sizes
    (1024, 'above', 'images', (1024,), 5)
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    theory, measured = Curves.of(theory_table, "theory"), Curves.of(measured_table, "measured")
    return scales_of(theory, measured, stage, LawFitter(confidence))


def scales_of(theory: Curves, measured: Curves, stage: str | None, fitter: LawFitter) -> Scales:
    """`effective_scales` of parsed tables."""
    usable = usable_theory(theory)
    scales: list[Scale] = []
    skipped: list[tuple[SeriesKey, str]] = []
    for key, rows in measured.parts.items():
        if key.stage == "initial":
            skipped.append((key, INITIAL))
            continue
        beside = nearest_theory(key, usable.parts, stage)
        curve = TheoryCurve.of(usable.parts[beside], str(beside))
        try:
            shifted = fitter.fit(key, rows, "theory-shifted", curve)
        except InputError as error:
            skipped.append((key, str(error)))
            continue
        if (reason := _undetermined(shifted, curve)) is not None:
            skipped.append((key, reason))
            continue
        scaled = fitter.fit(key, rows, "theory-scaled", curve) if shifted.n_sizes >= 3 else None
        scales.append(Scale(key, curve, shifted, scaled, *_parting(shifted, rows, fitter.confidence)))
    return Scales(tuple(scales), tuple(skipped))


def _undetermined(shifted: LawFit, curve: TheoryCurve) -> str | None:
    """Why the series has no s; None if it has one."""
    sizes = np.array([item.train_size for item in shifted.residuals], dtype=float)
    means = np.log(shifted.predict(sizes)) + [item.value.value for item in shifted.residuals]
    if 2 * int((means > curve.log_top + ROUNDING).sum()) > means.size:
        return ABOVE
    return OUTSIDE if shifted.beyond_theory else None


def _parting(fit: LawFit, rows: pd.DataFrame, confidence: float) -> tuple[Parting | None, bool]:
    """The first P whose residual leaves its interval, and whether there are intervals."""
    count = len(fit.residuals)
    stricter = 1 - (1 - confidence) / count
    method: Literal["seeds", "images"]
    if fit.n_points > fit.n_sizes:
        method, free = "seeds", fit.n_points - fit.n_sizes
        wider = float(stats.t.ppf((1 + stricter) / 2, free) / stats.t.ppf((1 + confidence) / 2, free))
        half = [item.value.error * wider for item in fit.residuals]
    else:
        method = "images"
        wider = float(stats.norm.ppf((1 + stricter) / 2) / stats.norm.ppf(0.975))
        ends = rows[["relative_stability_low", "relative_stability_high"]].to_numpy(dtype=float)
        if not (np.isfinite(ends).all() and (ends > 0).all()):
            return None, False
        half = (np.log(ends[:, 1] / ends[:, 0]) / 2 * wider).tolist()
    pairs = zip(fit.residuals, half, strict=True)
    outside = [item for item, reach in pairs if abs(item.value.value) > max(reach, ROUNDING)]
    if not outside:
        return None, True
    value = outside[0].value.value
    side: Literal["above", "below"] = "above" if value > 0 else "below"
    sizes = tuple(item.train_size for item in outside)
    return Parting(sizes[0], side, math.exp(value), method, sizes, count), True
