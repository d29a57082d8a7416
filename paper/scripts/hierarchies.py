"""What nets on sparse random hierarchies show: the figure, and the parts of README.md and docs/hierarchies.md.

    python -m paper.scripts.hierarchies    # paper/figures/hierarchies.png, and both texts between the marks
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compare import Intervention, layer_profiles
from compare.contrasts.error_falls import error_falls
from compare.curves.numbers import format_estimate
from compare.report.figures import save
from paper.figures.hierarchies import hierarchies
from paper.figures.plots import LOOK
from paper.marked_text import put_between
from paper.numbers.hierarchies import curve_at, enough, exponent, found, image_arms, interventions, law, output
from paper.numbers.image_table import DATA
from theory import read_table
from theory.common.matplotlib_settings import default_settings

__all__ = ["details", "first_screen"]

ROOT = Path(__file__).parents[2]
MARK = "<!-- hierarchies -->", "<!-- end of hierarchies -->"


def _together() -> str:
    r = output()["relative_stability"].correlation
    return (
        "the test error falls together with R_f, in convolutional, locally and fully connected nets"
        if r.low > 0
        else "the test error does not fall significantly with R_f"
    )


def _closer() -> str:
    """Beside R_f, D_f alone."""
    gap = output().differences["diffeo_stability"]
    if gap.high < 0:
        return "D_f alone tells slightly more than R_f"
    return "R_f tells more than D_f" if gap.low > 0 else "D_f tells as much as R_f"


def _figure(folder: str) -> str:
    return (
        "![Test error of nets on sparse random hierarchies against the number of training points over its scale, and "
        f"against R_f]({folder}/figures/hierarchies.png)"
    )


def first_screen() -> str:
    """The README's part: one sentence, one small table, one figure, and what it does not say."""
    curve, arms = output(), interventions()
    size = min(arrow.train_size for arrow in arms.arrows)
    arrow = next(a for a in arms.arrows if a.train_size == size and "placements" in a.variant)
    nets = f"{curve.n} nets, {curve.n_seeds} seeds"
    lines = [
        MARK[0],
        f"**On data whose invariance is built in, {_together()}.**",
        "",
        "| sparse random hierarchies | |",
        "|---|---|",
        f"| r(log error, log R_f), {nets} | {format_estimate(curve['relative_stability'].correlation)} |",
        f"| r(log error, log D_f), the same nets | {format_estimate(curve['diffeo_stability'].correlation)} |",
        f"| usual training, P = {size} (n = {arrow.error_change.n}) | R_f = {format_estimate(arrow.usual[0])}, "
        f"error {format_estimate(arrow.usual[1])} |",
        f"| placements drawn anew in each epoch | R_f = {format_estimate(arrow.changed[0])}, "
        f"error {format_estimate(arrow.changed[1])} |",
        f"| usual nets at that R_f (n = {curve_at(arrow.changed[0].value).n}) | "
        f"error {format_estimate(curve_at(arrow.changed[0].value))} |",
        "",
        _figure("paper"),
        "",
        f"*{_closer()}. In nets whose R_f was made small from outside (crosses), {enough()}.",
        "We know of no paper that has this intervention. [Definitions and all numbers](docs/hierarchies.md).*",
        MARK[1],
    ]
    return "\n".join(lines)


def details() -> str:
    """The part of docs/hierarchies.md: laws of P*, correlations, and the interventions."""
    lines = [MARK[0], *_laws(), "", *_correlations(), "", _figure("../paper"), ""]
    lines += ["Placements, synonyms or noise drawn anew in each epoch, v = 6, s_0 = 2; paired seeds:", ""]
    lines += [*_arrows(interventions()), ""]
    lines += [f"- P* is multiplied by {format_estimate(ratio)} (n = {ratio.n}) by training on {_arm(variant)}."
              for _, variant, ratio in interventions().savings if ratio.n > 1]  # fmt: skip
    lines += [f"- {interventions().verdict()}", ""]
    lines += ["FashionMNIST, diffeomorphisms as they are measured, or noise of their norm, in each step:", ""]
    lines += [*_arrows(image_arms()), "", f"- {image_arms().verdict()}", ""]
    lines += ["Scale detection, block, P = 1024: layers, and their means over channels, pooled in space alone:", ""]
    lines += [*_channels(), ""]
    lines += ["Scale detection on a square of 32 x 32 pixels, two-points:", "", *_square(), MARK[1]]
    return "\n".join(lines)


def _arm(variant: str) -> str:
    return variant.removeprefix("trained on ")


def _laws() -> Iterator[str]:
    yield "| nets | hierarchies | exponent of s_0 + 1 | published | P* / [(s_0 + 1)^a n_c m^L] | published |"
    yield "|---|---|---|---|---|---|"
    published = {("cnn", 2): ("2", "2.5"), ("lcn", 2): ("2", "2"), ("cnn", 3): ("2", "2.5")}
    for (net, levels), (power, prefactor) in published.items():
        one = law(net, levels)
        cells = (f"{net}, L = {levels}", str(len(one.hierarchies)), format_estimate(exponent(one)), power,
                 f"{format_estimate(one.prefactor)} (a = {one.power:g})", prefactor)  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _correlations() -> Iterator[str]:
    yield "| of log error with | output | second layer |"
    yield "|---|---|---|"
    for name, symbol in (("relative_stability", "R_f"), ("diffeo_stability", "D_f"), ("noise_stability", "G_f"),
                         ("synonym_stability", "S_f")):  # fmt: skip
        cells = [format_estimate(curve[name].correlation) for curve in found().curves]
        yield f"| log {symbol} | {' | '.join(cells)} |"
    gap = output().differences["diffeo_stability"]
    yield f"| difference, R_f less D_f, output | {format_estimate(gap)} | |"


def _channels() -> Iterator[str]:
    yield "| layer | D trained | G trained | R trained | D of means | G of means | R of means | R of means, before |"
    yield "|---|---|---|---|---|---|---|---|"
    profiles = layer_profiles(read_table(DATA / "channel_means.csv"))
    kinds = {("channel means" in one.where, one.stage): one for one in profiles}
    whole, means, before = kinds[False, "trained"], kinds[True, "trained"], kinds[True, "initial"]
    measures = ("diffeo_stability", "noise_stability", "relative_stability")
    for k, layer in enumerate(whole.names):
        found = [one.layers[name][k] for one in (whole, means) for name in measures]
        cells = [layer, *map(format_estimate, found), format_estimate(before.layers["relative_stability"][k])]
        yield f"| {' | '.join(cells)} |"


def _square() -> Iterator[str]:
    yield "| P | n | R_f | error |"
    yield "|---|---|---|---|"
    (fall,) = error_falls(read_table(DATA / "two_points.csv"))
    for row in fall.rows():
        yield f"| {' | '.join(row)} |"


def _arrows(arms: Intervention) -> Iterator[str]:
    several = len({arrow.where for arrow in arms.arrows}) > 1
    yield "| training on | P | R_f | R_f with it | error | error with it | change of the error |"
    yield "|---|---|---|---|---|---|---|"
    for arrow in arms.arrows:
        net = f" ({arrow.where.rpartition(', ')[2]})" * several
        ends = [format_estimate(end[i]) for i in (0, 1) for end in (arrow.usual, arrow.changed)]
        cells = (f"{_arm(arrow.variant)}{net}", str(arrow.train_size), *ends,
                 format_estimate(arrow.error_change, sign=True))  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    import matplotlib as mpl

    with default_settings(), mpl.rc_context(LOOK):
        save(hierarchies(), ROOT / "paper" / "figures" / "hierarchies.png")
    put_between(ROOT / "README.md", MARK, first_screen())
    put_between(ROOT / "docs" / "hierarchies.md", MARK, details())


if __name__ == "__main__":
    main()
