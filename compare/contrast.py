"""The contrast: measured curves beside the theory's, exponent by exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from compare.fits import PowerLawFit, fit_all
from compare.ratio import Ratio, measured_over_theory
from compare.series import series, stage_order
from compare.wording import WIDTH, format_estimate, listing, wrapped
from theory.errors import InputError
from theory.estimate import Estimate, mean
from theory.table import validate_table

__all__ = ["Comparison", "Contrast", "Relation", "contrast", "nearest_theory"]

Relation = Literal["agrees with", "slower than", "steeper than", "cannot be told from"]
#: The theory's stage beside which nets trained to the end are laid, where no stage is shared.
DEFAULT_STAGE = "q=0.3"
#: What a measured series and the theory's must share for their values to be compared, not only their slopes.
_SHARED = ["task", "variant", "stage"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measured series: its fit, the theory's, and how far they are apart.

    `difference` is the measured exponent minus the theory's. Where both share task, variant, stage, seeds and P, as
    stripe nets do that see the theory's points and neurons, its interval is Student's t over the seeds'
    differences (`difference_method` "paired seeds"); elsewhere the two errors add in quadrature.
    `ratio` is measured over predicted R_f, where task, variant, stage and some P are shared (stripe nets).
    """

    measured: PowerLawFit
    theory: PowerLawFit
    difference: Estimate
    difference_method: str
    ratio: Ratio | None

    @property
    def relation(self) -> Relation:
        """How R_f falls with P, compared to the theory.

        It agrees if the difference's interval holds 0 and R_f is seen to fall or rise at all: a measurement whose
        exponent may be 0 as well cannot be told from the theory, and nor can one without an interval.
        """
        if not math.isfinite(self.difference.error):
            return "cannot be told from"
        if self.difference.low > 1e-9:
            return "slower than"
        if self.difference.high < -1e-9:
            return "steeper than"
        exponent = self.measured.exponent
        return "cannot be told from" if exponent.low <= 0 <= exponent.high else "agrees with"

    def summary(self) -> dict[str, Any]:
        return {
            "measured": self.measured.summary(),
            "theory": self.theory.label,
            "difference": self.difference.summary(),
            "difference_method": self.difference_method,
            "relation": f"{self.relation} the theory",
            "ratio": None if self.ratio is None else self.ratio.summary(),
        }


@dataclass(frozen=True, slots=True)
class Contrast:
    """Fits of the theory, comparisons of measured series with them, and what could not be compared.

    Each interval stands at its own confidence: among twenty comparisons at 95 %, one falls outside by chance.
    """

    theory: tuple[PowerLawFit, ...]
    comparisons: tuple[Comparison, ...]
    skipped: tuple[tuple[str, str], ...]  # label, reason

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "theory": [fit.summary() for fit in self.theory],
            "comparisons": [comparison.summary() for comparison in self.comparisons],
            "skipped": [{"label": label, "reason": reason} for label, reason in self.skipped],
            "verdict": self.verdict(),
        }

    def lines(self) -> list[str]:
        """Lines of at most 79 columns: each fit, the differences in words, and what was skipped."""
        fits = [*self.theory, *(comparison.measured for comparison in self.comparisons)]
        width = min(45, max((len(fit.label) for fit in fits), default=0))
        lines: list[str] = []
        for fit in self.theory:
            lines += _fit_lines(fit, width)
        for item in self.comparisons:
            lines += _fit_lines(item.measured, width)
            difference = format_estimate(item.difference, sign=True)
            lines += wrapped(f"    {item.relation} {item.theory.label} (difference {difference})")
            if item.ratio is not None:
                words = "" if math.isfinite(item.ratio.estimate.error) else " (no interval)"
                lines += wrapped(f"    measured/theory = {format_estimate(item.ratio.estimate)}{words}")
        for label, reason in self.skipped:
            lines += wrapped(f"not compared: {label}: {reason}")
        return lines

    def verdict(self) -> str:
        """One line: which measured series agree with the theory within the intervals, and which do not."""
        if not self.comparisons:
            return "No measured series could be compared with the theory."
        groups: dict[Relation, list[str]] = {
            "agrees with": [],
            "slower than": [],
            "steeper than": [],
            "cannot be told from": [],
        }
        for item in self.comparisons:
            groups[item.relation].append(item.measured.label)
        words: dict[Relation, str] = {
            "agrees with": "R_f falls with P as in the theory for",
            "slower than": "more slowly than in the theory for",
            "steeper than": "more steeply than in the theory for",
            "cannot be told from": "too uncertainly to be told from the theory or from no fall for",
        }
        clauses = [f"{words[relation]} {listing(labels)}" for relation, labels in groups.items() if labels]
        sentence = "; ".join(clauses)
        if not groups["agrees with"]:
            sentence = "R_f falls with P " + sentence
        ratios = [
            item for item in self.comparisons if item.ratio and math.isfinite(item.ratio.estimate.error)
        ]
        same = [item.measured.label for item in ratios if item.ratio and item.ratio.agrees]
        other = [
            f"{item.measured.label} ({format_estimate(item.ratio.estimate)} times)"
            for item in ratios
            if item.ratio and not item.ratio.agrees
        ]
        values = [
            f"{verb} for {listing(names)}" for verb, names in (("agrees", same), ("differs", other)) if names
        ]
        tail = f" The value of R_f {' and '.join(values)}." if values else ""
        return f"{sentence}.{tail}"

    def table(self) -> pd.DataFrame:
        """One row a series: label, n, range of P, exponent and difference with intervals, curvature."""
        rows = [_row(fit) for fit in self.theory]
        for item in self.comparisons:
            ratio = item.ratio.estimate if item.ratio else Estimate(math.nan)
            rows.append(
                {
                    **_row(item.measured),
                    "theory": item.theory.label,
                    "difference": item.difference.value,
                    "difference_low": item.difference.low,
                    "difference_high": item.difference.high,
                    "ratio": ratio.value,
                    "ratio_low": ratio.low,
                    "ratio_high": ratio.high,
                }
            )
        columns = [*_row(None), "theory", "difference", "difference_low", "difference_high"]
        return pd.DataFrame(rows, columns=[*columns, "ratio", "ratio_low", "ratio_high"])


def contrast(
    theory_table: pd.DataFrame,
    measured_table: pd.DataFrame,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> Contrast:
    """Fit each series of both curve tables and lay each measured one beside a series of the theory.

    The theory's series is one at the measured series' own stage if there is one, else at `stage`
    (default q=0.3), else at the theory's last stage; among several, one on the same task, then of the same
    variant, the usual one, of the same architecture. Series at stage "initial" are not compared: they do not
    depend on P.

    Raises
    ------
    InputError
        If a table is no valid curve table, the theory's is empty or none of its series can be fitted, or
        no series of the theory has the given `stage`.
    """
    predicted, measured = validate_table(theory_table, "theory"), validate_table(measured_table, "measured")
    if predicted.empty:
        raise InputError("theory", "empty", "must hold rows to compare with")
    stages = sorted(set(predicted["stage"]), key=stage_order)
    if stage is not None and stage not in stages:
        raise InputError("stage", stage, "must be one of the theory's stages: " + ", ".join(stages))
    fits, measured_fits = fit_all(predicted, confidence=confidence), fit_all(measured, confidence=confidence)
    parts, measured_parts = series(predicted), series(measured)
    if not fits.fits:
        raise InputError(
            "theory", listing([f"{label} ({why})" for label, why in fits.skipped]), "cannot be fitted"
        )
    fitted = {fit.label: parts[fit.label] for fit in fits}
    skipped = [*fits.skipped, *measured_fits.skipped]
    comparisons: list[Comparison] = []
    for fit in measured_fits:
        key = measured_parts[fit.label].iloc[0]
        if key["stage"] == "initial":
            skipped.append((fit.label, "at initialisation R_f does not depend on P"))
            continue
        reference = fits[nearest_theory(key, fitted, stage)]
        theirs = parts[reference.label]
        same = bool((theirs.iloc[0][_SHARED] == key[_SHARED]).all())
        ratio = measured_over_theory(measured_parts[fit.label], theirs, confidence) if same else None
        difference, method = _difference(fit, reference, same)
        comparisons.append(Comparison(fit, reference, difference, method, ratio))
    return Contrast(fits.fits, tuple(comparisons), tuple(skipped))


def nearest_theory(key: pd.Series, parts: Mapping[str, pd.DataFrame], stage: str | None = None) -> str:
    """The label of the theory's series to lay beside the measured one whose columns are `key`, see `contrast`."""
    wanted = stage or DEFAULT_STAGE

    def distance(label: str) -> tuple[object, ...]:
        theirs = parts[label].iloc[0]
        order, unfit, name = stage_order(theirs["stage"])
        return (
            theirs["stage"] != key["stage"],
            theirs["stage"] != wanted,
            theirs["stage"] == "initial",
            -order,  # the last stage first: trained, then the smallest q
            -unfit,
            name,
            theirs["task"] != key["task"],
            theirs["variant"] != key["variant"],
            theirs["variant"] != "",
            theirs["architecture"] != key["architecture"],
        )

    return min(parts, key=distance)  # the first in label order among equals


def _difference(measured: PowerLawFit, theory: PowerLawFit, same: bool) -> tuple[Estimate, str]:
    """measured exponent - theory's exponent and how its interval came; `same` if task, variant and stage are shared."""
    ours, theirs = dict(measured.seed_exponents), dict(theory.seed_exponents)
    sizes = [sorted(x for x, _ in fit.points) for fit in (measured, theory)]
    if same and ours and ours.keys() == theirs.keys() and sizes[0] == sizes[1]:
        differences = [ours[seed] - theirs[seed] for seed in ours]
        return mean(differences, measured.exponent.confidence), "paired seeds"
    value = measured.exponent.value - theory.exponent.value
    error = math.hypot(measured.exponent.error, theory.exponent.error)
    n = min(measured.exponent.n, theory.exponent.n)
    return Estimate(value, value - error, value + error, n, measured.exponent.confidence), "independent errors"


def _fit_lines(fit: PowerLawFit, width: int) -> list[str]:
    """Label and law in one line if they fit into it, else in two."""
    pooled = fit.interval_method == "pooled" and fit.n_seeds > 1
    law = fit.law() + "  (interval pooled)" * pooled + "  (bent: no power law)" * fit.bent
    line = f"{fit.label:<{width}}  {law}"
    return [line] if len(line) <= WIDTH else [*wrapped(fit.label), *wrapped(f"    {law}")]


def _row(fit: PowerLawFit | None) -> dict[str, Any]:
    """The columns of one fit; their names for None."""
    if fit is None:
        names = "series n_points n_seeds P_min P_max exponent exponent_low exponent_high"
        return dict.fromkeys([*names.split(), "interval_method", "bent"])
    values = (
        *(fit.label, fit.n_points, fit.n_seeds, *fit.x_range),
        *(fit.exponent.value, fit.exponent.low, fit.exponent.high, fit.interval_method, fit.bent),
    )
    return dict(zip(_row(None), values, strict=True))
