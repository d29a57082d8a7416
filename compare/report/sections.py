"""The report's tables, as cells of text: the answer, what was fitted, what was left out, the points of every series."""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compare.contrasts.comparison import fits_table
from compare.contrasts.strata import MEASURES
from compare.contrasts.wording import NOTE, answer_table
from compare.curves.averages import MEASURES as AVERAGED
from compare.curves.averages import average_over_seeds
from compare.curves.numbers import SYMBOLS, format_estimate, format_number
from compare.curves.series import Curves, SeriesKey
from compare.fits.law_choice import LEAST_SIZES, TOO_FEW
from compare.report.findings import Findings
from theory.common.estimate import Estimate
from theory.common.table import write_table

__all__ = [
    "Download",
    "Section",
    "answer_section",
    "curve_download",
    "downloads",
    "falls_section",
    "left_out",
    "points_sections",
    "sections",
]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: a heading, sentences, a table (none without rows), and what is to be said below it."""

    title: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the page holds itself: its name, what it is, and its text."""

    name: str
    meaning: str
    text: str

    @property
    def address(self) -> str:
        """A ``data:`` address of the text as CSV in UTF-8."""
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(self.text.encode()).decode("ascii")


def curve_download(table: pd.DataFrame, command: str | None) -> Download:
    """The curve table as a CSV that `theory.common.table.read_table` reads back to the last bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_table(table, Path(folder) / "curves.csv", comment=command or "", digits=17)
        return Download("curves.csv", "the curve table", path.read_text(encoding="utf-8"))


def downloads(found: Findings, command: str | None) -> list[Download]:
    """The curve table, the table of `relstab compare --output`, and the correlations."""
    both = found.contrast
    fits = fits_table(both.theory, both.comparisons) if both else fits_table(found.fits.found)
    files = [Download("fits.csv", "the table of fits", _csv(fits))]
    if found.correlations is not None and found.correlations.rows:
        files.append(Download("correlations.csv", "the correlations", _csv(found.correlations.table())))
    return [curve_download(found.curves.table, command), *files]


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n"))


def answer_section(found: Findings) -> Section | None:
    """The small table of the answer; None if nothing was compared."""
    if found.contrast is None or not found.contrast.comparisons:
        return None
    return Section("The answer", *answer_table(found.contrast.comparisons), (NOTE,))


def falls_section(found: Findings) -> Section | None:
    """R_f and the test error of nets on tasks made by rules, P by P; None if there are none."""
    if not found.falls:
        return None
    rows = [
        (fall.key.short if not i else "", *cells) for fall in found.falls for i, cells in enumerate(fall.rows())
    ]
    heads = ("curve", "P", "n", "R_f", "eps_t")
    return Section("Where the error falls with R_f", heads, rows, [fall.sentence() for fall in found.falls])


def sections(found: Findings) -> list[Section]:
    """All tables that the report folds away."""
    return [_fits(found), *_laws(found), *_scales(found), _correlations(found)]


def _fits(found: Findings) -> Section:
    """The fitted power laws, and the law of the test error."""
    compared = {item.key: item for item in found.contrast.comparisons} if found.contrast else {}
    rows = []
    for fit in found.fits:
        item = compared.get(fit.key)
        curvature = "–" if fit.curvature is None else format_estimate(fit.curvature, sign=True) + " *" * fit.bent
        rows.append(
            (
                fit.label,
                format_estimate(fit.exponent),
                f"{fit.x_range[0]:.0f}…{fit.x_range[1]:.0f}",
                f"{fit.n_points} / {fit.n_seeds}",
                f"{format_estimate(item.difference, sign=True)} over {item.sizes}" if item else "–",
                f"{format_estimate(fit.value_at_pivot)} at P = {fit.pivot:.0f}",
                curvature,
                fit.interval_method,
            )
        )
    heads = ("series", "R_f ~ P^", "P", "rows / seeds", "minus the theory's", "R_f fitted", "curvature", "intervals")
    note = (
        "R_f = A P^exponent for each series over all its P, by least squares on logarithms. The difference is taken "
        "over the P that measurement and theory share. Curvature is the coefficient of (ln P)²; * marks a curve whose "
        "interval leaves out 0, so that its exponent is an average slope only."
    )
    notes = (note,) if rows else ("No series can be fitted.",)
    return Section("Power laws", heads, rows, notes, [_error_law(found)])


def _error_law(found: Findings) -> str:
    """The law of test error against R_f of the measured rows, or why it cannot be fitted."""
    law = found.error_law
    if law is None:
        return found.no_error_law
    if not math.isfinite(law.exponent.error):
        why = "too few nets and seeds for an interval"
    elif law.unit == "series":
        why = "intervals over whole series, a net on a data set each"
    else:
        why = "fewer than three series: intervals over their seeds alone, which say nothing about other nets"
    return (
        f"Test error against relative stability, over all measured trained rows: {law!r}; {why}. For comparison, "
        "CIFAR10 nets at one pixel: eps_t = 0.2 R_f^0.5 (arXiv 2105.02468)."
    )


def _laws(found: Findings) -> list[Section]:
    if not len(found.laws):
        return []
    rows = [
        (choice.label if not i else "", cells[0] + ", chosen" * (not i), *cells[1:])
        for choice in found.laws
        for i, cells in enumerate(choice.rows())
    ]
    notes = [
        "Laws of R_f against P fitted to each series, ordered by AICc: a power law, one with a floor, a broken one, "
        "and the theory's own curve shifted in P by s, and scaled by a. Laws within 2 of the best fit as well as it. "
        "Lack of fit is a p-value: below 0.05 the law misses the points by more than the seeds scatter."
    ]
    if few := sum(why == TOO_FEW for _, why in found.laws.skipped):
        notes.append(f"{few} series have too few points to choose a law.")
    if found.few:
        notes.append(f"{found.few} series of fewer than {LEAST_SIZES} training-set sizes are left out.")
    heads = ("series", "law", "AICc above best", "weight", "lack of fit", "parameters")
    return [Section("Which law", heads, rows, notes)]


def _scales(found: Findings) -> list[Section]:
    """The effective scale s of each measured series, or why its curve determines none."""
    scales = found.scales
    if scales is None or not (len(scales) or scales.without()):
        return []
    rows = [(scale.label, scale.theory, *scale.cells()) for scale in scales]
    rows += [(str(key), "–", f"none: {why}", *"––––") for key, why in scales.skipped if key in scales.without()]
    note = (
        "R_f = R_th(P / s): a net needs s times as many points as the theory for the same R_f. Extended: the part of "
        "the range of P / s beyond the theory's own P. Off by: the factor between means and shifted theory, root mean "
        "square over P; where it is large, s means little. Departs: the first P at which a curve leaves the shifted "
        "theory."
    )
    heads = ("series", "theory", "s", "extended", "off by", "departs", "with a free scale a")
    return [Section("Effective scale of P", heads, rows, (note,))]


def _correlations(found: Findings) -> Section:
    title, related = "Test error across nets", found.correlations
    if related is None:
        return Section(title, notes=(found.no_correlation,))
    note = (
        "Correlation of log eps_t with the logarithm of each measure across trained nets, its 95 % interval, and an "
        "exact permutation p-value, each by itself."
    )
    notes = (note,) if related.rows else ("No data set has three nets or more with a test error at one P.",)
    heads = ("data set", "P", "nets", *(f"log {SYMBOLS[x]}" for x in MEASURES))
    return Section(title, heads, related.cells(), notes, [f"Left out: {words}." for words in related.left_out])


def left_out(skipped: Iterable[tuple[SeriesKey | str, str]]) -> list[tuple[str, list[str]]]:
    """Reasons why series were not fitted or not compared, and the series of each."""
    found: dict[str, list[str]] = {}
    for key, reason in skipped:
        found.setdefault(reason.removeprefix(f"{key} = "), []).append(str(key))
    return list(found.items())


def points_sections(curves: Curves) -> list[Section]:
    """For each series the cells P, n, R_f, D_f, eps_t."""
    heads = ("P", "n", *(SYMBOLS[name] for name in AVERAGED))
    found = []
    for key, rows in curves.parts.items():
        cells = [
            (f"{record['train_size']:.0f}", f"{record['n']:.0f}", *(_cell(record, name) for name in AVERAGED))
            for record in average_over_seeds(rows).to_dict("records")
        ]
        found.append(Section(str(key), heads, cells))
    return found


def _cell(record: dict[Any, Any], name: str) -> str:
    value, low, high = (float(record[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "–"
    estimate = Estimate(value, low, high)
    return format_estimate(estimate) if np.isfinite(estimate.error) else format_number(value)
