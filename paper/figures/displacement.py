"""Figure: D_f, G_f and R_f against the displacement, before and after training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper.figures.plots import PAGE, finish, log_y, new_figure, points
from paper.numbers.image_table import COLOURS, DATA, MARKS, NETS, TASKS
from theory.common.estimate import geometric_mean

_MEASURES = {"diffeo_stability": "$D_f$", "noise_stability": "$G_f$", "relative_stability": "$R_f$"}
_TICKS = {
    "diffeo_stability": (0.001, 0.01, 0.1, 1), "noise_stability": (1e-4, 0.001, 0.01, 0.1, 1),
    "relative_stability": (0.1, 0.3, 1, 3, 10),
}  # fmt: skip


def displacement_table() -> pd.DataFrame:
    return pd.read_csv(DATA / "displacement.csv", comment="#")


def against_displacement(task: str) -> Figure:
    """Broken lines and open markers: at initialisation; geometric means over seeds, 95 % intervals."""
    table = displacement_table()
    table = table[table["task"] == task]
    figure = new_figure(PAGE, 2.5)
    axes = figure.subplots(1, 3)
    nets = [net for net in NETS if net in set(table["architecture"])]
    for ax, (name, symbol) in zip(axes, _MEASURES.items(), strict=True):
        for net in nets:
            for stage, dash, face in (("initial", "--", "none"), ("trained", "-", COLOURS[net])):
                rows = table[(table["architecture"] == net) & (table["stage"] == stage)]
                found = [(delta, geometric_mean(part[name])) for delta, part in rows.groupby("displacement")]
                values = np.array([[e.value, e.value - e.low, e.high - e.value] for _, e in found]).T
                points(ax, [delta for delta, _ in found], values[0], np.nan_to_num(values[1:]), color=COLOURS[net],
                       marker=MARKS[net], linestyle=dash, markerfacecolor=face)  # fmt: skip
        ax.set_xscale("log")
        log_y(ax, _TICKS[name])
        ax.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
        ax.minorticks_off()
        finish(ax, "displacement $\\delta$ (pixels)", symbol)
    axes[2].axhline(1, color="#666666", linewidth=0.7, zorder=0)
    handles = [Line2D([], [], color=COLOURS[net], marker=MARKS[net], markersize=3, label=NETS[net]) for net in nets]
    handles += [Line2D([], [], color="#666666", linestyle="--", label="before training"),
                Line2D([], [], color="#666666", label="trained")]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False,
                  title=TASKS[task], title_fontsize=8)  # fmt: skip
    return figure
