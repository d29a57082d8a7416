"""The README's answer: exponents of R_f(P) side by side, from the committed tables, and the figure beside them.

    python -m paper.scripts.answer    # the figure, and README.md and docs/results.md between the marks
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compare import choose_laws, contrast, correlations, effective_scales, fit_power_law, write_verdict
from compare.contrasts.scales import ABOVE, OUTSIDE
from compare.curves.averages import average_over_seeds
from compare.curves.wording import SYMBOLS, format_estimate, format_interval
from compare.report.figures import save
from compare.report.styles import PALETTE
from paper.figures.plots import LOOK, bars, finish, log_y, points, sizes
from paper.figures.stripe import flow_table, predicted_prefactor, predicted_stability
from paper.numbers.image_table import COLOURS, DATA, MARKS, NETS, TASKS, averaged, image_table, published
from theory import InputError, read_table
from theory.common.estimate import geometric_mean
from theory.common.files import write_whole

__all__ = ["answer", "answer_figure", "rows", "verdict"]

ROOT = Path(__file__).parents[2]
STAGE = "q=0.3"
#: R_f of the flow saturates below.
FROM = 1024
MARK = "<!-- answer -->", "<!-- end of the answer -->"


def _curves() -> Iterator[tuple[str, pd.DataFrame, bool]]:
    """Name, rows of one series, and whether it is measured."""
    flow = flow_table()
    yield "simple model, gradient flow", flow[(flow["stage"] == STAGE) & (flow["train_size"] >= FROM)], False
    nets = read_table(DATA / "stripe_nets.csv")
    nets = nets[(nets["stage"] == STAGE) & (nets["train_size"] >= FROM)]
    order = ["one-hidden-h1000", "two-hidden-h256", "three-hidden-h256"]
    for (net, variant), own in nets.groupby(["architecture", "variant"], sort=False):
        if own["train_size"].nunique() < 3:
            continue
        layers = order.index(str(net)) + 1
        by = "Adam" if "adam" in str(variant) else ("SGD" if "batch" in str(variant) else "descent")
        yield f"trained on stripes, {by}, {layers} hidden layer{'s' * (layers > 1)}", own, True
    images = image_table()
    images = images[images["stage"] == "trained"]
    for task, title in TASKS.items():
        for net, label in NETS.items():
            yield f"{title}, {label}", images[(images["task"] == task) & (images["architecture"] == net)], True
    for task, title in TASKS.items():
        for label, own in published(task).groupby("architecture"):
            yield f"{title.removesuffix(' (JPEG)')}, {str(label).split(' (')[0]}, published", own, True


def rows() -> list[str]:
    """The lines of the README's table."""
    flow = flow_table()
    flow = flow[flow["stage"] == STAGE]
    first = f"P R_f = {format_estimate(predicted_prefactor(STAGE))}"
    lines = [f"| simple model, predicted, nothing fitted | large | {flow['seed'].nunique()} | -1 | {first} | 1 |"]
    for name, own, measured in _curves():
        fit = fit_power_law(own)
        last = own[own["train_size"] == own["train_size"].max()]
        value = format_estimate(geometric_mean(last["relative_stability"].to_numpy()))
        scale = "1"
        if measured:
            scale = _scale(flow, own)
        exponent = format_estimate(fit.exponent) + " *" * fit.bent
        span = f"{fit.x_range[0]:.0f} to {fit.x_range[1]:.0f}"
        lines.append(f"| {name} | {span} | {fit.n_seeds} | {exponent} | {value} | {scale} |")
    return lines


def _scale(flow: pd.DataFrame, own: pd.DataFrame) -> str:
    """s of one curve, or why it has none."""
    found = effective_scales(flow, own)
    for scale in found:
        return format_interval(scale.shifted["shift"].estimate)
    ((_, reason),) = found.skipped
    return {ABOVE: "none: above the model", OUTSIDE: "none: outside the model's P"}.get(reason, f"none: {reason}")


def answer_figure() -> Figure:
    """Left: the stripe, predicted, as flow and trained; right: nets on images, all on one scale of R_f."""
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    left, *rest = figure.subplots(1, 3, sharey=True)
    grid = np.geomspace(64, 1e5, 100)
    left.plot(grid, predicted_stability(STAGE, grid), color="#333333", linewidth=1.2, label="predicted")
    flow = flow_table()
    curve = average_over_seeds(flow[flow["stage"] == STAGE])
    look: dict[str, Any] = {"linestyle": ""}
    points(left, curve["train_size"], curve["relative_stability"], bars(curve, "relative_stability"),
           color="#333333", marker="o", label="gradient flow", **look)  # fmt: skip
    nets = read_table(DATA / "stripe_nets.csv")
    nets = nets[nets["stage"] == STAGE]
    for place, ((net, variant), own) in enumerate(nets.groupby(["architecture", "variant"], sort=True)):
        by = "Adam" if "adam" in str(variant) else ("SGD" if "batch" in str(variant) else "descent")
        means = average_over_seeds(own)
        points(left, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
               color=PALETTE[place % len(PALETTE)], marker="v^s"[("SGD", "Adam", "descent").index(by)],
               label=f"{str(net).split('-')[0]} hidden, {by}", **look)  # fmt: skip
    sizes(left, (64, 1024, 16384))
    finish(left, "training points P", "relative stability $R_f$", f"the model's data, {STAGE.replace('=', ' = ')}")
    images = image_table()
    for ax, (task, title) in zip(rest, TASKS.items(), strict=True):
        ax.plot(grid, predicted_stability(STAGE, grid), color="#333333", linewidth=1.2)
        for net, label in NETS.items():
            means = averaged(images, task, net)
            points(ax, means["train_size"], means["relative_stability"], bars(means, "relative_stability"),
                   color=COLOURS[net], marker=MARKS[net], label=label)  # fmt: skip
        for mark, (name, own) in zip("xd", published(task).groupby("architecture"), strict=True):
            ax.plot(own["train_size"], own["relative_stability"], color="black", marker=mark, markersize=3,
                    linewidth=0.6, markerfacecolor="none", label=f"published {str(name).split(' (')[0]}")  # fmt: skip
        sizes(ax, (64, 1024, 16384))
        finish(ax, "training points P", title=title)
    handles = [*left.get_legend_handles_labels()[0], *rest[0].get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False)
    log_y(left, (1e-4, 1e-3, 0.01, 0.1, 1, 10))
    left.set_ylim(1e-4, 20)
    return figure


def answer() -> str:
    """The README's part."""
    table = image_table()
    seeds = table["seed"].nunique()
    lines = [
        MARK[0],
        "## The answer so far",
        "",
        "How R_f falls with P: exponents of power laws, 95 % intervals over seeds (over points for single curves),",
        "R_f at the largest P, and s: how many times the simple model's number of points a net needs for its R_f, from",
        f"the model's curve shifted in P ({STAGE.replace('=', ' = ')}; where exponents differ, a shift fits badly).",
        "None: R_f is above the model's greatest, about 1, or would be read mostly outside the P where it was solved.",
        "`*`: the curve is bent, and its exponent an average slope. SGD's are those of one step length (see Limits).",
        "",
        "| curve | P | seeds | R_f ~ P^ | R_f at the largest P | s |",
        "|---|---|---|---|---|---|",
        *rows(),
        "",
        f"Nets on images: {len(NETS)} small ones, {seeds} seeds, one recipe of 15 epochs or 1000 steps",
        "(`paper/experiments/image_curves.toml`); CIFAR-10 re-encoded as JPEG. Stripes: d = 30, alpha = 1e-6 for the",
        "flow and 0.01 for the trained nets; exponents from P = 1024 on. Published: early values of the authors",
        "(repository leonardopetrini/diffeo-sota). `make answer` writes this part from `paper/data`.",
        MARK[1],
    ]  # fmt: skip
    return "\n".join(lines)


def verdict() -> str:
    """The part of docs/results.md: the verdict on all curves in words, and what goes with the test error."""
    images = image_table()
    nets = read_table(DATA / "stripe_nets.csv")
    others = [published(task) for task in TASKS]
    measured = pd.concat([images[images["stage"] == "trained"], nets, *others], ignore_index=True)
    flow = flow_table()
    related = correlations(images)
    laws, scales = choose_laws(measured, flow), effective_scales(flow, measured)
    words = write_verdict(contrast(flow, measured), laws, scales, related)
    lines = [
        MARK[0],
        *(f"- {sentence}" for sentence in words.sentences),
        "",
        "| nets | P | of log eps_t with | r | p | rank r | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in related.rows:
        if row.kind == "pooled":
            name = f"{row.n}, {TASKS.get(row.where, row.where)} | {row.strata} | log {SYMBOLS[row.x]}"
            numbers = f"{format_interval(row.pearson)} | {row.p_pearson:.2g}"
            lines.append(f"| {name} | {numbers} | {row.spearman.value:.2f} | {row.p_spearman:.2g} |")
    tests = [test for test in related.tests if " P = " not in test.where]
    lines += ["", *(f"- {TASKS.get(test.where, test.where)}: {test.verdict()}." for test in tests), MARK[1]]
    return "\n".join(lines)


def _put(path: Path, part: str) -> None:
    """`part` between the marks of a text."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(MARK[0])}.*{re.escape(MARK[1])}", re.DOTALL)
    if not pattern.search(text):
        raise InputError(path.name, MARK[0], "has no part for the answer")
    write_whole(path, lambda aside: aside.write_text(pattern.sub(lambda _: part, text), encoding="utf-8"))


def main() -> None:
    import matplotlib as mpl

    with mpl.rc_context(LOOK):
        save(answer_figure(), ROOT / "paper" / "figures" / "answer.png")
    _put(ROOT / "README.md", answer())
    _put(ROOT / "docs" / "results.md", verdict())


if __name__ == "__main__":
    main()
