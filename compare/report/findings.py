"""What the report says beyond power laws: laws chosen, effective scales, correlations, and the verdict on all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from compare.contrasts.collapse import collapse_panel
from compare.contrasts.comparison import Contrast
from compare.contrasts.correlations import Correlation, Correlations, correlations
from compare.contrasts.scales import Scales, effective_scales
from compare.contrasts.strata import MEASURES
from compare.contrasts.verdict import write_verdict
from compare.curves.series import series
from compare.curves.wording import SYMBOLS, format_estimate, format_interval
from compare.fits.law_choice import LEAST_SIZES, TOO_FEW, LawChoices, choose_laws, parameter_words
from compare.report.panels import Panel
from compare.report.sections import Download, Section, scales_section
from theory.common.errors import InputError

__all__ = ["Findings", "exponents_section", "find"]


@dataclass(frozen=True, slots=True)
class Findings:
    """Sentences of the verdict, sections with their tables, further figures and downloads."""

    verdict: tuple[str, ...]
    sections: tuple[Section, ...]
    panels: tuple[Panel, ...]
    downloads: tuple[Download, ...]


def find(table: pd.DataFrame, contrasted: Contrast | None, reason: str, stage: str | None = None) -> Findings:
    """The findings of a valid curve table; `reason` says why there is no contrast, where there is none.

    Laws and scales are of the measured series (without a contrast of all), those of fewer than three P left out.
    """
    theory = table["source"] == "theory"
    judged = table if contrasted is None else table[~theory]
    curves, few = _whole_curves(judged)
    predicted = None if contrasted is None else table[theory]
    laws = choose_laws(curves, predicted, stage=stage) if len(curves) else LawChoices((), ())
    scales = _scales(predicted, curves, stage)
    related, why = _correlations(table[~theory])
    sentences = write_verdict(contrasted, laws, scales, related).sentences
    if contrasted is None:
        told = len(laws) or (related is not None and related.rows)
        sentences = (reason, *sentences) if told else (reason,)
    sections: list[Section] = []
    if len(laws):
        sections.append(_laws_section(laws, few))
    panels: list[Panel] = []
    if scales is not None and (len(scales) or scales.without()):
        sections.append(scales_section(scales))
        panels.append(collapse_panel(table, scales))
    downloads: tuple[Download, ...] = ()
    if related is None:
        sections.append(Section("Test error across nets", notes=why))
    else:
        sections += _correlation_sections(related)
    if related is not None and related.rows:
        text = related.table().to_csv(index=False, lineterminator="\n")
        downloads = (Download("correlations.csv", "the correlations", text),)
    return Findings(sentences, tuple(sections), tuple(panels), downloads)


def exponents_section(contrasted: Contrast | None) -> Section | None:
    """Measured exponents beside the theory's; None if nothing was compared."""
    if contrasted is None or not contrasted.comparisons:
        return None
    rows = [
        (
            item.measured.label,
            format_estimate(item.measured.exponent) + ", bent" * item.measured.bent,
            item.theory.label,
            item.sizes,
            format_estimate(item.theory.exponent) + ", bent" * item.theory.bent,
            format_estimate(item.difference, sign=True),
            f"{item.relation} the theory",
            format_estimate(item.ratio.estimate) if item.ratio else "–",
        )
        for item in contrasted.comparisons
    ]
    heads = (
        "measured", "exponent", "theory", "compared over", "exponent there", "difference there", "in words",
        "R_f, measured / theory",
    )  # fmt: skip
    note = "Difference: the measured exponent minus the theory's, both over the P compared; the theory is bent."
    return Section("Exponents side by side", heads, rows, (note,))


def _whole_curves(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows of the series with three P or more, and how many series were left out.

    All rows stay if leaving some out would change the labels of the others.
    """
    parts = series(table)
    kept = {label: rows for label, rows in parts.items() if rows["train_size"].nunique() >= LEAST_SIZES}
    curves = pd.concat(kept.values(), ignore_index=True) if kept else table.iloc[:0]
    if set(series(curves)) != set(kept):
        return table, 0
    return curves, len(parts) - len(kept)


def _scales(predicted: pd.DataFrame | None, curves: pd.DataFrame, stage: str | None) -> Scales | None:
    if predicted is None or curves.empty:
        return None
    try:
        return effective_scales(predicted, curves, stage=stage)
    except InputError:  # no theory of two P: the contrast has said so
        return None


def _correlations(measured: pd.DataFrame) -> tuple[Correlations | None, tuple[str, ...]]:
    """The correlations, or the reason why there are none."""
    try:
        return correlations(measured), ()
    except InputError as error:
        return None, (f"No correlation with the test error: {error}.",)


def _laws_section(laws: LawChoices, few: int) -> Section:
    rows = []
    for choice in laws:
        weights, best = choice.weights(), choice.chosen.goodness.aicc
        for fit in choice:
            good = fit.goodness
            behind = good.aicc - best
            rows.append(
                (
                    choice.label if fit is choice.chosen else "",
                    fit.name + ", chosen" * (fit is choice.chosen),
                    f"{behind:.1f}" if math.isfinite(behind) else "–",
                    f"{weights[fit.name]:.2f}" if math.isfinite(weights[fit.name]) else "–",
                    _probability(good.lack_of_fit),
                    _probability(good.hanging_together),
                    ", ".join(map(parameter_words, fit.parameters)),
                )
            )
    notes = [
        "Laws of R_f against P fitted to each series, ordered by AICc: a power law, one with a floor, a broken one, "
        "and the theory's own curve shifted in P by s, and scaled by a. Within 2 of the best, laws are not told apart. "
        "Lack of fit and residuals along P are p-values: below 0.05 the law misses the points."
    ]
    if unchosen := sum(why == TOO_FEW for _, why in laws.skipped):
        notes.append(f"{unchosen} series have too few points to choose a law.")
    if few:
        notes.append(f"{few} series of fewer than {LEAST_SIZES} training-set sizes are left out.")
    heads = ("series", "law", "AICc above best", "weight", "lack of fit", "along P", "parameters")
    return Section("Which law", heads, rows, notes)


def _correlation_sections(found: Correlations) -> list[Section]:
    """Across nets, at each P and pooled, with the tests between measures; and along P of single nets."""
    heads = [f"log {SYMBOLS[x]}" for x in MEASURES]
    rows: list[tuple[str, ...]] = []
    across = [row for row in found.rows if row.kind == "across nets"]
    keys = sorted({(row.where, row.train_size or 0) for row in across})
    for where, size in keys:
        own = [row for row in across if row.where == where and row.train_size == size]
        rows.append((where, str(size), str(max(row.n for row in own)), *_cells(own)))
    for where in found.wheres():
        own = [row for row in found.rows if row.kind == "pooled" and row.where == where]
        rows.append((where, f"{own[0].strata} P pooled", str(own[0].n), *_cells(own)))
    tests = [f"{test.where}: {test.verdict()}." for test in found.tests if ", P = " not in test.where]
    left = [f"Left out: {words}." for words in found.left_out]
    note = (
        "Correlation of log eps_t with the logarithm of each measure across trained nets, its 95 % interval, and an "
        "exact permutation p-value, each by itself."
    )
    nothing = "No data set has three nets or more with a test error at one P."
    notes = (note,) if rows else (nothing,)
    sections = [Section("Test error across nets", ("data set", "P", "nets", *heads), rows, notes, [*tests, *left])]
    lines = list(dict.fromkeys((row.where, row.net) for row in found.rows if row.kind == "along P"))
    if lines:
        cells = []
        for where, net in lines:
            own = [row for row in found.rows if row.kind == "along P" and (row.where, row.net) == (where, net)]
            cells.append((where, net, str(max(row.n for row in own)), *_cells(own)))
        note = "The same for one net as P grows. Both change with P, so that this says little by itself."
        sections.append(Section("Test error along P", ("data set", "net", "P", *heads), cells, (note,)))
    return sections


def _cells(rows: Sequence[Correlation]) -> list[str]:
    """One cell for each measure."""
    by_measure = {row.x: row for row in rows}
    cells = []
    for x in MEASURES:
        row = by_measure.get(x)
        text = "–" if row is None else format_interval(row.pearson)
        known = row is not None and math.isfinite(row.p_pearson)
        cells.append(f"{text}, p = {_probability(row.p_pearson)}" if row is not None and known else text)
    return cells


def _probability(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
