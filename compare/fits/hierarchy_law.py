"""P* of random hierarchies against what they are made of: P* = A (s0 + 1)^a (n_c m^L)^b."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.curves.numbers import format_estimate, json_ready
from compare.fits.law_plot import new_axes
from compare.fits.sample_complexity import Crossing
from theory.common.errors import InputError
from theory.common.estimate import Estimate, geometric_mean, mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HierarchyLaw", "fit_hierarchy_law"]


@dataclass(frozen=True, slots=True, repr=False)
class HierarchyLaw:
    r"""The law of P* over several hierarchies of one net and one number of levels, see `fit_hierarchy_law`.

    .. math:: P^* = A \, (s_0 + 1)^a \, (n_c m^L)^b

    `sparsity_exponent` a and `rules_exponent` b are fitted together, by least squares of log P*; they are None where
    all hierarchies have one s0, or one n_c m^L. `prefactor` is A with a and b as published: the geometric mean of
    P* / [(s0 + 1)^power n_c m^L], `power` being 2 for weights that are shared and L for those that are not
    (arXiv 2404.10727). Each seed, which has rules, data and nets of its own, is fitted by itself; intervals are
    Student's t over these. `ratios` are P* over that scale, hierarchy by hierarchy.

    Attributes
    ----------
    label : the nets in words
    sparsity_exponent, rules_exponent : a and b, without units; None where they cannot be told
    prefactor : A, without units
    power : of s0 + 1, as published
    hierarchies : names of those that were fitted
    ratios : P* / [(s0 + 1)^power n_c m^L] of each
    points : (scale, P*) of each
    """

    label: str
    sparsity_exponent: Estimate | None
    rules_exponent: Estimate | None
    prefactor: Estimate
    power: float
    hierarchies: tuple[str, ...]
    ratios: tuple[Estimate, ...]
    points: tuple[tuple[float, float], ...]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        told = json_ready(self, "label", "sparsity_exponent", "rules_exponent", "prefactor", "power")
        return {**told, "ratios": json_ready(dict(zip(self.hierarchies, self.ratios, strict=True)))}

    def plot(self, ax: Axes | None = None) -> Axes:
        """P* against (s0 + 1)^power n_c m^L, with the published slope 1.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        ax = new_axes() if ax is None else ax
        scale, sizes = np.array(self.points).T
        ax.loglog(scale, sizes, "o")
        ends = np.array([scale.min(), scale.max()])
        ax.loglog(ends, self.prefactor.value * ends, "--", color="grey")
        ax.set_xlabel(f"$(s_0 + 1)^{{{self.power:g}}} n_c m^L$")
        ax.set_ylabel("$P^*$")
        ax.set_title(self.label)
        return ax

    def __repr__(self) -> str:
        parts = []
        if self.sparsity_exponent is not None:
            parts.append(f"exponent of s0 + 1 = {format_estimate(self.sparsity_exponent)}")
        if self.rules_exponent is not None:
            parts.append(f"of n_c m^L = {format_estimate(self.rules_exponent)}")
        parts.append(f"P* = {format_estimate(self.prefactor)} (s0 + 1)^{self.power:g} n_c m^L")
        return f"HierarchyLaw({self.label}: {', '.join(parts)}; {len(self.hierarchies)} hierarchies)"


def fit_hierarchy_law(
    found: Sequence[Crossing], label: str, *, power: float = 2.0, confidence: float = 0.95
) -> HierarchyLaw:
    """The law of P* over the hierarchies of `found`, which are of one net and one number of levels.

    A seed is fitted on the hierarchies in which it crosses.

    Parameters
    ----------
    found : what `crossings` gives for these nets
    label : the nets in words
    power : of s0 + 1 in the scale: 2, or L for nets that share no weights
    confidence : of the intervals over seeds

    Raises
    ------
    InputError
        If there is none, one is no hierarchy, or they differ in their number of levels.

    Examples
    --------
    >>> from compare import crossings, fit_hierarchy_law
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "task": f"srhm s0={s}", "classes": 4, "synonyms": 4, "levels": 2, "sparsity": s,
    ...      "train_size": p * (s + 1) ** 2, "seed": seed, "relative_stability": 1 / p, "test_error": 16 / p}
    ...     for s in (0, 1, 3) for p in (40, 400, 4000) for seed in range(3)
    ... )
    >>> law = fit_hierarchy_law(crossings(table), "cnn")
    >>> law.rules_exponent is None  # all of one n_c m^L
    True
    >>> round(law.sparsity_exponent.value, 2), round(law.prefactor.value, 2)
    (2.0, 2.5)
    """
    if not found:
        raise InputError("crossings", "none", "at least one is needed")
    if any(pd.isna(one.keys["sparsity"]) for one in found):
        raise InputError("crossings", label, "must all be of random hierarchies")
    levels = {int(one.keys["levels"]) for one in found}
    if len(levels) > 1:
        raise InputError("levels", sorted(levels), "must be one number: the law is of one depth")
    sparse = [math.log(int(one.keys["sparsity"]) + 1) for one in found]
    rules = [_rules(one) for one in found]
    scales = [power * first + second for first, second in zip(sparse, rules, strict=True)]
    seeds = sorted({seed for one in found for seed, _ in one.by_seed})
    slopes: list[np.ndarray] = []
    prefactors: list[float] = []
    # Exponents of what does not vary cannot be told.
    columns = {name: column for name, column in (("sparsity", sparse), ("rules", rules)) if len(set(column)) > 1}
    for seed in seeds:
        own = [(i, math.log(dict(one.by_seed)[seed])) for i, one in enumerate(found) if seed in dict(one.by_seed)]
        prefactors.append(math.exp(float(np.mean([value - scales[i] for i, value in own]))))
        design = np.array([[1.0, *(column[i] for column in columns.values())] for i, _ in own])
        if len(own) > len(columns) and np.linalg.matrix_rank(design) == design.shape[1]:
            slopes.append(np.linalg.lstsq(design, np.array([value for _, value in own]), rcond=None)[0][1:])
    estimates = {name: mean(np.array(slopes)[:, i], confidence) for i, name in enumerate(columns) if slopes}
    ratios = [
        geometric_mean([value / math.exp(scale) for _, value in one.by_seed], confidence)
        for one, scale in zip(found, scales, strict=True)
    ]
    return HierarchyLaw(
        label=label,
        sparsity_exponent=estimates.get("sparsity"),
        rules_exponent=estimates.get("rules"),
        prefactor=geometric_mean(prefactors, confidence),
        power=power,
        hierarchies=tuple(str(one.keys["task"]) for one in found),
        ratios=tuple(ratios),
        points=tuple(
            (math.exp(scale), value) for one, scale in zip(found, scales, strict=True) for _, value in one.by_seed
        ),
    )


def _rules(one: Crossing) -> float:
    """log of n_c m^L."""
    return math.log(int(one.keys["classes"])) + int(one.keys["levels"]) * math.log(int(one.keys["synonyms"]))
