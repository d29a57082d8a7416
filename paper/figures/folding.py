"""Figure: the plane of temperature and cutoff, the measured folded fraction in it, and the paper's range."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper.figures.plots import COLUMN, finish, new_figure
from paper.numbers.image_table import DATA
from theory import MaxEntropyEnsemble


def folding_table() -> pd.DataFrame:
    return pd.read_csv(DATA / "folding.csv", comment="#")


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges of cells half-way between the centres on a logarithmic axis."""
    logs = np.log(centres)
    inner = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])


def phase_diagram() -> Figure:
    """Colour: folded fraction; lines: T_min, T_max and the T of one pixel."""
    table = folding_table()
    grid = table[table["place"] == "grid"]
    figure = new_figure(COLUMN, 2.7)
    ax = figure.add_subplot()
    size = int(grid["size"].iloc[0])
    cells = grid.pivot_table(index="temperature", columns="cutoff", values="folded_fraction")
    edges = (_edges(cells.columns.to_numpy(float)), _edges(cells.index.to_numpy(float)))
    marks = ax.pcolormesh(*edges, cells.to_numpy(), cmap="cividis", vmin=0, vmax=1, rasterized=True)
    cutoffs = np.arange(grid["cutoff"].min(), grid["cutoff"].max() + 1)
    ends = np.array([MaxEntropyEnsemble(size, int(c), 1.0).temperature_range for c in cutoffs])
    pixel = [MaxEntropyEnsemble.from_displacement(size, int(c), 1.0).temperature for c in cutoffs]
    for values, dash, label in (
        (ends[:, 1], "-", r"$T_{\max}$"), (pixel, "--", r"$\delta$ = 1 px"), (ends[:, 0], ":", r"$T_{\min}$")
    ):  # fmt: skip
        ax.plot(cutoffs, values, color="white", linewidth=2.6)
        ax.plot(cutoffs, values, dash, color="#D55E00", linewidth=1.4, label=label)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sorted(grid["cutoff"].unique()), [str(c) for c in sorted(grid["cutoff"].unique())])
    ax.minorticks_off()
    ax.legend(loc="lower left", framealpha=0.9)
    figure.colorbar(marks, ax=ax, label="folded fraction", pad=0.02)
    finish(ax, "cutoff c", "temperature T")
    return figure
