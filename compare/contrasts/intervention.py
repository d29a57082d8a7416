"""An intervention on training: nets that were trained on changed inputs beside the same nets that were not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.curves.numbers import SYMBOLS, Summarised, format_estimate, json_ready
from compare.fits.law_plot import new_axes
from compare.fits.sample_complexity import Crossing, ratio_of_crossings
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate, geometric_mean, mean
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Arrow", "Intervention", "intervention"]

_MEASURES = ("relative_stability", "diffeo_stability", "noise_stability", "synonym_stability")
#: A run and its twin agree in these; the twin's variant is empty.
_PAIRED = ("source", "task", "architecture", "train_size", "seed")


@dataclass(frozen=True, slots=True)
class Arrow(Summarised):
    """From nets of the usual training to nets of one variant, at one P, seed by seed.

    `error_change` is eps_t of the variant less that of the usual training, with Student's t interval over seeds;
    `ratios` are the geometric means of R_f, D_f, G_f and S_f of the variant over those of the usual training. `usual`
    and `changed` are the arrow's ends: (geometric mean of R_f, mean of eps_t).
    """

    where: str
    variant: str
    train_size: int
    error_change: Estimate
    ratios: dict[str, Estimate]
    usual: tuple[Estimate, Estimate]
    changed: tuple[Estimate, Estimate]
    _told = ("where", "variant", "train_size", "error_change", "ratios", "usual", "changed")

    @property
    def smaller_error(self) -> bool | None:
        """Whether the error is smaller; None where the interval holds 0, or there is none."""
        change = self.error_change
        return None if not change.low * change.high > 0 else change.value < 0

    @property
    def smaller_stability(self) -> bool | None:
        """Whether R_f is smaller; None where the interval of the ratio holds 1, or there is none."""
        ratio = self.ratios["relative_stability"]
        return None if not (ratio.low - 1) * (ratio.high - 1) > 0 else ratio.value < 1


@dataclass(frozen=True, slots=True)
class Intervention:
    """All arrows of a table, and P* of each variant over P* of the usual training, paired by seed.

    Made by `intervention`.

    What it says: whether, in these nets and tasks, training that makes R_f smaller (or larger) makes the error smaller.
    What it does not: that R_f is the cause, since the changed inputs also tell the net which data have one label.

    Attributes
    ----------
    arrows : from usual nets to those of a variant, at one P
    savings : (net and task, variant, P* of the variant over the usual P*)
    """

    arrows: tuple[Arrow, ...]
    savings: tuple[tuple[str, str, Estimate], ...]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        savings = [dict(zip(("where", "variant", "ratio"), saving, strict=True)) for saving in self.savings]
        return {**json_ready(self, "arrows"), "savings": json_ready(savings), "verdict": self.verdict()}

    def lines(self) -> list[str]:
        """For a terminal."""
        found = []
        for where in dict.fromkeys(arrow.where for arrow in self.arrows):
            found.append(f"{where}, beside the usual training:")
            for arrow in self.arrows:
                if arrow.where != where:
                    continue
                ratio = arrow.ratios["relative_stability"]
                found.append(
                    f"  {arrow.variant}, P = {arrow.train_size}: R_f {arrow.usual[0].value:.3g} -> "
                    f"{arrow.changed[0].value:.3g} (times {format_estimate(ratio)}), "
                    f"eps_t {arrow.usual[1].value:.3f} -> {arrow.changed[1].value:.3f} "
                    f"({format_estimate(arrow.error_change, sign=True)}; n={arrow.error_change.n})"
                )
        for where, variant, ratio in self.savings:
            found.append(f"  {where}, {variant}: P* times {format_estimate(ratio)} (n={ratio.n})")
        return [*found, self.verdict()]

    def verdict(self) -> str:
        """How often a smaller R_f came with a smaller error, and how often not."""
        known = [arrow for arrow in self.arrows if arrow.smaller_stability is not None]
        smaller = [arrow for arrow in known if arrow.smaller_stability]
        larger = [arrow for arrow in known if not arrow.smaller_stability]
        parts = []
        for word, group in (("smaller", smaller), ("larger", larger)):
            better, worse = (sum(arrow.smaller_error is which for arrow in group) for which in (True, False))
            if group:
                parts.append(
                    f"where training made R_f {word} ({len(group)} cases) the error was smaller in {better}, "
                    f"larger in {worse}, and not told apart in {len(group) - better - worse}"
                )
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}." if text else "No case in which R_f changed."

    def plot(self, ax: Axes | None = None) -> Axes:
        """Arrows in the plane of R_f and eps_t, a colour for each variant.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        ax = new_axes() if ax is None else ax
        colours = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(arrow.variant for arrow in self.arrows))}
        ax.set(xscale="log", xlabel=f"${SYMBOLS['relative_stability']}$", ylabel=r"$\epsilon_t$")
        for arrow in self.arrows:
            ends = [(first.value, second.value) for first, second in (arrow.usual, arrow.changed)]
            ax.plot(*ends[0], "o", color="#8A8A8A", markersize=4)
            label = arrow.variant if colours[arrow.variant] not in {line.get_color() for line in ax.lines} else None
            ax.plot(*ends[1], "D", color=colours[arrow.variant], markersize=4, label=label)
            style = {"arrowstyle": "->", "color": colours[arrow.variant], "alpha": 0.6}
            ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops=style)
        ax.legend()
        return ax


def intervention(
    table: pd.DataFrame, crossings: tuple[Crossing, ...] = (), *, confidence: float = 0.95
) -> Intervention:
    """Arrows from the usual training to each variant of it, of all P and seeds that both have.

    `crossings`, of the same table, give the savings in P*.

    Parameters
    ----------
    table : a curve table; its rows of stage ``trained``, whose ``variant`` names what was changed
    crossings : of the same table
    confidence : of the intervals over seeds

    Raises
    ------
    InputError
        If no trained net of a variant has a twin of the usual training.

    Examples
    --------
    >>> from compare import intervention
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "variant": variant, "train_size": 500, "seed": seed, "relative_stability": ratio * (1 + seed / 10),
    ...      "test_error": error + seed / 100}
    ...     for variant, ratio, error in (("", 0.4, 0.2), ("augmented", 0.1, 0.12)) for seed in range(3)
    ... )
    >>> len(intervention(table).arrows)
    1
    >>> (arrow,) = intervention(table).arrows
    >>> round(arrow.ratios["relative_stability"].value, 2), round(arrow.error_change.value, 2)
    (0.25, -0.08)
    """
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    valid = validate_table(table)
    rows = valid[(valid["stage"] == "trained") & (valid["layer"] == "") & valid["test_error"].notna()]
    usual, changed = rows[rows["variant"] == ""], rows[rows["variant"] != ""]
    pairs = changed.merge(usual, on=list(_PAIRED), suffixes=("", "_usual"), validate="many_to_one")
    if pairs.empty:
        raise InputError("table", f"{len(rows)} trained rows", "must hold nets of a variant and of the usual training")
    arrows = [
        _arrow(own, f"{task}, {net}", str(variant), int(str(size)), confidence)
        for (task, net, variant, size), own in pairs.groupby(["task", "architecture", "variant", "train_size"])
    ]
    return Intervention(tuple(arrows), tuple(_savings(crossings, confidence)))


def _arrow(pairs: pd.DataFrame, where: str, variant: str, train_size: int, confidence: float) -> Arrow:
    ratios = {}
    for name in _MEASURES:
        own, other = (pairs[column].to_numpy(dtype=float) for column in (name, f"{name}_usual"))
        known = (own > 0) & (other > 0)
        if known.any():
            ratios[name] = geometric_mean(own[known] / other[known], confidence)
    if "relative_stability" not in ratios:
        ratios["relative_stability"] = Estimate(math.nan, n=len(pairs), confidence=confidence)

    def end(suffix: str) -> tuple[Estimate, Estimate]:
        stability = pairs[f"relative_stability{suffix}"].to_numpy(dtype=float)
        centre = geometric_mean(stability, confidence) if np.all(stability > 0) else mean(stability, confidence)
        return centre, mean(pairs[f"test_error{suffix}"].to_numpy(dtype=float), confidence)

    change = (pairs["test_error"] - pairs["test_error_usual"]).to_numpy(dtype=float)
    return Arrow(where, variant, train_size, mean(change, confidence), ratios, end("_usual"), end(""))


def _savings(found: tuple[Crossing, ...], confidence: float) -> list[tuple[str, str, Estimate]]:
    """P* of each variant over that of the usual training, for each task and net."""
    usual = [one for one in found if one.keys["variant"] == ""]
    savings = []
    for one in found:
        if one.keys["variant"] == "":
            continue
        where = f"{one.keys['task']}, {one.keys['architecture']}"
        for _, ratio in ratio_of_crossings([one], usual, confidence, across_variants=True):
            savings.append((where, str(one.keys["variant"]), ratio))
    return savings
