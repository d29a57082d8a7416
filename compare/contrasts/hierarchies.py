"""What curve tables of random hierarchies say: P* and its law, P*_D beside P*, the error beside R_f, D_f, G_f, S_f."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.contrasts.error_curves import ErrorCurves, error_curves
from compare.contrasts.intervention import Intervention, intervention
from compare.curves.numbers import format_estimate, json_ready
from compare.fits.hierarchy_law import HierarchyLaw, fit_hierarchy_law
from compare.fits.sample_complexity import Crossing, crossings, ratio_of_crossings
from theory.common.errors import InputError
from theory.common.estimate import Estimate
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Hierarchies", "describe_hierarchies"]

#: Thresholds of arXiv 2404.10727: of the error, and of D and S of the second layer.
ERROR, SECOND_LAYER = 0.1, {"diffeo_stability": 0.2, "synonym_stability": 0.4}


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """P* of every net and task, the law of P* of each kind of net, P*_D / P* and P*_S / P*, and the error curves.

    Made by `describe_hierarchies`.

    `ratios` are by measure, one for each net and task: where D (or S) of the second layer falls to its threshold, over
    where the error falls to 0.1.

    Attributes
    ----------
    crossings : P* of every net and task
    laws : of P*, one for each kind of net
    ratios : by measure, (net and task, P*_D / P* or P*_S / P*)
    curves : the error beside the measures, at the output and at layers
    intervention : what changed training inputs did; None if the table has none
    table : the rows that all was read from
    """

    crossings: tuple[Crossing, ...]
    laws: tuple[HierarchyLaw, ...]
    ratios: dict[str, tuple[tuple[str, Estimate], ...]]
    curves: tuple[ErrorCurves, ...]
    intervention: Intervention | None
    table: pd.DataFrame

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        ratios = {measure: dict(found) for measure, found in self.ratios.items()}
        curves = {"ratios": json_ready(ratios), "error_curves": json_ready(self.curves)}
        return {**json_ready(self, "crossings", "laws"), **curves, **json_ready(self, "intervention")}

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [f"P* at eps_t = {ERROR:g}:"] + [f"  {_crossing_words(one)}" for one in self.crossings]
        found += [repr(law) for law in self.laws]
        for measure, ratios in self.ratios.items():
            symbol = {"diffeo_stability": "P*_D", "synonym_stability": "P*_S"}[measure]
            found.append(f"{symbol} / P*, second layer at {SECOND_LAYER[measure]:g}:")
            found += [f"  {label}: {format_estimate(ratio)} (n={ratio.n})" for label, ratio in ratios]
        for curve in self.curves:
            found += curve.lines()
        return found + ([] if self.intervention is None else self.intervention.lines())

    def plot(self) -> Figure:
        """eps_t against P / [(s0 + 1)^2 n_c m^L], and against R_f, with the arrows of an intervention.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        trained = self.table[(self.table["stage"] == "trained") & (self.table["layer"] == "")]
        rows = trained.dropna(subset=["sparsity", "test_error"])
        for marker, (net, own) in zip("osD^vPX" * 9, rows.groupby("architecture"), strict=False):
            scale = _scale(own)
            left.semilogx(own["train_size"].astype(float) / scale, own["test_error"], marker, label=str(net), ms=3)
        left.axhline(ERROR, color="grey", linewidth=0.8)
        left.set_xlabel("$P / [(s_0 + 1)^2 n_c m^L]$")
        left.set_ylabel(r"$\epsilon_t$")
        if len(rows):
            left.legend()
        output = next((curve for curve in self.curves if not curve.layer), None)
        if output is not None:
            output.plot(right)
        if self.intervention is not None:
            right.clear()
            self.intervention.plot(right)
        return figure


def _scale(rows: pd.DataFrame) -> pd.Series:
    """(s0 + 1)^2 n_c m^L."""
    return (
        (rows["sparsity"].astype(float) + 1) ** 2
        * rows["classes"].astype(float)
        * rows["synonyms"].astype(float) ** rows["levels"].astype(float)
    )


def _crossing_words(one: Crossing) -> str:
    words = f"{one.label}: {format_estimate(one.train_size)} (n={one.train_size.n}"
    if one.not_reached:
        words += f"; not reached by {len(one.not_reached)}"
    if one.reached_before:
        words += f"; below from the start in {len(one.reached_before)}"
    return words + ")"


def describe_hierarchies(table: pd.DataFrame) -> Hierarchies:
    """Everything that `Hierarchies` holds, from a curve table of random hierarchies or of scale detection.

    Laws are of the nets of one architecture, training and number of levels; their power of (s0 + 1) is 2 for cnn, whose
    weights are shared, else L. Other tasks have no law.

    Parameters
    ----------
    table : a curve table of kinds ``srhm`` and ``scale-detection``

    Raises
    ------
    InputError
        If no trained row has a test error.

    Examples
    --------
    >>> from compare import describe_hierarchies
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "task": f"srhm s0={s}", "classes": 4, "synonyms": 4, "levels": 2, "sparsity": s,
    ...      "train_size": p * (s + 1) ** 2, "seed": seed, "relative_stability": 1 / p, "test_error": 16 / p}
    ...     for s in (0, 1, 3) for p in (40, 400, 4000) for seed in range(3)
    ... )
    >>> [round(crossing.train_size.value) for crossing in describe_hierarchies(table).crossings]
    [160, 640, 2560]
    >>> found = describe_hierarchies(table)
    >>> len(found.crossings), len(found.laws)
    (3, 1)
    """
    valid = validate_table(table)
    found = crossings(valid, threshold=ERROR)
    kinds: dict[tuple[str, str, int], list[Crossing]] = {}
    for one in found:
        if pd.notna(one.keys["sparsity"]):
            key = (str(one.keys["architecture"]), str(one.keys["variant"]), int(one.keys["levels"]))
            kinds.setdefault(key, []).append(one)
    laws = []
    for (architecture, variant, levels), own in kinds.items():
        label = ", ".join(word for word in (architecture, variant, f"L = {levels}") if word)
        laws.append(fit_hierarchy_law(own, label, power=2.0 if architecture.startswith("cnn") else float(levels)))
    ratios = {
        measure: tuple(ratio_of_crossings(_second(valid, measure, threshold), found))
        for measure, threshold in SECOND_LAYER.items()
    }
    curves = [error_curves(valid, layer=layer) for layer in ("", "layer2") if _enough(valid, layer)]
    outputs = valid[(valid["stage"] == "trained") & (valid["layer"] == "")]
    arms = intervention(valid, tuple(found)) if set(outputs["variant"]) > {""} else None
    return Hierarchies(tuple(found), tuple(laws), {k: v for k, v in ratios.items() if v}, tuple(curves), arms, valid)


def _second(valid: pd.DataFrame, measure: str, threshold: float) -> Sequence[Crossing]:
    """Crossings of the second layer; none if the table has none."""
    try:
        return crossings(valid, y=measure, threshold=threshold, layer="layer2")
    except InputError:
        return []


def _enough(valid: pd.DataFrame, layer: str) -> bool:
    """Whether error curves can be drawn of the layer."""
    trained = valid[valid["stage"] == "trained"]
    own = trained[(trained["layer"] == layer) & (trained["relative_stability"] > 0)]
    return bool(len(own) >= 10 and np.unique(own["seed"].astype(float)).size >= 2)
