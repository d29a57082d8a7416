"""The answer: how far the simple model explains the measured curves, in one sentence, a small table and a figure.

    python -m paper.scripts.answer    # the figure, and README.md and docs/results.md between the marks
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compare import (
    Contrast,
    Ratio,
    choose_laws,
    contrast,
    correlations,
    effective_scales,
    fit_power_law,
    measured_over_theory,
    write_verdict,
)  # fmt: skip
from compare.contrasts.comparison import Comparison
from compare.contrasts.scales import ABOVE, OUTSIDE
from compare.contrasts.strata import EVERYWHERE
from compare.contrasts.swap_test import swap_tests
from compare.contrasts.wording import Relation
from compare.curves.averages import average_over_seeds
from compare.curves.numbers import SYMBOLS, format_estimate, format_interval
from compare.curves.series import SeriesKey
from compare.report.figures import save
from compare.report.styles import PALETTE
from paper.figures.plots import LOOK, bars, finish, log_y, points, sizes
from paper.figures.stripe import flow_table, predicted_stability
from paper.marked_text import put_between
from paper.numbers.image_table import (
    COLOURS,
    DATA,
    MARKS,
    NETS,
    TASKS,
    averaged,
    image_table,
    published,
    published_curves,
)  # fmt: skip
from paper.numbers.net_laws import full_table, trained_nets
from theory import Estimate, read_table
from theory.common.estimate import geometric_mean

__all__ = ["answer", "answer_figure", "results"]

ROOT = Path(__file__).parents[2]
STAGE = "q=0.3"
#: R_f of the flow saturates below.
FROM = 1024
MARK = "<!-- answer -->", "<!-- end of the answer -->"


def _theory() -> pd.DataFrame:
    """The flow at alpha = 1e-6, and at the 0.01 of the trained nets."""
    both = pd.concat([flow_table(), read_table(DATA / "stripe_alpha1e-2.csv")], ignore_index=True)
    return both[both["stage"] == STAGE]


@cache
def _contrast() -> Contrast:
    """All curves at q = 0.3 or trained to the end beside the flow's."""
    nets, images = read_table(DATA / "stripe_nets.csv"), image_table()
    others = [published(task) for task in TASKS]
    measured = [nets[nets["stage"] == STAGE], images[images["stage"] == "trained"], *others]
    return contrast(_theory(), pd.concat(measured, ignore_index=True))


def _name(key: SeriesKey) -> str:
    """A curve as a reader of the README knows it."""
    if key.source == "stripe-net":
        return f"stripes, {key.architecture.split('-')[0]} hidden, {_optimizer(key.variant)}"
    net = NETS.get(key.architecture, key.architecture.split(" (")[0])
    task = {**TASKS, "cifar10": "CIFAR-10"}[key.task]
    return f"{task}, {net}{', published' * (key.source == 'published')}"


def _optimizer(variant: str) -> str:
    return "Adam" if "adam" in variant else ("SGD" if "batch" in variant else "full-batch descent")


def _ratio(key: SeriesKey, known: Ratio | None) -> str:
    """R_f of a stripe net over that of the flow at its own alpha; a dash where the tasks differ."""
    if key.source != "stripe-net":
        return "–"
    nets, flow = read_table(DATA / "stripe_nets.csv"), read_table(DATA / "stripe_alpha1e-2.csv")
    own = nets[(nets["stage"] == STAGE) & (nets["architecture"] == key.architecture) & (nets["variant"] == key.variant)]
    found = known or measured_over_theory(own, flow[flow["stage"] == STAGE])
    return "–" if found is None else found.words()


def _row(item: Comparison) -> str:
    exponents = [format_estimate(fit.exponent) + " *" * fit.bent for fit in (item.compared, item.theory)]
    cells = (_name(item.key), *exponents, _ratio(item.key, item.ratio), item.relation.value)
    return f"| {' | '.join(cells)} |"


def _flow_row() -> str:
    """The model solved at finite P beside its prediction, where R_f does not saturate."""
    flow = flow_table()
    own = flow[(flow["stage"] == STAGE) & (flow["train_size"] >= FROM)]
    fit = fit_power_law(own)
    last = own[own["train_size"] == own["train_size"].max()]
    value = geometric_mean(last["relative_stability"].to_numpy())
    predicted = float(predicted_stability(STAGE, np.array([float(own["train_size"].max())]))[0])
    ratio = Estimate(value.value / predicted, value.low / predicted, value.high / predicted, value.n)
    same = Relation.SAME if fit.exponent.low <= -1 <= fit.exponent.high else Relation.UNCERTAIN
    cells = ("the model itself, solved", format_estimate(fit.exponent), "-1", format_estimate(ratio), same.value)
    return f"| {' | '.join(cells)} |"


HEADS = ("| curve | R_f ~ P^ | theory ~ P^ | R_f / theory | decrease |", "|---|---|---|---|---|")


def _chosen(items: Sequence[Comparison]) -> Iterator[Comparison]:
    """Stripe nets of one hidden layer; of every other data set and source the steepest and the flattest curve."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for item in items:
        groups.setdefault((item.key.source, item.key.task), []).append(item)
    for (source, _), own in groups.items():
        if source == "stripe-net":
            yield from (item for item in own if item.key.architecture.startswith("one-hidden"))
        else:
            ordered = sorted(own, key=lambda item: item.compared.exponent.value)
            yield from (ordered[0], ordered[-1])


def _scale(flow: pd.DataFrame, own: pd.DataFrame) -> str:
    """s of one curve, or why it has none."""
    found = effective_scales(flow, own)
    for scale in found:
        return format_interval(scale.shifted["shift"].estimate)
    ((_, reason),) = found.skipped
    return {ABOVE: "none: above the model", OUTSIDE: "none: outside the model's P"}.get(reason, f"none: {reason}")


def answer_figure() -> Figure:
    """The stripe solved, seed by seed, and trained; then nets on images, all on one scale of R_f."""
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    solved, left, *rest = figure.subplots(1, 4, sharey=True)
    _seed_by_seed(solved)
    grid = np.geomspace(64, 1e5, 100)
    left.plot(grid, predicted_stability(STAGE, grid), color="#333333", linewidth=1.2, label="predicted, mean")
    flow = flow_table()
    curve = average_over_seeds(flow[flow["stage"] == STAGE])
    look: dict[str, Any] = {"linestyle": ""}
    points(left, curve["train_size"], curve["relative_stability"], bars(curve, "relative_stability"),
           color="#333333", marker="o", label="gradient flow", **look)  # fmt: skip
    nets = read_table(DATA / "stripe_nets.csv")
    nets = nets[nets["stage"] == STAGE]
    for index, ((net, variant), own) in enumerate(nets.groupby(["architecture", "variant"], sort=True)):
        by = "Adam" if "adam" in str(variant) else ("SGD" if "batch" in str(variant) else "descent")
        means = average_over_seeds(own)
        points(left, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
               color=PALETTE[index % len(PALETTE)], marker="v^s"[("SGD", "Adam", "descent").index(by)],
               label=f"{str(net).split('-')[0]} hidden, {by}", **look)  # fmt: skip
    sizes(left, (64, 1024, 16384))
    finish(left, "training points P", title=f"nets on the model's data, {STAGE.replace('=', ' = ')}")
    images = image_table()
    for ax, (task, title) in zip(rest, TASKS.items(), strict=True):
        ax.plot(grid, predicted_stability(STAGE, grid), color="#333333", linewidth=1.2)
        for net, label in NETS.items():
            means = averaged(images, task, net)
            points(ax, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
                   color=COLOURS[net], marker=MARKS[net], label=label)  # fmt: skip
        for mark, (name, means) in zip("xd", published_curves(task).items(), strict=True):
            points(ax, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
                   color="black", marker=mark, linewidth=0.6, markerfacecolor="none",
                   label=f"published {name}")  # fmt: skip
        for _, own in trained_nets(full_table(), task):
            means = average_over_seeds(own)
            points(ax, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
                   color="#7b3294", marker="*", markersize=6, linewidth=0.6, label="nets on all images")  # fmt: skip
        sizes(ax, (64, 1024, 16384))
        finish(ax, "training points P", title=title)
    handles = {label: handle for ax in (solved, left, *rest) for handle, label in
               zip(*ax.get_legend_handles_labels(), strict=True)}  # fmt: skip
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=7, frameon=False)
    log_y(solved, (1e-4, 1e-3, 0.01, 0.1, 1, 10))
    solved.set_ylim(1e-4, 20)
    return figure


def _seed_by_seed(ax: Axes) -> None:
    """Each seed's flow beside the prediction from its own points; the seeds of one P side by side."""
    grid = np.geomspace(64, 1e5, 100)
    ax.plot(grid, predicted_stability(STAGE, grid), color="#333333", linewidth=1.2)
    own = pd.concat([read_table(DATA / name) for name in ("samples_small.csv", "samples_4096.csv")])
    both = own.merge(flow_table(), on=["train_size", "seed", "stage"], suffixes=("", "_flow"))
    both = both[both["stage"] == STAGE]
    places = both["train_size"] * 1.08 ** (both["seed"] - both["seed"].mean())
    ax.vlines(places, both["relative_stability"], both["relative_stability_flow"], color="#999999", linewidth=0.8)
    for column, fill, label in (("_flow", "#333333", "flow of a seed"), ("", "none", "predicted from its own points")):
        ax.plot(places, both["relative_stability" + column], color="#333333", linestyle="", marker="o", markersize=3.5,
                markerfacecolor=fill, markeredgewidth=0.7, label=label)  # fmt: skip
    sizes(ax, (64, 1024, 16384))
    finish(ax, "training points P", "relative stability $R_f$", f"the model, seed by seed, {STAGE.replace('=', ' = ')}")


def answer() -> str:
    """The README's part: one sentence, one small table, one figure."""
    found = _contrast()
    lines = [
        MARK[0],
        f"**{found.verdict()}**",
        "",
        *HEADS,
        _flow_row(),
        *(_row(item) for item in _chosen(found.comparisons)),
        "",
        "![R_f against the number of training points: the simple model's prediction, its flow and trained nets on its "
        "data; seven small nets on images, and published curves](paper/figures/answer.png)",
        "",
        "*Exponents with 95 % intervals over the P that curve and theory share. A star marks a bent curve. On images:",
        "the steepest and the flattest net of each set. [All curves and details](docs/results.md).*",
        MARK[1],
    ]
    return "\n".join(lines)


def results() -> str:
    """The part of docs/results.md: the answer, all curves, and folded below it the verdict in detail."""
    found, flow = _contrast(), flow_table()
    images, nets = image_table(), read_table(DATA / "stripe_nets.csv")
    images = images[images["stage"] == "trained"]
    measured = pd.concat([images, nets, *(published(task) for task in TASKS)], ignore_index=True)
    related, laws, scales = correlations(images), choose_laws(measured, flow), effective_scales(flow, measured)
    words = write_verdict(None, laws, scales, related)
    every = contrast(flow, measured)
    lines = [
        MARK[0],
        f"**{found.verdict()}**",
        "",
        *HEADS,
        _flow_row(),
        *(_row(item) for item in found.comparisons),
        "",
        "![R_f against P: the simple model's data, and two data sets of images](../paper/figures/answer.png)",
        "",
        "<details><summary>All stages of training, laws, effective scales and the test error</summary>",
        "",
        *(f"- {sentence}" for sentence in (every.verdict(), *words.sentences)),
        "",
        "</details>",
        "",
        "<details><summary>How many times as many training points each curve needs</summary>",
        "",
        f"s of R_f = R_th(P/s), the model's curve at {STAGE.replace('=', ' = ')} shifted in P.",
        "",
        "| curve | P | seeds | R_f at the largest P | s |",
        "|---|---|---|---|---|",
        *_scale_rows(found, flow[flow["stage"] == STAGE], measured),
        "",
        "</details>",
        "",
        "<details><summary>Correlation of the test error with R_f, D_f and G_f across nets</summary>",
        "",
        "| nets | P | of log eps_t with | r | p | rank r | p |",
        "|---|---|---|---|---|---|---|",
    ]
    names = {**TASKS, EVERYWHERE: "both together"}
    for row in related.rows:
        if row.kind == "pooled":
            name = f"{row.n}, {names[row.where]} | {row.strata} | log {SYMBOLS[row.x]}"
            numbers = f"{format_interval(row.pearson)} | {row.p_pearson:.2g}"
            lines.append(f"| {name} | {numbers} | {row.spearman.value:.2f} | {row.p_spearman:.2g} |")
    tests = [f"- {names[test.where]}: {test.verdict()}." for test in swap_tests(images)]
    return "\n".join([*lines, "", *tests, "", "</details>", MARK[1]])


def _scale_rows(found: Contrast, flow: pd.DataFrame, measured: pd.DataFrame) -> Iterator[str]:
    for item in found.comparisons:
        key, fit = item.key, item.measured
        same = [measured[name] == getattr(key, name) for name in ("source", "task", "architecture", "variant", "stage")]
        own = measured[np.logical_and.reduce(same)]
        last = own[own["train_size"] == own["train_size"].max()]
        value = format_estimate(geometric_mean(last["relative_stability"].to_numpy()))
        span = f"{fit.x_range[0]:.0f} to {fit.x_range[1]:.0f}"
        yield f"| {_name(key)} | {span} | {fit.n_seeds} | {value} | {_scale(flow, own)} |"


def main() -> None:
    import matplotlib as mpl

    with mpl.rc_context(LOOK):
        save(answer_figure(), ROOT / "paper" / "figures" / "answer.png")
    put_between(ROOT / "README.md", MARK, answer())
    put_between(ROOT / "docs" / "results.md", MARK, results())


if __name__ == "__main__":
    main()
