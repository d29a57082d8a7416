"""The look of the manuscript's figures: widths of the page, fonts, axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Widths of a column and of the page in inches.
COLUMN, PAGE = 3.35, 6.95
LOOK = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 6.5, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "pdf.fonttype": 42, "mathtext.fontset": "dejavusans",
}  # fmt: skip



def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def finish(ax: Axes, xlabel: str | None = None, ylabel: str | None = None, title: str | None = None) -> None:
    """Labels, a faint grid, no frame above and to the right."""
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)
    if title is not None:
        ax.set_title(title)
    ax.grid(True, color="#888888", alpha=0.2, linewidth=0.5)
    ax.spines[["top", "right"]].set_visible(False)


def sizes(ax: Axes, ticks: tuple[int, ...] = (64, 512, 4096)) -> None:
    """A logarithmic axis of training-set sizes."""
    ax.set_xscale("log")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()


def log_y(ax: Axes, ticks: tuple[float, ...]) -> None:
    """A logarithmic axis upwards with these ticks, as plain numbers."""
    ax.set_yscale("log")
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def bars(rows: pd.DataFrame, name: str) -> np.ndarray:
    """Lengths of the error bars below and above `name`."""
    value, low, high = (rows[f"{name}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    return np.nan_to_num(np.clip([value - low, high - value], 0, None))


def points(ax: Axes, x: object, y: object, error: object = None, **style: object) -> None:
    """Markers with thin error bars, joined by a thin line unless told otherwise."""
    usual = {"markersize": 3, "linewidth": 0.8, "elinewidth": 0.7, "capsize": 1.2, "markeredgewidth": 0.7}
    ax.errorbar(x, y, error, **(usual | style))
