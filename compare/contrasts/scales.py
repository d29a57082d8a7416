"""The effective scale of P: how many times as many points a net needs as the simple model, and where they part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.contrasts.comparison import nearest_theory, usable_theory
from compare.curves.seed_errors import ROUNDING
from compare.curves.series import series
from compare.curves.wording import format_estimate, format_interval, skipped_lines, wrapped
from compare.fits.fitted_law import LawFit
from compare.fits.law_fits import beyond_theory, fit_rows
from compare.fits.laws import TheoryCurve
from theory.common.errors import InputError, require_real
from theory.common.table import validate_table

__all__ = ["ABOVE", "OUTSIDE", "Parting", "Scale", "Scales", "effective_scales"]

#: Why a series has no s: no shift in P reaches it, or what s it would have is read off the extension of the theory.
ABOVE = "no s: R_f lies above the model's"
OUTSIDE = "no s: read mostly outside the theory's P"


@dataclass(frozen=True, slots=True)
class Parting:
    """The first P at which a series lies outside the interval about the shifted theory, and on which side.

    `factor` is measured R_f over the shifted theory's there, `outside` all P that lie outside, of `sizes`
    P. The intervals are those of all P together (Bonferroni): `method` "seeds" is Student's t with the pooled
    variance of the seeds, "images" the rows' own intervals over images, of a single seed.
    """

    train_size: int
    side: Literal["above", "below"]
    factor: float
    method: Literal["seeds", "images"]
    outside: tuple[int, ...]
    sizes: int


@dataclass(frozen=True, slots=True)
class Scale:
    """One measured series against the theory: R_f = R_th(P / s) and, if it has three P, R_f = a R_th(P / s).

    It has an s that the data determine: at most half of its P have an R_f above the model's largest, and at most
    half of its range of P / s lies beyond the theory's own P (`extended`). Other series are in `Scales.skipped`.
    `parting` is None where the series never leaves the shifted theory; `tested` says whether that could be seen,
    that is whether there are intervals.
    """

    label: str
    theory: str
    curve: TheoryCurve
    shifted: LawFit
    scaled: LawFit | None
    parting: Parting | None
    tested: bool

    @property
    def placed(self) -> tuple[float, float]:
        """a and s by which the series is laid on the theory: of the scaled law if the data fix both, else a = 1."""
        if self.scaled is not None and not self.unfixed():
            return self.scaled["scale"].profile.value, self.scaled["shift"].profile.value
        return 1.0, self.shifted["shift"].profile.value

    @property
    def extended(self) -> float:
        """The part of the range of P / s, from 0 to 1, that lies beyond the theory's own P."""
        return self.shifted.extended

    def unfixed(self) -> tuple[str, ...]:
        """What of the free scale's a and s is not fixed: both if most of the range lies beyond the theory's P."""
        if self.scaled is None or beyond_theory(self.scaled):
            return ("scale", "shift")
        return self.scaled.unidentified()

    @property
    def miss(self) -> float:
        """The factor by which measured means differ from the shifted theory, as a root mean square over P."""
        logs = [item.value.value for item in self.shifted.residuals]
        return math.exp(math.sqrt(float(np.mean(np.square(logs)))))

    def words(self) -> str:
        """``s = 6.4 ± 1.1; parts at P = 64 (above, 1.8 times)``."""
        text = f"s = {format_interval(self.shifted['shift'].estimate)}, off by a factor {self.miss:.2g}"
        if self.extended > 0:
            text += f", {100 * self.extended:.0f} % of its range beyond the theory's P"
        if self.parting is not None:
            text += f"; parts from it at P = {self.parting.train_size} ({self.parting.side}, "
            text += f"{self.parting.factor:.2g} times), outside at {len(self.parting.outside)} of "
            text += f"{self.parting.sizes} P"
        elif self.tested:
            text += "; never parts from it"
        if self.scaled is not None:
            open_ones = self.unfixed()
            values = ", ".join(
                f"{symbol} = {format_estimate(self.scaled[name].estimate)}"
                if name not in open_ones
                else f"{symbol} not fixed"
                for name, symbol in (("scale", "a"), ("shift", "s"))
            )
            text += f"; with a free scale: {values}"
        return text

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        parting = None
        if self.parting is not None:
            parting = {
                "train_size": self.parting.train_size,
                "side": self.parting.side,
                "factor": self.parting.factor,
                "method": self.parting.method,
                "outside": list(self.parting.outside),
            }
        return {
            "label": self.label,
            "theory": self.theory,
            "shift": self.shifted["shift"].summary(),
            "extended": self.shifted.extended,
            "miss": self.miss,
            "parting": parting,
            "tested": self.tested,
            "scaled": None if self.scaled is None else [item.summary() for item in self.scaled.parameters],
            "placed": list(self.placed),
        }


@dataclass(frozen=True, slots=True)
class Scales:
    """The effective scales of all measured series, and the reason for each that has none.

    Of the reasons, `ABOVE` and `OUTSIDE` say that the series has a curve, which determines no s (`without`).
    """

    scales: tuple[Scale, ...]
    skipped: tuple[tuple[str, str], ...]  # label, reason

    def without(self, reason: str | None = None) -> tuple[str, ...]:
        """Labels of the series whose curve determines no s, for `reason`, or for either."""
        wanted = (ABOVE, OUTSIDE) if reason is None else (reason,)
        return tuple(label for label, why in self.skipped if why in wanted)

    def __iter__(self) -> Iterator[Scale]:
        return iter(self.scales)

    def __len__(self) -> int:
        return len(self.scales)

    def __getitem__(self, label: str) -> Scale:
        """The scale of the series `label`; KeyError if there is none."""
        for scale in self.scales:
            if scale.label == label:
                return scale
        raise KeyError(label)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "scales": [scale.summary() for scale in self.scales],
            "skipped": [{"label": label, "reason": reason} for label, reason in self.skipped],
        }

    def lines(self) -> list[str]:
        """Lines of at most 79 columns."""
        lines = [line for scale in self.scales for line in wrapped(f"{scale.label} on {scale.theory}: {scale.words()}")]
        return lines + skipped_lines("no scale", self.skipped)


def effective_scales(
    theory_table: pd.DataFrame,
    measured_table: pd.DataFrame,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> Scales:
    """s of R_f = R_th(P / s) for each measured series: s > 1 needs more points than the theory for the same R_f.

    The theory's series is the one that `contrast` lays beside the measured one. Series at stage "initial" have no
    scale, as R_f does not depend on P there; others have none whose R_f lies above the model's at more than half of
    their P, or that would be read mostly beyond the theory's own P (see `Scale`).

    Raises
    ------
    InputError
        If a table is no valid curve table, or no series of the theory has two P with a positive R_f.
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    usable = usable_theory(theory_table)
    scales: list[Scale] = []
    skipped: list[tuple[str, str]] = []
    rng = np.random.default_rng(0)  # draws nothing: no bootstrap is made
    for label, rows in series(validate_table(measured_table, "measured")).items():
        if rows.iloc[0]["stage"] == "initial":
            skipped.append((label, "at initialisation R_f does not depend on P"))
            continue
        name = nearest_theory(rows.iloc[0], usable, stage)
        curve = TheoryCurve.of(usable[name], name)
        try:
            shifted = fit_rows(rows, label, "theory-shifted", curve, confidence, 0, rng)
        except InputError as error:
            skipped.append((label, str(error)))
            continue
        if (reason := _undetermined(shifted, curve)) is not None:
            skipped.append((label, reason))
            continue
        enough = shifted.n_sizes >= 3
        scaled = fit_rows(rows, label, "theory-scaled", curve, confidence, 0, rng) if enough else None
        parting, tested = _parting(shifted, rows, confidence)
        scales.append(Scale(label, name, curve, shifted, scaled, parting, tested))
    return Scales(tuple(scales), tuple(skipped))


def _undetermined(shifted: LawFit, curve: TheoryCurve) -> str | None:
    """Why the series has no s; None if it has one."""
    sizes = np.array([item.train_size for item in shifted.residuals], dtype=float)
    means = np.log(shifted.predict(sizes)) + [item.value.value for item in shifted.residuals]
    if 2 * int((means > curve.log_top + ROUNDING).sum()) > means.size:
        return ABOVE
    return OUTSIDE if beyond_theory(shifted) else None


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
    outside = [
        item
        for item, reach in zip(fit.residuals, half, strict=True)
        if abs(item.value.value) > max(reach, ROUNDING)
    ]
    if not outside:
        return None, True
    value = outside[0].value.value
    side: Literal["above", "below"] = "above" if value > 0 else "below"
    sizes = tuple(item.train_size for item in outside)
    return Parting(sizes[0], side, math.exp(value), method, sizes, count), True
