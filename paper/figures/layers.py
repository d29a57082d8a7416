"""Figure: D, G and R layer by layer, before and after training."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from paper.figures.plots import PAGE, bars, finish, log_y, new_figure, points
from paper.numbers.image_table import DATA

STAGES = {"initial": ("before training", "#E69F00", "s"), "trained": ("trained", "#0072B2", "o")}
_TICKS = {"$D_k$": (0.05, 0.1, 0.2, 0.4), "$G_k$": (0.01, 0.03, 0.1, 0.3, 1), "$R_k$": (0.3, 1, 3, 10)}
KINDS = ("Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Linear")


def layer_table(stage: str) -> pd.DataFrame:
    """Layers that compute something, in order."""
    table = pd.read_csv(DATA / f"layers_vgg11_bn_{stage}.csv", comment="#")
    return table[table["kind"].isin(KINDS)].reset_index(drop=True)


def layers() -> Figure:
    """95 % intervals over images."""
    figure = new_figure(PAGE, 2.2)
    axes = figure.subplots(1, 3)
    for ax, name, symbol in zip(axes, ("diffeo", "noise", "relative"), ("$D_k$", "$G_k$", "$R_k$"), strict=True):
        for stage, (label, colour, mark) in STAGES.items():
            rows = layer_table(stage)
            column = f"{name}_stability"
            points(ax, rows["place"], rows[column], bars(rows, column), color=colour, marker=mark, label=label)
        log_y(ax, _TICKS[symbol])
        finish(ax, "layer", symbol)
    axes[2].axhline(1, color="#666666", linewidth=0.7, zorder=0)
    axes[0].legend(frameon=False)
    return figure
