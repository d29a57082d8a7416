"""The report: one HTML file that needs nothing else, and the same figures as PNG files beside it."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.resources
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.contrasts.comparison import Contrast, contrast, require_stage
from compare.curves.wording import format_estimate
from compare.fits.table_fits import Fits, fit_all, fit_error_law
from compare.report.choices import series_choices
from compare.report.findings import exponents_section, find
from compare.report.samples import SampleImage, sample_images
from compare.report.sections import Download, curve_download, fits_section, left_out, points_sections
from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole
from theory.common.matplotlib_settings import default_settings
from theory.common.table import read_table, validate_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DeformedGrid", "gather", "write_report"]

_PACKAGES = ("relstab", "numpy", "scipy", "pandas", "lmfit", "matplotlib", "plotly", "torch")


@dataclass(frozen=True, slots=True)
class DeformedGrid:
    """Deformed images to show: values in [0, 1], rows x columns x n x n (x 3), and the labels of the grid."""

    images: np.ndarray
    row_labels: Sequence[str]
    column_labels: Sequence[str]


def gather(tables: pd.DataFrame | str | Path | Sequence[pd.DataFrame | str | Path]) -> pd.DataFrame:
    """Curve tables, or files of them, as one valid curve table.

    Raises
    ------
    InputError
        If there is no table or no row, a file or table is not valid, or two rows have the same key.
    """
    items = [tables] if isinstance(tables, (pd.DataFrame, str, Path)) else list(tables)
    frames = [validate_table(item) if isinstance(item, pd.DataFrame) else read_table(item) for item in items]
    filled = [frame for frame in frames if len(frame)]
    names = [f"table {i}" if isinstance(item, pd.DataFrame) else str(item) for i, item in enumerate(items, 1)]
    if not filled:
        raise InputError("tables", f"{len(items)} tables", "must hold at least one row")
    origins = [name for name, frame in zip(names, frames, strict=True) for _ in range(len(frame))]
    return validate_table(pd.concat(filled, ignore_index=True), origin="tables together", origins=origins)


@default_settings()
def write_report(
    tables: pd.DataFrame | str | Path | Sequence[pd.DataFrame | str | Path],
    path: str | Path,
    *,
    title: str = "Relative stability: theory against measurement",
    images: DeformedGrid | None = None,
    samples: Sequence[SampleImage] | None = None,
    notes: Sequence[str] = (),
    command: str | None = None,
    stage: str | None = None,
) -> Path:
    """Write the report of one or more curve tables to `path` (.html); return the path.

    Rows of source "theory" are the theory, all others are measured. `samples` are what the page's explorer of
    diffeomorphisms deforms, by default `compare.report.samples.sample_images`. Static figures go to the folder
    ``<stem>_figures`` beside the report. The same input and versions give the same bytes. All input is read
    and all figures are made before the first file is written, so that bad input leaves nothing behind.

    Raises
    ------
    InputError
        If a table is not valid or there are no rows, `path` does not end in .html or cannot be written,
        `stage` is no stage of the theory, the images have the wrong shape, or `samples` is empty.
    """
    from compare.report.figures import draw, plot_deformed_grid, save
    from compare.report.interactive import panel_html, plotly_script
    from compare.report.panels import diffeo_panel, error_panel, stability_panel

    target = Path(path)
    called = "path" if command is None else "output"  # as an option of the commands it has another name
    if target.suffix not in (".html", ".htm"):
        raise InputError(called, str(path), "must end in .html")
    shown = sample_images() if samples is None else list(samples)
    if not shown:
        raise InputError("samples", "none", "must hold at least one image")
    table = gather(tables)
    fits = fit_all(table)
    contrasted, reason = _contrast(table, stage)
    found = find(table, contrasted, reason, stage)
    panels = [stability_panel(table, fits), *found.panels, error_panel(table), diffeo_panel(table)]
    panels = [panel for panel in panels if panel.curves]
    grid = None
    if images is not None:
        grid = plot_deformed_grid(images.images, images.row_labels, images.column_labels)
    require_writable_parent(called, target)
    figures = target.with_name(f"{target.stem}_figures")
    drawn = {} if grid is None else {"deformed-images": grid}
    drawn |= {panel.name: draw(panel) for panel in panels}
    choices = series_choices(table)
    page = _template().render(
        title=title,
        verdict=found.verdict,
        exponents=exponents_section(contrasted),
        panels=[(panel, panel_html(panel, choices.numbers)) for panel in panels],
        choices=choices,
        scripts={name: _resource(name) for name in ("charts.js", "explorer.js")},
        style=_resource("report.css"),
        plotly=plotly_script(),
        sections=[fits_section(fits, contrasted, _error_law(table)), *found.sections],
        left_out=left_out(contrasted.skipped if contrasted else fits.skipped),
        image=_base64(grid) if grid is not None else None,
        samples=[sample.embedded() for sample in shown],
        points=points_sections(table),
        downloads=[curve_download(table, command), _fits_download(fits, contrasted), *found.downloads],
        rows=len(table),
        notes=list(notes),
        command=command,
        versions=_versions(),
        figures=figures.name,
    )
    for name, figure in drawn.items():
        save(figure, figures / f"{name}.png")
    return write_whole(target, lambda aside: aside.write_text(page, encoding="utf-8"))


def _contrast(table: pd.DataFrame, stage: str | None) -> tuple[Contrast | None, str]:
    """The contrast, or None and the reason why there is none."""
    theory = table["source"] == "theory"
    require_stage(table[theory], stage)
    if not theory.any():
        return None, "These tables hold no series of the theory: there is nothing to contrast."
    if theory.all():
        return None, "These tables hold the theory alone: there is nothing measured to contrast it with."
    if not len(fit_all(table[theory])):
        return None, "No series of the theory can be fitted: there is nothing to contrast with."
    return contrast(table[theory], table[~theory], stage=stage), ""


def _error_law(table: pd.DataFrame) -> list[str]:
    """The law of test error against R_f of the measured rows, or why it cannot be fitted."""
    try:
        law = fit_error_law(table[table["source"] != "theory"])
    except InputError as error:
        return [f"The law of test error against R_f cannot be fitted to the measured rows: {error}."]
    if not math.isfinite(law.exponent.error):
        why = f"no interval over nets or seeds ({law.n_units} series): as if all points were independent, the exponent "
        why += f"would be {format_estimate(law.pooled_exponent)}"
    elif law.unit == "series":
        why = "intervals over whole series, a net on a data set each"
    else:
        why = "fewer than three series: intervals over their seeds alone, which say nothing on other nets"
    return [
        f"Test error against relative stability, over all measured trained rows: {law!r}; {why}. For comparison, "
        "CIFAR10 nets at one pixel: eps_t = 0.2 R_f^0.5 (arXiv 2105.02468)."
    ]


def _fits_download(fits: Fits, contrasted: Contrast | None) -> Download:
    """The table of `relstab compare --output`."""
    numbers = (contrasted or Contrast(fits.fits, (), fits.skipped)).table()
    return Download("fits.csv", "the table of fits", numbers.to_csv(index=False, lineterminator="\n"))


def _versions() -> list[str]:
    """Versions of Python and of the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _base64(figure: Figure) -> str:
    from compare.report.figures import png

    return base64.b64encode(png(figure)).decode("ascii")


def _resource(name: str) -> str:
    """The text of a file of this package that the page holds."""
    return importlib.resources.files("compare.report").joinpath("assets", name).read_text(encoding="utf-8")


def _template() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("compare.report", package_path="assets")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")
