"""Figures: R_f against P for each data set, and the test error against R_f and against D_f."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compare.report.panels import log_ticks
from paper.figures.plots import PAGE, bars, finish, log_y, new_figure, points, sizes
from paper.numbers.image_table import COLOURS, MARKS, NETS, TASKS, averaged, image_table, means, published_curves

_RATIO_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_PUBLISHED: dict[str, Any] = {"color": "black", "linewidth": 0.6, "markerfacecolor": "none"}
_ERROR_TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


def _nets() -> list[Line2D]:
    return [Line2D([], [], color=COLOURS[net], marker=MARKS[net], markersize=3.5, linewidth=0.8, label=label)
            for net, label in NETS.items()]  # fmt: skip


def stability_curves() -> Figure:
    """Solid: trained, means over seeds; at the left edge: before training; black: published; broken: 1/P."""
    table = image_table()
    figure = new_figure(PAGE, 3.2)
    axes = figure.subplots(1, len(TASKS), sharey=True)
    for ax, (task, title) in zip(axes, TASKS.items(), strict=True):
        for net in NETS:
            rows = averaged(table, task, net)
            points(ax, rows["train_size"], rows["relative_stability"], bars(rows, "relative_stability"),
                   color=COLOURS[net], marker=MARKS[net])  # fmt: skip
            start = averaged(table, task, net, "initial").iloc[:1]
            ax.plot(36, start["relative_stability"], color=COLOURS[net], marker=MARKS[net], markersize=3.5,
                    markerfacecolor="none", linestyle="")  # fmt: skip
        for mark, rows in zip("xd", published_curves(task).values(), strict=True):
            points(ax, rows["train_size"], rows["relative_stability"], bars(rows, "relative_stability"),
                   marker=mark, **_PUBLISHED)  # fmt: skip
        ends = np.array([256.0, 16384.0])
        ax.plot(ends, 20 * ends[0] / ends, "--", color="#333333", linewidth=1)
        sizes(ax, (64, 512, 4096, 32768))
        log_y(ax, _RATIO_TICKS)
        ax.set_ylim(0.01, 40)  # all points; bars of three seeds may reach further
        finish(ax, "training points P", title=title)
    axes[0].set_ylabel("relative stability $R_f$")
    names = published_curves(next(iter(TASKS)))
    others = [Line2D([], [], markersize=3, marker=mark, label=f"published {name}", **_PUBLISHED)
              for mark, name in zip("xd", names, strict=True)]  # fmt: skip
    others.append(Line2D([], [], color="#333333", linestyle="--", linewidth=1, label="slope of the theory, 1/P"))
    figure.legend(handles=_nets() + others, loc="outside lower center", ncols=5, frameon=False)
    return figure


def _panel(ax: Axes, task: str, name: str) -> None:
    rows = means(image_table(), task)
    mine_low, mine_high = float(rows[name].min()), float(rows[name].max())
    for net in NETS:
        mine = rows[rows["architecture"] == net]
        ax.errorbar(
            mine[name], mine["test_error"], bars(mine, "test_error"), bars(mine, name), color=COLOURS[net],
            marker=MARKS[net], linestyle="", markersize=3, elinewidth=0.4, alpha=0.8,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(mine_low / 1.5, mine_high * 1.5)  # all points; bars of three seeds may reach further
    ticks = log_ticks(*ax.get_xlim())
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    log_y(ax, _ERROR_TICKS)


def error_figure() -> Figure:
    """Rows: data sets; left: against R_f with the published law; right: against D_f."""
    figure = new_figure(PAGE, 4.6)
    axes = figure.subplots(len(TASKS), 2, sharey="row")
    for row, (task, title) in zip(axes, TASKS.items(), strict=True):
        for ax, name, symbol in zip(row, ("relative_stability", "diffeo_stability"), ("R_f", "D_f"), strict=True):
            _panel(ax, task, name)
            finish(ax, f"${symbol}$", title=title)
        low, high = row[0].get_xlim()
        line = np.geomspace(max(low, 0.02), high, 50)
        row[0].plot(line, 0.2 * np.sqrt(line), ":", color="#333333", linewidth=1)
        row[0].set_xlim(low, high)
        row[0].set_ylabel(r"test error $\epsilon_t$")
    law = Line2D([], [], color="#333333", linestyle=":", label=r"$0.2\sqrt{R_f}$, published for CIFAR10")
    figure.legend(handles=[*_nets(), law], loc="outside lower center", ncols=4, frameon=False)
    return figure
