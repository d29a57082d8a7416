"""Static figures, by matplotlib's objects alone: no pyplot, no global state, no display needed."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from compare.report.panels import Curve, Panel, bar_lengths, log_ticks
from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole

__all__ = [
    "draw",
    "plot_deformed_grid",
    "png",
    "require_figure_path",
    "save",
]

_SUFFIXES: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}
_LAW = "#666666"


def draw(panel: Panel) -> Figure:
    """Draw `panel` on a new figure high enough for its legend, which stands below the axes."""
    columns = 1 if max(map(len, panel.labels), default=0) > 42 else 2
    height = 4.2 + 0.2 * math.ceil(len(panel.labels) / columns)
    figure = Figure(figsize=(6.6, height), layout="constrained")
    ax = figure.add_subplot()
    fitted = {line.key for line in panel.lines if line.style}
    handles = [_draw_curve(ax, curve, curve.key in fitted) for curve in panel.curves]
    for line in panel.lines:
        if line.style is None:
            handles += ax.plot(line.x, line.y, color=_LAW, linewidth=1.2, zorder=1)
        else:
            ax.plot(line.x, line.y, color=line.style.colour, linestyle=line.style.matplotlib_dash, linewidth=1.1)
    _axis(ax, "x", panel.limits("x"))
    _axis(ax, "y", panel.limits("y"))
    ax.set(xlabel=_math(panel.x_label), ylabel=_math(panel.y_label))
    ax.set_title(panel.title, fontsize="medium")
    ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if not handles:
        ax.text(0.5, 0.5, "no rows to show", transform=ax.transAxes, ha="center", color=_LAW)
    else:
        words = [_math(label) for label in panel.labels]
        look: dict[str, Any] = {"ncols": columns, "fontsize": "x-small", "frameon": False, "handlelength": 3}
        figure.legend(handles, words, loc="outside lower center", **look)
    return figure


def plot_deformed_grid(images: np.ndarray, row_labels: Sequence[str], column_labels: Sequence[str]) -> Figure:
    """A grid of images, values in [0, 1], of shape rows x columns x n x n or rows x columns x n x n x 3.

    Raises
    ------
    InputError
        If the shape is another, or the labels are not as many as rows and columns.
    """
    array = np.asarray(images, dtype=float)
    if array.ndim not in (4, 5) or (array.ndim == 5 and array.shape[-1] != 3) or 0 in array.shape:
        raise InputError("images", array.shape, "must have the shape rows x columns x n x n, or the same x 3")
    rows, columns = array.shape[:2]
    if len(row_labels) != rows or len(column_labels) != columns:
        raise InputError("labels", (len(row_labels), len(column_labels)), f"must be {rows} rows, {columns} columns")
    figure = Figure(figsize=(0.9 + 1.15 * columns, 0.4 + 1.15 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for i in range(rows):
        for j in range(columns):
            grid[i, j].imshow(array[i, j].clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            grid[i, j].set(xticks=[], yticks=[])
        grid[i, 0].set_ylabel(_math(row_labels[i]), fontsize="small")
    for j in range(columns):
        grid[0, j].set_title(_math(column_labels[j]), fontsize="small")
    return figure


def require_figure_path(path: str | Path) -> Path:
    """`path` if a figure can be written there, asked before a long computation; InputError otherwise."""
    target = Path(path)
    if target.suffix not in _SUFFIXES:
        raise InputError("figure", str(path), "must end in " + ", ".join(_SUFFIXES))
    return require_writable_parent("figure", target)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a .png (150 dots an inch), .pdf or .svg, whole or not at all, the same bytes each time."""
    target = require_figure_path(path)

    def write(aside: Path) -> None:
        with mpl.rc_context({"svg.hashsalt": "relstab"}):
            figure.savefig(aside, dpi=150, metadata=_SUFFIXES[target.suffix])

    return write_whole(target, write)


def png(figure: Figure) -> bytes:
    """The bytes that `save` writes to a .png."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150, metadata=_SUFFIXES[".png"])
    return stream.getvalue()


def _draw_curve(ax: Axes, curve: Curve, fitted: bool) -> Line2D:
    """One series: markers with error bars; returns what stands for it in the legend."""
    style = curve.style
    look: dict[str, Any] = {"color": style.colour, "marker": style.matplotlib_marker, "markersize": 5}
    look["markerfacecolor"] = "none" if style.hollow else style.colour
    ends = ((curve.y, curve.y_low, curve.y_high), (curve.x, curve.x_low, curve.x_high))
    yerr, xerr = (bar_lengths(*three) if np.isfinite(three[1]).any() else None for three in ends)
    ax.errorbar(curve.x, curve.y, yerr=yerr, xerr=xerr, linestyle="none", elinewidth=0.9, capsize=1.5, **look)
    return Line2D([], [], linestyle=style.matplotlib_dash if fitted else "none", linewidth=1.1, **look)


def _axis(ax: Axes, which: str, limits: tuple[float, float]) -> None:
    axis = ax.xaxis if which == "x" else ax.yaxis
    ax.set(**{f"{which}scale": "log", f"{which}lim": limits})
    axis.set_major_locator(FixedLocator(log_ticks(*limits)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _math(text: str) -> str:
    """`text` for matplotlib: its dollar signs start no formula; R_f and eps_t are set as formulas."""
    safe = text.replace("$", r"\$")
    for plain, formula in (("R_f", "$R_f$"), ("D_f", "$D_f$"), ("eps_t", r"$\epsilon_t$"), ("sqrt(", r"√(")):
        safe = safe.replace(plain, formula)
    return safe
