"""The contrast: measured curves beside the theory's, exponent by exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from compare.contrasts.ratio import LEAST_PAIRS, Ratio, measured_over_theory
from compare.curves.series import series, stage_order
from compare.curves.wording import WIDTH, format_estimate, listing, wrapped
from compare.fits.table_fits import PowerLawFit, fit_all, fit_power_law
from theory.common.errors import InputError
from theory.common.estimate import Estimate, mean
from theory.common.table import validate_table

__all__ = [
    "FALLS", "Comparison", "Contrast", "Relation", "contrast", "nearest_theory", "require_stage", "usable_theory",
]  # fmt: skip

#: How a measured R_f falls with P, before "the theory".
Relation = Literal[
    "agrees with", "slower than", "steeper than", "not seen to fall beside", "rises beside", "cannot be told from"
]
#: Those of a curve that is seen to fall.
FALLS: tuple[Relation, ...] = ("agrees with", "slower than", "steeper than")
#: P that measurement and theory must share for both to be fitted to just these.
_LEAST_SHARED = 3
#: The theory's stage beside which nets trained to the end are laid, where no stage is shared.
DEFAULT_STAGE = "q=0.3"
#: What a measured series and the theory's must share for their values to be compared, not only their slopes.
_SHARED = ["task", "variant", "stage"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measured series: its fit, the theory's, and how far they are apart over the same P.

    The theory is bent, so that exponents over different P differ although the curves do not. `theory` and `compared`
    are therefore fits over the P that both have, three at least, else over the P of each within the range of both;
    `measured` is the fit to the whole series, which is `compared` where the theory covers it.
    `difference` is the exponent of `compared` minus the theory's. Where both share task, variant, stage, P and three
    seeds or more, as stripe nets do that see the theory's points and neurons, it is the mean of these seeds'
    differences with Student's t (`difference_method` "paired seeds", its n their number); elsewhere the two errors
    add in quadrature. `ratio` is measured over predicted R_f, where task, variant, stage and some P are shared.
    """

    measured: PowerLawFit
    compared: PowerLawFit
    theory: PowerLawFit
    difference: Estimate
    difference_method: str
    ratio: Ratio | None

    @property
    def relation(self) -> Relation:
        """How R_f falls with P, by the exponent over all its P, and beside the theory, the difference over shared P.

        It rises if the exponent's interval lies above 0, is not seen to fall if that holds 0, and else falls: as the
        theory does if the interval of the difference holds 0. Without an interval nothing can be told, nor where no
        difference is seen over P at which R_f is not seen to fall.
        """
        exponent = self.measured.exponent
        if not math.isfinite(exponent.error):
            return "cannot be told from"
        if exponent.high >= -1e-9:
            return "rises beside" if exponent.low > 1e-9 else "not seen to fall beside"
        if not math.isfinite(self.difference.error):
            return "cannot be told from"
        if self.difference.low > 1e-9:
            return "slower than"
        if self.difference.high < -1e-9:
            return "steeper than"
        return "agrees with" if self.compared.exponent.high < 0 else "cannot be told from"

    @property
    def sizes(self) -> str:
        """The range of P compared: ``P = 64…1024``, with the theory's own within it where they share too few P."""
        ours, theirs = (f"{low:.0f}…{high:.0f}" for low, high in (self.compared.x_range, self.theory.x_range))
        return f"P = {ours}" if ours == theirs else f"P = {ours}, the theory's {theirs}"

    def words(self) -> str:
        """``slower than theory stripe-d30 q=0.3 over P = 64…1024 (-0.3 ± 0.1 and -1.7 ± 0.1, difference ...)``.

        Where the relation is about all P of the series, the numbers over the shared P may say something else.
        """
        ours, theirs = (_exponent_words(fit) for fit in (self.compared, self.theory))
        paired = f", {self.difference.n} seeds paired" if self.difference_method == "paired seeds" else ""
        relation: str = self.relation
        if relation in ("not seen to fall beside", "rises beside"):
            relation = f"{relation.removesuffix(' beside')} over all its P; beside"
        return (
            f"{relation} {self.theory.label} over {self.sizes} ({ours} and {theirs}, difference "
            f"{format_estimate(self.difference, sign=True)}{paired})"
        )

    def summary(self) -> dict[str, Any]:
        return {
            "measured": self.measured.summary(),
            "theory": self.theory.label,
            "compared": {
                "P_range": list(self.compared.x_range),
                "measured_exponent": self.compared.exponent.summary(),
                "measured_bent": self.compared.bent,
                "theory_exponent": self.theory.exponent.summary(),
                "theory_bent": self.theory.bent,
            },
            "difference": self.difference.summary(),
            "difference_method": self.difference_method,
            "relation": f"{self.relation} the theory",
            "ratio": None if self.ratio is None else self.ratio.summary(),
        }


@dataclass(frozen=True, slots=True)
class Contrast:
    """Fits of the theory over all its P, comparisons of measured series with it, and what could not be compared.

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
            lines += wrapped(f"    {item.words()}")
            if item.ratio is not None:
                lines += wrapped(f"    measured/theory = {item.ratio.words()}")
        for label, reason in self.skipped:
            lines += wrapped(f"not compared: {label}: {reason}")
        return lines

    def verdict(self) -> str:
        """One line: which measured series agree with the theory within the intervals, and which do not."""
        if not self.comparisons:
            return "No measured series could be compared with the theory."
        words: dict[Relation, str] = {
            "agrees with": "as in the theory for",
            "slower than": "more slowly than in the theory for",
            "steeper than": "more steeply than in the theory for",
            "not seen to fall beside": "it is not seen to fall for",
            "rises beside": "it rises for",
            "cannot be told from": "it cannot be told from the theory for",
        }
        clauses = {
            relation: f"{text} {listing(labels)}"
            for relation, text in words.items()
            if (labels := [item.measured.label for item in self.comparisons if item.relation == relation])
        }
        falls = [text for relation, text in clauses.items() if relation in FALLS]
        others = [text for relation, text in clauses.items() if relation not in FALLS]
        if falls:
            falls[0] = f"R_f falls with P {falls[0]}"
        else:
            others[0] = f"With P, {others[0].replace('it ', 'R_f ', 1)}"
        sentence = "; ".join([*falls, *others])
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
        """One row a series: label, n, range of P, exponent; the range compared, the theory's exponent over it, the
        difference, the ratio, each with its interval."""
        rows = [_row(fit) for fit in self.theory]
        for item in self.comparisons:
            ratio = item.ratio.estimate if item.ratio else Estimate(math.nan)
            rows.append(
                {
                    **_row(item.measured),
                    "theory": item.theory.label,
                    "compared_P_min": item.compared.x_range[0],
                    "compared_P_max": item.compared.x_range[1],
                    "compared_exponent": item.compared.exponent.value,
                    "theory_exponent": item.theory.exponent.value,
                    "relation": item.relation,
                    "difference": item.difference.value,
                    "difference_low": item.difference.low,
                    "difference_high": item.difference.high,
                    "ratio": ratio.value,
                    "ratio_low": ratio.low,
                    "ratio_high": ratio.high,
                }
            )
        compared = ("compared_P_min", "compared_P_max", "compared_exponent", "theory_exponent", "relation")
        ends = [f"{name}{end}" for name in ("difference", "ratio") for end in ("", "_low", "_high")]
        return pd.DataFrame(rows, columns=[*_row(None), "theory", *compared, *ends])


def contrast(
    theory_table: pd.DataFrame,
    measured_table: pd.DataFrame,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> Contrast:
    """Fit each series of both curve tables and lay each measured one beside a series of the theory, over the same P.

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
    require_stage(predicted, stage)
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
        name = nearest_theory(key, fitted, stage)
        ours, theirs = measured_parts[fit.label], parts[name]
        same = bool((theirs.iloc[0][_SHARED] == key[_SHARED]).all())
        ratio = measured_over_theory(ours, theirs, confidence) if same else None
        ours, theirs = _same_sizes(ours, theirs)
        try:
            compared, reference = _fit_over(fit, ours, confidence), _fit_over(fits[name], theirs, confidence)
        except InputError:
            skipped.append((fit.label, f"too few P in the range that it shares with {name}"))
            continue
        pairs = _pairs(ours, theirs) if same else []
        difference, method = _difference(compared, reference, pairs)
        comparisons.append(Comparison(fit, compared, reference, difference, method, ratio))
    return Contrast(fits.fits, tuple(comparisons), tuple(skipped))


def require_stage(theory: pd.DataFrame, stage: str | None) -> None:
    """InputError if a stage is asked for that no row of the theory has."""
    if stage is None:
        return
    if theory.empty:
        raise InputError("stage", stage, "needs rows of the theory; there are none")
    stages = sorted(set(theory["stage"]), key=stage_order)
    if stage not in stages:
        raise InputError("stage", stage, "must be one of the theory's stages: " + ", ".join(stages))


def usable_theory(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The theory's series that make a curve, by label: those of two P or more with a positive R_f.

    Raises
    ------
    InputError
        If `table` is no valid curve table, or there is none such.
    """
    parts = series(validate_table(table, "theory"))
    usable = {
        label: rows
        for label, rows in parts.items()
        if len(set(rows.loc[rows["relative_stability"] > 0, "train_size"])) > 1
    }
    if not usable:
        raise InputError("theory", f"{len(parts)} series", "must hold one with two P or more and R_f above 0")
    return usable


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


def _same_sizes(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows at the P that both have, if these are three or more, else those within the range of P of both."""
    sizes = [rows["train_size"] for rows in (ours, theirs)]
    shared = set(sizes[0]) & set(sizes[1])
    if len(shared) >= _LEAST_SHARED:
        kept = [own.isin(shared) for own in sizes]
    else:
        kept = [own.between(max(map(min, sizes)), min(map(max, sizes))) for own in sizes]
    return ours[kept[0]], theirs[kept[1]]


def _fit_over(whole: PowerLawFit, rows: pd.DataFrame, confidence: float) -> PowerLawFit:
    """The series of `whole` fitted over some of its rows, with its name."""
    if len(rows) == whole.n_points:
        return whole
    return replace(fit_power_law(rows, confidence=confidence), label=whole.label)


def _pairs(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[int]:
    """The seeds that both have at the same P."""
    sizes = [
        {int(seed): set(rows.loc[rows["seed"] == seed, "train_size"]) for seed in rows["seed"].unique()}
        for rows in (ours, theirs)
    ]
    return [seed for seed, own in sizes[0].items() if sizes[1].get(seed) == own]


def _difference(measured: PowerLawFit, theory: PowerLawFit, pairs: list[int]) -> tuple[Estimate, str]:
    """measured exponent - theory's exponent and how its interval came; `pairs` are seeds that draw the same data."""
    ours, theirs = dict(measured.seed_exponents), dict(theory.seed_exponents)
    differences = [ours[seed] - theirs[seed] for seed in pairs if seed in ours and seed in theirs]
    if len(differences) >= LEAST_PAIRS:
        return mean(differences, measured.exponent.confidence), "paired seeds"
    value = measured.exponent.value - theory.exponent.value
    error = math.hypot(measured.exponent.error, theory.exponent.error)
    n = min(measured.exponent.n, theory.exponent.n)
    return Estimate(value, value - error, value + error, n, measured.exponent.confidence), "independent errors"


def _exponent_words(fit: PowerLawFit) -> str:
    return format_estimate(fit.exponent) + " (bent)" * fit.bent


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
