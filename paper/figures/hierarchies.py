"""Figure: nets that learn sparse random hierarchies; the test error against P over its scale, and against R_f."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compare.report.styles import PALETTE
from paper.figures.plots import PAGE, finish, log_y, new_figure
from paper.numbers.image_table import DATA
from theory import read_table

__all__ = ["augmentation_table", "hierarchies", "hierarchy_table", "trained_outputs"]

TABLES = ("srhm_curves.csv", "srhm_nets.csv", "srhm_sparse.csv")
NETS = {"cnn": "convolutional", "lcn": "locally connected", "fcn": "fully connected"}
_MARKS = {0: "o", 1: "s", 2: "^", 4: "D"}
_ERRORS = (0.0001, 0.001, 0.01, 0.1, 1)


@cache
def hierarchy_table() -> pd.DataFrame:
    """All nets of the usual training."""
    return pd.concat([read_table(DATA / name) for name in TABLES], ignore_index=True)


@cache
def augmentation_table() -> pd.DataFrame:
    """Nets trained on changed inputs, and those of the usual training beside them."""
    return read_table(DATA / "srhm_augmentation.csv")


def trained_outputs(table: pd.DataFrame) -> pd.DataFrame:
    """Trained nets at their outputs; `net` is the kind of net, `scaled` is P / [(s_0 + 1)^2 n_c m^L]."""
    rows = table[(table["stage"] == "trained") & (table["layer"] == "")]
    numbers = {name: rows[name].astype(float) for name in ("sparsity", "classes", "synonyms", "levels")}
    scale = (numbers["sparsity"] + 1) ** 2 * numbers["classes"] * numbers["synonyms"] ** numbers["levels"]
    return rows.assign(net=rows["architecture"].str.split("-").str[0], scaled=rows["train_size"] / scale)


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Over seeds; nets without any error on their test data at all seeds are below the axis."""
    keys = ["net", "task", "variant", "sparsity", "levels", "train_size", "scaled"]
    found = rows.groupby(keys, as_index=False)[["test_error", "relative_stability"]].mean()
    return found[found["test_error"] > 0]


def _draw(ax: Axes, rows: pd.DataFrame, x: str) -> None:
    for place, net in enumerate(NETS):
        for sparsity, mark in _MARKS.items():
            own = rows[(rows["net"] == net) & (rows["sparsity"] == sparsity) & (rows[x] > 0)]
            for levels, face in ((2, PALETTE[place]), (3, "none")):
                part = own[own["levels"] == levels]
                ax.plot(part[x], part["test_error"], mark, color=PALETTE[place], markerfacecolor=face, markersize=3.5,
                        markeredgewidth=0.7, alpha=0.8)  # fmt: skip


def _plain(ax: Axes, ticks: tuple[float, ...]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def hierarchies() -> Figure:
    """Left: against P over its scale; right: against R_f, and crosses for nets that saw placements drawn anew."""
    rows, changed = _means(trained_outputs(hierarchy_table())), _means(trained_outputs(augmentation_table()))
    figure = new_figure(PAGE, 3.3)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, rows, "scaled")
    left.axhline(0.1, color="#888888", linewidth=0.6)
    _plain(left, (0.5, 1, 2, 5, 10, 20))
    finish(left, "$P\\,/\\,[(s_0 + 1)^2\\, n_c\\, m^L]$", r"test error $\epsilon_t$")
    _draw(right, rows, "relative_stability")
    placed = changed[changed["variant"] == "trained on placements"].sort_values("train_size")
    look: dict[str, Any] = {"color": "black", "markersize": 5, "linewidth": 0.7}
    right.plot(placed["relative_stability"], placed["test_error"], "x-", **look)
    _plain(right, (0.001, 0.01, 0.1, 1))
    right.set_xlim(0.001, 2)
    finish(right, "relative stability $R_f$ (moves over noise)")
    log_y(left, _ERRORS)
    left.set_ylim(4e-5, 1)
    usual: dict[str, Any] = {"linestyle": "", "markersize": 3.5}
    handles = [
        *(Line2D([], [], marker="o", color=PALETTE[i], label=name, **usual) for i, name in enumerate(NETS.values())),
        *(Line2D([], [], marker=mark, color="#888888", label=f"$s_0$ = {s}", **usual) for s, mark in _MARKS.items()),
    ]
    handles += [
        Line2D([], [], marker="o", color="#888888", markerfacecolor="none", label="$L$ = 3", **usual),
        Line2D([], [], marker="x", label="trained on placements drawn anew", **look),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure
