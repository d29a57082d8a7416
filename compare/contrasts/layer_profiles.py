"""D, G and R from layer to layer, before and after training: which fall and which rise with depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.curves.numbers import SYMBOLS, format_estimate, json_ready
from compare.fits.law_plot import new_axes
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate, geometric_mean
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LayerProfile", "layer_profiles"]

_MEASURES = ("diffeo_stability", "noise_stability", "relative_stability")
_SERIES = ["task", "architecture", "variant", "train_size", "stage"]


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """D_k, G_k and R_k of the layers of one kind of net at one P and stage, in the order of the layers.

    Made by `layer_profiles`.

    `layers` hold geometric means over seeds with Student's t intervals. `change` is the last layer's value over the
    first one's, paired by seed: below 1 where it falls with depth. arXiv 2210.01506 has D fall and G rise with depth in
    trained nets, and not before training.

    Attributes
    ----------
    where : net and task in words
    train_size : P
    stage : ``initial`` or ``trained``
    names : of the layers, first to last
    layers : by measure, one value a layer
    change : by measure, the last layer's value over the first one's
    """

    where: str
    train_size: int
    stage: str
    names: tuple[str, ...]
    layers: dict[str, tuple[Estimate, ...]]
    change: dict[str, Estimate]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        layers = {name: {m: self.layers[m][k] for m in _MEASURES} for k, name in enumerate(self.names)}
        told = json_ready(self, "where", "train_size", "stage")
        return {**told, "layers": json_ready(layers), **json_ready(self, "change")}

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [f"{self.where}, P = {self.train_size}, {self.stage} (n={self.layers['diffeo_stability'][0].n})"]
        found.append("  " + "".join(f"{word:>10}" for word in ("layer", "D", "G", "R")))
        for k, name in enumerate(self.names):
            found.append("  " + f"{name:>10}" + "".join(f"{self.layers[m][k].value:>10.3g}" for m in _MEASURES))
        words = [f"{SYMBOLS[m][0]} times {format_estimate(self.change[m])}" for m in _MEASURES]
        return [*found, f"  from {self.names[0]} to {self.names[-1]}: {', '.join(words)}"]

    def plot(self, ax: Axes | None = None) -> Axes:
        """D, G and R against the layer's number, with intervals.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        ax = new_axes() if ax is None else ax
        numbers = np.arange(1, len(self.names) + 1)
        for measure, marker in zip(_MEASURES, "os^", strict=True):
            own = self.layers[measure]
            values = np.array([one.value for one in own])
            ends = np.array([[one.value - one.low for one in own], [one.high - one.value for one in own]])
            known = np.where(np.isfinite(ends), ends, 0)
            ax.errorbar(numbers, values, yerr=known, fmt=f"{marker}-", capsize=2, label=SYMBOLS[measure][0])
        ax.set(yscale="log", xlabel="layer", title=f"{self.where}, P = {self.train_size}, {self.stage}")
        ax.legend()
        return ax


def layer_profiles(
    table: pd.DataFrame, *, train_size: int | None = None, confidence: float = 0.95
) -> list[LayerProfile]:
    """The profile of every kind of net, at every P or at `train_size`, before and after training.

    Parameters
    ----------
    table : a curve table with rows of layers
    train_size : P of the profiles; every one if None
    confidence : of the intervals over seeds

    Raises
    ------
    InputError
        If the table is not valid, or no net was measured at two layers with positive D and G.

    Examples
    --------
    >>> from compare import layer_profiles
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "layer": f"layer{k}", "train_size": 500, "seed": seed, "diffeo_stability": d, "noise_stability": 1,
    ...      "relative_stability": d * (1 + seed / 100)}
    ...     for k, d in ((1, 0.8), (2, 0.4), (3, 0.2)) for seed in range(3)
    ... )
    >>> [profile.train_size for profile in layer_profiles(table, train_size=500)]
    [500]
    >>> (found,) = layer_profiles(table)
    >>> found.names, round(found.change["diffeo_stability"].value, 2)
    (('layer1', 'layer2', 'layer3'), 0.25)
    """
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    valid = validate_table(table)
    rows = valid[(valid["layer"] != "") & (valid[list(_MEASURES)] > 0).all(axis=1)]
    if train_size is not None:
        rows = rows[rows["train_size"] == train_size]
    found = []
    for (task, net, variant, size, stage), own in rows.groupby(_SERIES, sort=True):
        names = tuple(dict.fromkeys(own["layer"]))  # as the rows have them, which is the order of the net
        if len(names) < 2:
            continue
        by_layer = {name: own[own["layer"] == name].set_index("seed") for name in names}
        layers = {
            measure: tuple(geometric_mean(by_layer[name][measure].to_numpy(dtype=float), confidence) for name in names)
            for measure in _MEASURES
        }
        first, last = by_layer[names[0]], by_layer[names[-1]]
        change = {
            measure: geometric_mean((last[measure] / first[measure]).dropna().to_numpy(dtype=float), confidence)
            for measure in _MEASURES
        }
        where = ", ".join(str(word) for word in (task, net, variant) if word)
        found.append(LayerProfile(where, int(str(size)), str(stage), names, layers, change))
    if not found:
        size = "" if train_size is None else f" at P = {train_size}"
        raise InputError("table", f"{len(valid)} rows", f"must hold two layers or more of a net{size}")
    return found
