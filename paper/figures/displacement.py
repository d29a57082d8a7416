"""Figure: D_f, G_f and R_f against the displacement, before and after training, ours and the published ones.

    python -m paper.figures.displacement    # writes paper/figures/displacement.png
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compare import load_reference_displacements
from compare.report.figures import save
from paper.figures.plots import LOOK, PAGE, finish, log_y, new_figure, points
from paper.numbers.image_table import COLOURS, DATA, MARKS, NETS, PUBLISHED, TASKS
from theory.common.estimate import geometric_mean
from theory.common.matplotlib_settings import default_settings

_MEASURES = {"diffeo_stability": "$D_f$", "noise_stability": "$G_f$", "relative_stability": "$R_f$"}
_TICKS = {
    "diffeo_stability": (0.001, 0.01, 0.1, 1), "noise_stability": (1e-4, 0.001, 0.01, 0.1, 1),
    "relative_stability": (0.1, 0.3, 1, 3, 10),
}  # fmt: skip
#: All means; bars of three seeds may reach further.
_LIMITS = {"diffeo_stability": (1e-4, 2), "noise_stability": (1e-5, 5), "relative_stability": (0.02, 40)}
#: The published net on all data sets, and the cutoff of our table.
EFFICIENT_NET, CUTOFF = "EfficientNet (bilinear)", 3
_DASHES, _COLUMNS = {"initial": "--", "trained": "-"}, ["delta", "value", "low", "high"]


def displacement_table() -> pd.DataFrame:
    return pd.read_csv(DATA / "displacement.csv", comment="#")


def published_displacements(task: str) -> pd.DataFrame:
    """The authors' EfficientNet on the data set that lies beside ours, at our cutoff."""
    table = load_reference_displacements(PUBLISHED[task], cutoff=CUTOFF, interpolation="bilinear")
    return table[table["architecture"] == EFFICIENT_NET]


def _means(rows: pd.DataFrame, name: str) -> dict[str, pd.DataFrame]:
    """Geometric means over seeds, with the ends of their intervals, by stage."""
    found = {}
    for stage in ("initial", "trained"):
        parts = rows[rows["stage"] == stage].groupby("displacement")[name]
        means = [(delta, geometric_mean(values.to_numpy())) for delta, values in parts]
        found[stage] = pd.DataFrame([(delta, e.value, e.low, e.high) for delta, e in means], columns=_COLUMNS)
    return found


def _ours(ax: Axes, rows: pd.DataFrame, name: str, net: str) -> None:
    """Markers with intervals; open and broken before training."""
    for stage, means in _means(rows, name).items():
        error = np.nan_to_num([means["value"] - means["low"], means["high"] - means["value"]])
        face = "none" if stage == "initial" else COLOURS[net]
        points(ax, means["delta"], means["value"], error, color=COLOURS[net], marker=MARKS[net], markersize=2.5,
               markerfacecolor=face, linestyle=_DASHES[stage])  # fmt: skip


def _theirs(ax: Axes, rows: pd.DataFrame, name: str) -> None:
    """A line in its band of intervals, broken before training."""
    for stage, means in _means(rows, name).items():
        ax.fill_between(means["delta"], means["low"], means["high"], color="black", alpha=0.2, linewidth=0)
        ax.plot(means["delta"], means["value"], color="black", linewidth=1.4, linestyle=_DASHES[stage])


def against_displacement() -> Figure:
    """Rows: data sets. Broken lines and open markers: before training; geometric means over seeds, 95 % intervals."""
    table = displacement_table()
    figure = new_figure(PAGE, 4.3)
    axes = figure.subplots(len(TASKS), len(_MEASURES), sharex=True, sharey="col")
    nets = [net for net in NETS if net in set(table["architecture"])]
    for row, (task, title) in zip(axes, TASKS.items(), strict=True):
        theirs = published_displacements(task)
        for ax, (name, symbol) in zip(row, _MEASURES.items(), strict=True):
            for net in nets:
                own = table[(table["task"] == task) & (table["architecture"] == net)]
                _ours(ax, own, name, net)
            _theirs(ax, theirs, name)
            ax.set_xscale("log")
            log_y(ax, _TICKS[name])
            ax.set_ylim(*_LIMITS[name])
            ax.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
            ax.minorticks_off()
            finish(ax, None, symbol, title)
        row[2].axhline(1, color="#666666", linewidth=0.7, zorder=0)
    for ax in axes[-1]:
        ax.set_xlabel("displacement $\\delta$ (pixels)")
    handles = [Line2D([], [], color=COLOURS[net], marker=MARKS[net], markersize=3, label=NETS[net]) for net in nets]
    handles += [
        Line2D([], [], color="black", linewidth=1.4, label="EfficientNet, published"),
        Line2D([], [], color="#666666", linestyle="--", label="before training"),
        Line2D([], [], color="#666666", label="trained"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


if __name__ == "__main__":
    with default_settings(), mpl.rc_context(LOOK):
        save(against_displacement(), Path(__file__).parent / "displacement.png")
