"""The report: one HTML file that needs nothing else, and the same figures as PNG files beside it."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.resources
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.curves.series import Curves, series
from compare.report.choices import series_choices
from compare.report.findings import find
from compare.report.sections import answer_section, downloads, falls_section, left_out, points_sections, sections
from empirical.diffeo.explorer_images import SampleImage, explorer_script, sample_images
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
    """Deformed images to show in a report, and the labels of their grid.

    Attributes
    ----------
    images : values in [0, 1], shape (rows, columns, n, n) or (rows, columns, n, n, 3)
    row_labels, column_labels : one a row, one a column

    Example
    -------
    >>> import numpy as np
    >>> from compare import DeformedGrid
    >>> grid = DeformedGrid(np.zeros((2, 3, 16, 16)), ["c = 3", "c = 15"], ["0.5 px", "1 px", "2 px"])
    >>> grid.images.shape[:2] == (len(grid.row_labels), len(grid.column_labels))
    True
    """

    images: np.ndarray
    row_labels: Sequence[str]
    column_labels: Sequence[str]


def gather(tables: pd.DataFrame | str | Path | Sequence[pd.DataFrame | str | Path]) -> Curves:
    """Curve tables, or files of them, as one, parsed.

    Raises
    ------
    InputError
        If there is no table or no row, a file or table is not valid, or two rows have the same key.
    """
    items = [tables] if isinstance(tables, (pd.DataFrame, str, Path)) else list(tables)
    frames = [validate_table(item) if isinstance(item, pd.DataFrame) else read_table(item) for item in items]
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        raise InputError("tables", f"{len(items)} table{'s' * (len(items) != 1)}", "must hold at least one row")
    if len(items) == 1:
        return Curves(filled[0], series(filled[0]))
    names = [f"table {i}" if isinstance(item, pd.DataFrame) else str(item) for i, item in enumerate(items, 1)]
    origins = [name for name, frame in zip(names, frames, strict=True) for _ in range(len(frame))]
    whole = validate_table(pd.concat(filled, ignore_index=True), origin="tables together", origins=origins)
    return Curves(whole, series(whole))


@default_settings()
def write_report(
    tables: Curves | pd.DataFrame | str | Path | Sequence[pd.DataFrame | str | Path],
    path: str | Path,
    *,
    title: str = "Relative stability: theory against measurement",
    images: DeformedGrid | None = None,
    samples: Sequence[SampleImage] | None = None,
    notes: Sequence[str] = (),
    command: str | None = None,
    stage: str | None = None,
) -> Path:
    """Write the report of one or more curve tables as one HTML page.

    Rows of source "theory" are the theory, all others are measured. Static figures go to the folder
    ``<stem>_figures`` beside the report. The same input and versions give the same bytes. All input is read
    and all figures are made before the first file is written, so that bad input leaves nothing behind.

    Parameters
    ----------
    tables : curve tables, or files of them
    path : the page's, ending in .html
    title : of the page
    images : deformed images to show
    samples : what the page's explorer of diffeomorphisms deforms, by default those of
        `empirical.diffeo.explorer_images`
    notes : paragraphs of the reader's own, on the input
    command : the command line that writes it, shown on the page
    stage : of the theory's series that is preferred where a series' own stage is not there

    Returns
    -------
    `path`.

    Raises
    ------
    InputError
        If a table is not valid or there are no rows, `path` does not end in .html or cannot be written,
        `stage` is no stage of the theory, the images have the wrong shape, or `samples` is empty.

    Example
    -------
    >>> from compare import write_report
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> table = curve_table({**net, "train_size": p, "relative_stability": 8 / p} for p in (64, 128, 256, 512))
    >>> with TemporaryDirectory() as folder:
    ...     page = write_report(table, Path(folder) / "report.html")
    ...     print(page.name, sorted(path.name for path in Path(folder).iterdir()))
    report.html ['report.html', 'report_figures']
    >>> write_report(table, "report.pdf")
    Traceback (most recent call last):
        ...
    theory.common.errors.InputError: path = report.pdf: must end in .html
    """
    from compare.report.figures import draw, plot_deformed_grid, save
    from compare.report.interactive import panel_html, plotly_script
    from compare.report.panels import collapse_panel, diffeo_panel, error_panel, stability_panel

    target = Path(path)
    called = "path" if command is None else "output"  # as an option of the commands it has another name
    if target.suffix not in (".html", ".htm"):
        raise InputError(called, str(path), "must end in .html")
    shown = sample_images() if samples is None else list(samples)
    if not shown:
        raise InputError("samples", "none", "must hold at least one image")
    curves = tables if isinstance(tables, Curves) else gather(tables)
    found = find(curves, stage)
    collapse = [] if found.scales is None else [collapse_panel(curves, found.scales)]
    panels = [stability_panel(curves, found.fits), *collapse, error_panel(curves), diffeo_panel(curves)]
    panels = [panel for panel in panels if panel.curves]
    grid = None
    if images is not None:
        grid = plot_deformed_grid(images.images, images.row_labels, images.column_labels)
    require_writable_parent(called, target)
    figures = target.with_name(f"{target.stem}_figures")
    drawn = {} if grid is None else {"deformed-images": grid}
    drawn |= {panel.name: draw(panel) for panel in panels}
    choices = series_choices(curves)
    page = _template().render(
        title=title,
        sentence=found.sentences[0],
        details=found.sentences[1:],
        answer=answer_section(found),
        falls=falls_section(found),
        panels=[(panel, panel_html(panel, choices.numbers)) for panel in panels],
        choices=choices,
        scripts=(_resource("charts.js"), explorer_script()),
        style=_resource("report.css"),
        plotly=plotly_script(),
        sections=sections(found),
        left_out=left_out(found.contrast.skipped if found.contrast else found.fits.skipped),
        image=_base64(grid) if grid is not None else None,
        samples=[sample.embedded() for sample in shown],
        points=points_sections(curves),
        downloads=downloads(found, command),
        rows=len(curves.table),
        notes=list(notes),
        command=command,
        versions=_versions(),
        figures=figures.name,
    )
    for name, figure in drawn.items():
        save(figure, figures / f"{name}.png")
    return write_whole(target, lambda aside: aside.write_text(page, encoding="utf-8"))


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
