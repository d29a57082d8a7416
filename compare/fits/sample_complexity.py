"""P*: the number of training data at which an error, or a stability, has come down to a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from compare.curves.numbers import SYMBOLS, format_estimate, format_number, json_ready
from compare.curves.series import series
from compare.fits.law_plot import new_axes
from theory.common.errors import InputError, require_choice, require_real
from theory.common.estimate import Estimate, geometric_mean
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Crossing", "crossings", "ratio_of_crossings"]

#: What can be asked to have come down.
_COLUMNS = ("test_error", "relative_stability", "diffeo_stability", "synonym_stability")
#: A value of 0 has no logarithm: it counts as this part of the threshold, well below.
_FLOOR = 0.01


@dataclass(frozen=True, slots=True, repr=False)
class Crossing:
    """Where `y` of one series falls to `threshold`: P* of each seed, and their geometric mean; see `crossings`.

    P* is where a monotone cubic through one seed's points, log y against log P, meets the threshold, in the last step
    from above it to below (a seed's points are so far apart, and so little scattered against that, that the curve
    passes through them). `train_size` has Student's t interval of log P* over seeds. Seeds whose largest P is still
    above the threshold are listed in `not_reached`, those already below it at their least P in `reached_before`; they
    are in no mean, so that with any of them `train_size` leans to the side of the others.

    Attributes
    ----------
    label : the series in words
    y : column of the curve table
    threshold : value that it falls to
    train_size : P*, geometric mean over seeds with its interval
    by_seed : (seed, P*) of those that cross
    not_reached, reached_before : seeds that do not, since they stay above it or begin below it
    keys : what the series is told by, and the parameters of its hierarchy
    points : (P, geometric mean of y)
    """

    label: str
    y: str
    threshold: float
    train_size: Estimate
    by_seed: tuple[tuple[int, float], ...]
    not_reached: tuple[int, ...]
    reached_before: tuple[int, ...]
    keys: dict[str, Any]
    points: tuple[tuple[float, float], ...]

    @property
    def complete(self) -> bool:
        """Whether every seed crosses."""
        return not self.not_reached and not self.reached_before

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        told = json_ready(self, "label", "y", "threshold", "train_size")
        by_seed = json_ready(dict(self.by_seed))
        return {**told, "by_seed": by_seed, **json_ready(self, "not_reached", "reached_before")}

    def plot(self, ax: Axes | None = None) -> Axes:
        """All seeds' points against P, the threshold, and P* with its interval.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        ax = new_axes() if ax is None else ax
        x, y = np.array(self.points).T
        ax.loglog(x[y > 0], y[y > 0], "o", alpha=0.6)
        ax.axhline(self.threshold, color="grey", linewidth=0.8)
        error = [[self.train_size.value - self.train_size.low], [self.train_size.high - self.train_size.value]]
        known = math.isfinite(self.train_size.error)
        ax.errorbar(self.train_size.value, self.threshold, xerr=error if known else None, fmt="kD", capsize=3)
        ax.set_xlabel("$P$")
        ax.set_ylabel(SYMBOLS.get(self.y, self.y))
        ax.set_title(self.label)
        return ax

    def __repr__(self) -> str:
        short = "" if self.complete else f", {len(self.not_reached) + len(self.reached_before)} seeds do not cross"
        symbol = SYMBOLS.get(self.y, self.y)
        where = f"{symbol} = {format_number(self.threshold)} at P = {format_estimate(self.train_size)}"
        return f"Crossing({self.label}: {where} (n={self.train_size.n}{short}))"


def crossings(
    table: pd.DataFrame, *, y: str = "test_error", threshold: float = 0.1, layer: str = "", confidence: float = 0.95
) -> list[Crossing]:
    """P* of every trained series of a curve table in which at least one seed crosses the threshold.

    Parameters
    ----------
    table : a curve table; its rows of stage ``trained``
    y : test_error, relative_stability, diffeo_stability or synonym_stability
    threshold : the published ones are 0.1 of the error, 0.2 of the second layer's D (arXiv 2404.10727)
    layer : whose stability; empty for the net's output
    confidence : of the intervals over seeds

    Raises
    ------
    InputError
        If the table is not valid, or no trained row has such a value.

    Examples
    --------
    >>> from compare import crossings
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "train_size": p, "seed": seed, "relative_stability": 1, "test_error": (90 + 10 * seed) / p}
    ...     for p in (250, 500, 2000) for seed in range(3)
    ... )
    >>> crossings(table)
    [Crossing(hierarchy-net srhm cnn trained: eps_t = 0.1 at P = 997 ± 251 (n=3))]
    >>> (found,) = crossings(table)
    >>> [(seed, round(size)) for seed, size in found.by_seed]
    [(0, 900), (1, 1000), (2, 1100)]
    >>> found.complete
    True
    """
    require_choice("y", y, _COLUMNS)
    threshold = require_real("threshold", threshold, above=0)
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    valid = validate_table(table)
    rows = valid[(valid["stage"] == "trained") & (valid["layer"] == layer) & valid[y].notna()]
    if rows.empty:
        raise InputError("table", f"{len(valid)} rows", f"holds no trained row with a {y} of layer {layer or 'output'}")
    found = []
    for label, own in series(rows).items():
        crossing = _crossing(own, str(label), y, threshold, confidence)
        if crossing is not None:
            found.append(crossing)
    return found


def _crossing(rows: pd.DataFrame, label: str, y: str, threshold: float, confidence: float) -> Crossing | None:
    by_seed: dict[int, float] = {}
    not_reached, before = [], []
    for seed, own in rows.groupby("seed", sort=True):
        sizes = own["train_size"].to_numpy(dtype=float)
        values = own[y].to_numpy(dtype=float)
        above = np.flatnonzero(values > threshold)
        if not above.size:
            before.append(int(str(seed)))
        elif above[-1] == len(values) - 1:
            not_reached.append(int(str(seed)))
        else:
            by_seed[int(str(seed))] = _solve(sizes, values, int(above[-1]), threshold)
    if not by_seed:
        return None
    last = rows.iloc[0]
    return Crossing(
        label=label,
        y=y,
        threshold=threshold,
        train_size=geometric_mean(list(by_seed.values()), confidence),
        by_seed=tuple(by_seed.items()),
        not_reached=tuple(not_reached),
        reached_before=tuple(before),
        keys={str(name): last[name] for name in rows.columns},
        points=tuple(zip(rows["train_size"].astype(float), rows[y].astype(float), strict=True)),
    )


def _solve(sizes: np.ndarray, values: np.ndarray, last_above: int, threshold: float) -> float:
    """The P between two sizes at which the monotone cubic through all points meets the threshold."""
    heights = np.log(np.maximum(values, _FLOOR * threshold) / threshold)
    curve = PchipInterpolator(np.log(sizes), heights)
    low, high = np.log(sizes[[last_above, last_above + 1]])
    if heights[last_above + 1] == 0:
        return float(sizes[last_above + 1])
    return math.exp(brentq(lambda x: float(curve(x)), low, high))


def ratio_of_crossings(
    above: Sequence[Crossing], below: Sequence[Crossing], confidence: float = 0.95, *, across_variants: bool = False
) -> list[tuple[str, Estimate]]:
    """P* of one quantity over P* of another, seed by seed, for each net and task: ``(label, ratio)``.

    The geometric mean over the seeds in which both are known, with Student's t interval. `across_variants` also pairs
    nets that were trained in different ways.
    """
    same = ("source", "task", "architecture", *(() if across_variants else ("variant",)))
    found = []
    for first in above:
        for second in below:
            if any(first.keys[name] != second.keys[name] for name in same):
                continue
            other = dict(second.by_seed)
            ratios = [value / other[seed] for seed, value in first.by_seed if seed in other]
            if ratios:
                found.append((second.label, geometric_mean(ratios, confidence)))
    return found
