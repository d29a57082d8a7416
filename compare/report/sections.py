"""The report's tables, as cells of text: what was fitted, what was left out, and the points of every series."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compare.contrasts.comparison import Contrast
from compare.contrasts.scales import Scale, Scales
from compare.curves.averages import average_over_seeds
from compare.curves.series import series
from compare.curves.wording import SYMBOLS, format_estimate, format_interval, format_number
from compare.fits.law_choice import parameter_words
from compare.fits.law_fits import beyond_theory
from compare.fits.table_fits import Fits
from theory.common.estimate import Estimate
from theory.common.table import write_table

__all__ = ["Download", "Section", "curve_download", "fits_section", "left_out", "points_sections", "scales_section"]

_MEASURES = ("relative_stability", "diffeo_stability", "test_error")


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


def fits_section(fits: Fits, contrasted: Contrast | None, remarks: Sequence[str] = ()) -> Section:
    """The fitted power laws, each beside the theory's if they are contrasted."""
    compared = {item.measured.label: item for item in contrasted.comparisons} if contrasted else {}
    rows = []
    for fit in fits:
        item = compared.get(fit.label)
        rows.append(
            (
                fit.label,
                format_estimate(fit.exponent),
                f"{format_estimate(item.difference, sign=True)} ({item.sizes})" if item else "–",
                format_estimate(item.ratio.estimate) if item and item.ratio else "–",
                f"{fit.x_range[0]:.0f}…{fit.x_range[1]:.0f}",
                f"{fit.n_points} / {fit.n_seeds}",
                f"{format_estimate(fit.value_at_pivot)} at P = {fit.pivot:.0f}",
                "–"
                if fit.curvature is None
                else format_estimate(fit.curvature, sign=True) + ", bent" * fit.bent,
                f"{fit.residual_rms:.2g}",
                fit.interval_method,
            )
        )
    if not rows:
        return Section("Fitted power laws", notes=("No series can be fitted.",), remarks=remarks)
    heads = (
        "series", "exponent", "difference to theory", "ratio to theory", "P", "rows / seeds", "R_f fitted", "curvature",
        "rms of ln R_f", "intervals",
    )  # fmt: skip
    note = (
        "R_f = A P^exponent for each series, by least squares on logarithms. Difference: measured exponent minus the "
        "theory's, both over the P in brackets. Ratio: measured over predicted R_f, where both share task, stage "
        "and P. Curvature: coefficient of (ln P)²; a series whose interval leaves out 0 is marked as bent, and its "
        "exponent is an average slope only."
    )
    return Section("Fitted power laws", heads, rows, (note,), remarks)


def scales_section(scales: Scales) -> Section:
    """The effective scale s of each measured series, or why its curve determines none."""
    rows = [
        (
            scale.label,
            scale.theory,
            format_interval(scale.shifted["shift"].estimate),
            f"{100 * scale.extended:.0f} %",
            f"{scale.miss:.2g} times",
            _parting(scale),
            _free_scale(scale),
        )
        for scale in scales
    ]
    rows += [
        (label, "–", why, "–", "–", "–", "–") for label, why in scales.skipped if label in scales.without()
    ]
    note = (
        "R_f = R_th(P / s): s times as many points as the theory needs for the same R_f. Extended: the part of the "
        "range of P / s beyond the theory's own P. A series has no s where that is more than half, or where R_f at "
        "more than half of its P lies above the model's largest. Off by: the factor between means and shifted theory, "
        "root mean square over P. Where that is large, s means little."
    )
    heads = ("series", "theory", "s", "extended", "off by", "parts from it", "with a free scale a")
    return Section("Effective scale of P", heads, rows, (note,))


def _parting(scale: Scale) -> str:
    if scale.parting is None:
        return "never" if scale.tested else "no intervals"
    return f"at P = {scale.parting.train_size}, {scale.parting.side}, {scale.parting.factor:.2g} times"


def _free_scale(scale: Scale) -> str:
    """a and s of the law that scales R_f as well."""
    if scale.scaled is None:
        return "–"
    if beyond_theory(scale.scaled):
        return "not fixed"
    return ", ".join(map(parameter_words, scale.scaled.parameters))


def left_out(skipped: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Reasons why series were not fitted or not compared, and the series of each."""
    found: dict[str, list[str]] = {}
    for label, reason in skipped:
        found.setdefault(reason.removeprefix(f"{label} = "), []).append(label)
    return list(found.items())


def points_sections(table: pd.DataFrame) -> list[Section]:
    """For each series the cells P, n, R_f, D_f, eps_t."""
    heads = ("P", "n", *(SYMBOLS[name] for name in _MEASURES))
    found = []
    for label, rows in series(table).items():
        cells = [
            (f"{record['train_size']:.0f}", f"{record['n']:.0f}", *(_cell(record, name) for name in _MEASURES))
            for record in average_over_seeds(rows).to_dict("records")
        ]
        found.append(Section(label, heads, cells))
    return found


def _cell(record: dict[Any, Any], name: str) -> str:
    value, low, high = (float(record[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "–"
    estimate = Estimate(value, low, high)
    return format_estimate(estimate) if np.isfinite(estimate.error) else format_number(value)
