"""The test error beside R_f: over nets and along P, the authors' nets seed by seed and ours.

    python -m paper.scripts.net_laws    # the figure, and README.md and docs/results.md between the marks

It reads `paper/data/image_nets_full.csv`, nets trained on all images, as far as its sweep has come: to be run again
whenever that table has grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compare import ErrorLaw, Fall, fit_net_law
from compare.contrasts.strata import EVERYWHERE
from compare.curves.averages import average_over_seeds
from compare.curves.numbers import SYMBOLS, format_estimate, format_interval
from compare.report.figures import save
from paper.figures.plots import LOOK, PAGE, bars, finish, log_y, new_figure, points, sizes
from paper.marked_text import put_between
from paper.numbers.image_table import (
    ALL_NETS,
    COLOURS,
    DATA,
    MARKS,
    NETS,
    PUBLISHED,
    TASKS,
    averaged,
    image_table,
    published_curves,
)  # fmt: skip
from paper.numbers.net_laws import (
    FULL,
    PUBLISHED_TASKS,
    curves_along,
    falls_of_largest,
    full_nets,
    full_table,
    full_tests,
    published_along,
    published_falls,
    published_law,
    trained_nets,
)  # fmt: skip
from paper.scripts.image_nets_full import FITTED
from paper.scripts.swap_power import cells, power_table
from theory import Estimate, InputError
from theory.common.estimate import geometric_mean

__all__ = ["first_screen", "net_laws", "net_laws_figure"]

ROOT = Path(__file__).parents[2]
MARKS_OF_PART = "<!-- nets -->", "<!-- end of the nets -->"
#: Fewer nets say too little on the first screen.
_ENOUGH = 6
_PUBLISHED: dict[str, Any] = {"color": "black", "linewidth": 0.6, "markerfacecolor": "none"}
_FULL: dict[str, Any] = {"color": "#7b3294", "marker": "*"}
_TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


def _law_row(data: str, nets: str, law: ErrorLaw, half: ErrorLaw) -> str:
    """One row of the table of laws: intervals over seeds or nets, as the law says."""
    factor = f"{np.exp(law.residual_rms):.2f}"
    over = f"{law.n_units} {'nets' if law.unit == 'series' else 'seeds'}"
    cells_ = (data, nets, str(law.n_points), over, format_estimate(law.exponent), format_estimate(law.amplitude),
              format_estimate(half.amplitude), factor)  # fmt: skip
    return f"| {' | '.join(cells_)} |"


def _laws() -> Iterator[str]:
    for task, data in PUBLISHED_TASKS.items():
        yield _law_row(data, "EfficientNet, ResNet (published)", published_law(task), published_law(task, 0.5))
    ours = image_table()
    for task, data in TASKS.items():
        own = ours[ours["task"] == task]
        yield _law_row(data, "seven small nets, all P", fit_net_law(own), fit_net_law(own, exponent=0.5))
    table = full_table()
    for task, data in TASKS.items() if table is not None else ():
        own = full_nets(table, task)
        try:
            laws = fit_net_law(own), fit_net_law(own, exponent=0.5)
        except InputError:
            continue  # fewer than three nets are finished
        size = own["train_size"].max()
        yield _law_row(data, f"nets at P = {size}", *laws)


def _along() -> Iterator[str]:
    for data, item in curves_along():
        name, _, kind = item.key.architecture.partition(" (")
        net = ALL_NETS.get(name, name) + (", published" if kind else "") + (", P ≥ 5689" if "other" in kind else "")
        known = not np.isnan(item.ratio.error)
        low, high = (f"{end:.0f}" for end in item.stability.x_range)
        row = (data, net, f"{low} to {high}", str(item.stability.n_seeds), format_estimate(item.stability.exponent),
               format_estimate(item.error.exponent), format_interval(item.ratio) if known else "–",
               format_interval(item.correlation))  # fmt: skip
        yield f"| {' | '.join(row)} |"


def _falls() -> Iterator[str]:
    names = {**PUBLISHED_TASKS, **TASKS}
    full = full_table()
    found: list[Fall] = [*published_falls(), *falls_of_largest(image_table())]
    if full is not None:
        found += falls_of_largest(full)
    for fall in found:
        name, _, kind = fall.key.architecture.partition(" (")
        net = ALL_NETS.get(name, name) + ", published" * bool(kind)
        row = (names.get(fall.key.task, fall.key.task), net, str(fall.train_size), str(fall.ratio.n),
               format_estimate(fall.initial), format_estimate(fall.trained), format_estimate(fall.decades))  # fmt: skip
        yield f"| {' | '.join(row)} |"


def _full_rows() -> Iterator[str]:
    """One row for each net trained on all images: cost, errors, R_f, D_f and G_f, means over its seeds."""
    table = full_table()
    for task, data in TASKS.items() if table is not None else ():
        nets = full_nets(table, task)
        trained = nets[nets["stage"] == "trained"]
        for net, rows in trained.groupby("architecture", sort=True):
            measures = [_measured(rows, name) for name in ("relative_stability", "diffeo_stability", "noise_stability")]
            errors = rows[["train_error", "test_error"]].mean()
            hours = rows["core_seconds"].mean() / 3600
            row = (data, ALL_NETS.get(str(net), str(net)), f"{rows['parameters'].iloc[0]:,}",
                   str(rows["epochs"].iloc[0]), _devices(rows), f"{hours:.2f}", str(len(rows)),
                   f"{errors['train_error']:.3f}", f"{errors['test_error']:.3f}",
                   "yes" if errors["train_error"] <= FITTED else "no", *measures)  # fmt: skip
            yield f"| {' | '.join(row)} |"


def _devices(rows: pd.DataFrame) -> str:
    """Where the seeds were trained: cpu, or a card's model without its maker and memory."""
    return ", ".join(sorted({name.split()[1] if name.startswith("NVIDIA") else name for name in rows["device"]}))


def _progress() -> str:
    """How many runs of the sweep the table holds, as its second line says."""
    path = DATA / FULL
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return lines[1].removeprefix("# ") if len(lines) > 1 and lines[1].startswith("# ") else "no run yet"


def _measured(rows: pd.DataFrame, name: str) -> str:
    """Geometric mean over seeds with its interval; that over images of a single seed."""
    if len(rows) > 1:
        return format_estimate(geometric_mean(rows[name].to_numpy(dtype=float)))
    return format_estimate(Estimate(*(float(rows[f"{name}{end}"].iloc[0]) for end in ("", "_low", "_high"))))


def _tests() -> list[str]:
    """Over the nets trained on all images: correlations, and which of R_f, D_f and G_f goes with the error best."""
    table = full_table()
    if table is None:
        return [f"Nets trained on all images are not measured yet: {FULL} is not there."]
    found, tests = full_tests(table)
    if not found.wheres():
        return ["Fewer than three nets trained on all images are finished on each data set: nothing to correlate yet."]
    names = {**TASKS, EVERYWHERE: "both together"}
    lines = ["| nets | of log eps_t with | r | p | rank r | p |", "|---|---|---|---|---|---|"]
    for row in found.rows:
        if row.kind == "pooled":
            numbers = f"{format_interval(row.pearson)} | {row.p_pearson:.2g} | {row.spearman.value:.2f}"
            head = f"{row.n}, {names.get(row.where, row.where)} | log {SYMBOLS[row.x]}"
            lines.append(f"| {head} | {numbers} | {row.p_spearman:.2g} |")
    return [*lines, "", *(f"- {names.get(test.where, test.where)}: {test.verdict()}." for test in tests)]


def first_screen() -> str:
    """The README's part: of each data set with enough nets the correlations and the law, and the figure."""
    table = full_table()
    if table is None:
        raise InputError("table", FULL, "is not there: nets on all images are still to be trained")
    found, _ = full_tests(table)
    lines = []
    rises, turned, fitting = True, True, 0
    counts: list[int] = []
    for task, data in TASKS.items():
        of = {row.x: row for row in found.rows if row.kind == "pooled" and row.where == task}
        if not of or of["relative_stability"].n < _ENOUGH:
            continue
        relative, diffeo, noise = (of[f"{name}_stability"].pearson for name in ("relative", "diffeo", "noise"))
        rises, turned = rises and relative.low > 0, turned and diffeo.high < 0
        own = full_nets(table, task)
        errors = own[own["stage"] == "trained"].groupby("architecture")["train_error"].mean()
        fitting += int((errors <= FITTED).sum())
        counts += own[own["stage"] == "trained"].groupby("architecture").size().tolist()
        cells = (data, str(of["relative_stability"].n), *map(format_interval, (relative, diffeo, noise)),
                 format_estimate(fit_net_law(own).exponent))  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        raise InputError("table", FULL, f"holds fewer than {_ENOUGH} nets of one size on each data set")
    seeds = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(max(counts))
    claim = "the smaller R_f, the smaller the test error" if rises else "the test error is not seen to follow R_f"
    alone = "points the other way: nets with a smaller D_f err more" if turned else "does not tell the test error"
    return "\n".join([
        MARKS_OF_PART[0],
        f"**Across nets trained on 50,000 images, {claim}.**",
        "",
        "| images | nets | r(log error, log R_f) | with log D_f | with log G_f | error ~ R_f^ |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
        "![Test error against R_f and against P, of nets trained here and published ones](paper/figures/net-laws.png)",
        "",
        f"*Stability to deformations alone {alone}. Intervals over nets, each the mean of {seeds} seeds.",
        f"Nets that fit their training set to 1 %: {fitting}. [All nets, and the published law](docs/results.md).*",
        MARKS_OF_PART[1],
    ])  # fmt: skip


def net_laws() -> str:
    """The part of docs/results.md."""
    lines = [
        MARKS_OF_PART[0],
        "## The test error beside R_f",
        "",
        *_sentences(),
        "",
        "| data | nets | points | intervals over | b | a | a at b = 1/2 | off the law by a factor |",
        "|---|---|---|---|---|---|---|---|",
        *_laws(),
        "",
        "eps_t = a R_f^b through means over seeds, each net counted once at each P. The paper has b = 1/2 and a = 0.2,",
        "over nets on CIFAR10 at c = 3. The authors' rows are at c = 5 on CIFAR10 and c = 3 elsewhere, and their test",
        "errors those of the best epoch. Intervals over seeds say nothing on other nets.",
        "",
        "![Test error against R_f and against P](../paper/figures/net-laws.png)",
        "",
        "<details><summary>Along P: exponent beside exponent</summary>",
        "",
        "| data | net | P | seeds | R_f ~ P^ | eps_t ~ P^ | eps_t ~ R_f^ | r of the logarithms |",
        "|---|---|---|---|---|---|---|---|",
        *_along(),
        "",
        "The last exponent is the ratio of the two before it, jackknifed over seeds; a dash where R_f does not change",
        "significantly with P. Left out: EfficientNet at P = 50000, whose R_f is another average, and a second sweep",
        "at P = 512.",
        "",
        "</details>",
        "",
        "<details><summary>Before and after training</summary>",
        "",
        "| data | net | P | seeds | R_f before | R_f trained | decades below |",
        "|---|---|---|---|---|---|---|",
        *_falls(),
        "",
        "At one pixel and c = 3, at the largest P of each net. Published: the nearest of 30 displacements.",
        "",
        "</details>",
        "",
        "<details open><summary>Nets trained on all images: R_f, D_f and G_f</summary>",
        "",
        f"`paper/data/{FULL}`, {_progress()}. At one pixel and c = 3, 500 test images; intervals over seeds, of a",
        "single seed over images. A net fits if it errs on at most 1 % of its training images. Core-hours are the",
        "processor's, also where a card did the steps: on an H100, at most eight runs at a time shared it.",
        "",
        "| data | net | parameters | epochs | on | core-hours | seeds | train error | test error | fits | R_f | D_f "
        "| G_f |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *_full_rows(),
        "",
        *_tests(),
        "",
        "How often the test can tell R_f from D_f at 0.05, on 400 planted tables each (`python -m",
        "paper.scripts.swap_power`). P counts values of P, over all data sets:",
        "",
        "| nets | P | r with R_f | r with D_f | told apart |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in cells(power_table())),
        "",
        "</details>",
        MARKS_OF_PART[1],
    ]
    return "\n".join(lines)


def _sentences() -> Iterator[str]:
    """What nets trained here and the authors' rows say of the square root, on each data set and of each net."""
    table = full_table()
    for task, data in TASKS.items() if table is not None else ():
        try:
            law = fit_net_law(full_nets(table, task))
        except InputError:
            continue  # fewer than three nets are finished
        exponent, amplitude = format_estimate(law.exponent), format_estimate(law.amplitude)
        yield f"- {data}, {law.n_units} nets trained here on all images: eps_t ~ R_f^({exponent}), which {_half(law)};"
        yield f"  at R_f = 1 it is {amplitude}."
    for task, data in PUBLISHED_TASKS.items():
        law = published_law(task)
        exponent = format_estimate(law.exponent)
        yield f"- {data}, both published nets along P: eps_t ~ R_f^({exponent}), which {_half(law)}."
        alone = [
            f"{item.key.architecture.partition(' ')[0]} {format_interval(item.ratio)}"
            for name, item in published_along()
            if name == data and item.key.architecture.endswith("(bilinear)")
        ]
        yield f"  Each by itself: {' and '.join(alone)}."


def _half(law: ErrorLaw) -> str:
    """Whether the exponent's interval holds one half, in words."""
    return "holds 1/2" if law.holds(0.5) else f"lies {'below' if law.exponent.value < 0.5 else 'above'} 1/2"


def _crosses(ax: Axes, rows: pd.DataFrame, **style: Any) -> None:
    """Markers with intervals of both, the test error and R_f."""
    spans = bars(rows, "test_error"), bars(rows, "relative_stability")
    ax.errorbar(rows["relative_stability"], rows["test_error"], *spans, elinewidth=0.5, **style)


def _against_stability(ax: Axes, task: str) -> None:
    """eps_t against R_f: published, ours, nets on all images; the published law and the fit to the published nets."""
    theirs = PUBLISHED[task]
    for mark, rows in zip("xd", published_curves(task).values(), strict=True):
        _crosses(ax, rows, marker=mark, markersize=3, **_PUBLISHED)
    table = image_table()
    for net in NETS:
        rows = averaged(table, task, net)
        ax.plot(rows["relative_stability"], rows["test_error"], color=COLOURS[net], marker=MARKS[net], markersize=3,
                linewidth=0.6)  # fmt: skip
    for _, own in trained_nets(full_table(), task):
        rows = average_over_seeds(own)
        _crosses(ax, rows, markersize=6, linewidth=0.5, **_FULL)
    ax.set_xscale("log")
    ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    law = published_law(theirs)
    line = np.geomspace(*law.x_range, 50)
    ax.plot(line, law.predict(line), "--", color="black", linewidth=1)
    if theirs == "cifar10":
        line = np.geomspace(0.03, 10, 50)
        ax.plot(line, 0.2 * np.sqrt(line), ":", color="#333333", linewidth=1)


def _against_size(ax: Axes, task: str) -> None:
    """eps_t against P: published and ours."""
    for mark, rows in zip("xd", published_curves(task).values(), strict=True):
        points(ax, rows["train_size"], rows["test_error"], bars(rows, "test_error"), marker=mark, **_PUBLISHED)
    table = image_table()
    for net in NETS:
        rows = averaged(table, task, net)
        points(ax, rows["train_size"], rows["test_error"], bars(rows, "test_error"), color=COLOURS[net],
               marker=MARKS[net])  # fmt: skip
    for _, own in trained_nets(full_table(), task):
        rows = average_over_seeds(own)
        points(ax, rows["train_size"], rows["test_error"], bars(rows, "test_error"), markersize=6, **_FULL)
    sizes(ax, (64, 512, 4096, 32768))


def net_laws_figure() -> Figure:
    """Above: the test error against R_f; below: against P. Means over seeds, 95 % intervals of the published ones."""
    figure = new_figure(PAGE, 5.0)
    axes = figure.subplots(2, len(TASKS), sharey="col")
    for (above, below), (task, title) in zip(axes.T, TASKS.items(), strict=True):
        _against_stability(above, task)
        finish(above, "relative stability $R_f$", title=title)
        _against_size(below, task)
        finish(below, "training points P")
        for ax in (above, below):
            log_y(ax, _TICKS)
    for ax in axes[:, 0]:
        ax.set_ylabel(r"test error $\epsilon_t$")
    handles = [Line2D([], [], color=COLOURS[net], marker=MARKS[net], markersize=3, linewidth=0.8, label=label)
               for net, label in NETS.items()]  # fmt: skip
    handles += [Line2D([], [], marker=mark, markersize=3, label=f"published {name}", **_PUBLISHED)
                for mark, name in zip("xd", published_curves(next(iter(TASKS))), strict=True)]  # fmt: skip
    if full_table() is not None:
        handles.append(Line2D([], [], linestyle="", label="nets on all images", **_FULL))
    handles += [Line2D([], [], color="black", linestyle="--", label="fit to the published nets"),
                Line2D([], [], color="#333333", linestyle=":", label=r"$0.2\sqrt{R_f}$")]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    return figure


def main() -> None:
    with mpl.rc_context(LOOK):
        save(net_laws_figure(), ROOT / "paper" / "figures" / "net-laws.png")
    put_between(ROOT / "README.md", MARKS_OF_PART, first_screen())
    put_between(ROOT / "docs" / "results.md", MARKS_OF_PART, net_laws())


if __name__ == "__main__":
    main()
