"""The law eps_t = a R_f^b over nets, each averaged over its seeds first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from compare.curves.series import Curves, SeriesKey
from compare.fits.error_law import LEAST_UNITS, X_COLUMNS, ErrorLaw, law_of_parts, trained_parts
from compare.fits.jackknife import jackknife_interval
from theory.common.errors import require_choice, require_real
from theory.common.estimate import exponential

__all__ = ["fit_net_law"]


def fit_net_law(
    table: pd.DataFrame | Curves,
    x: str = "relative_stability",
    *,
    exponent: float | None = None,
    confidence: float = 0.95,
) -> ErrorLaw:
    r"""Fit eps_t = a x^b to the means over seeds of trained nets: each net counts once at each P.

    .. math:: (\hat a, \hat b) = \arg\min_{a, b} \sum_{\text{nets}, P}
        \left(\overline{\log \epsilon_t} - \log a - b \, \overline{\log x}\right)^2

    Averages over seeds come first, so that a net with three seeds weighs no more than one with one, and that the seeds'
    scatter of x draws b less towards 0 than in `clustered_error_law`. Intervals are the jackknife's over nets (series:
    data set, architecture) where there are three. Else they are over the seeds of the nets, if all have two at each P,
    and say nothing on other nets; `unit` of the result says which. The paper has a = 0.2, b = 1/2 on CIFAR10 at one
    pixel and c = 3 (arXiv 2105.02468, figure 3).

    Parameters
    ----------
    table : a curve table; its trained rows with a test error and x above 0
    x : ``relative_stability``, ``diffeo_stability`` or ``noise_stability``
    exponent : b if it is fixed; free if None
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If `x` is none of these, or there are fewer than three nets and P together, or two distinct x.

    Example
    -------
    >>> from compare import fit_net_law
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "stage": "trained", "train_size": 1024}
    >>> table = curve_table(
    ...     {**net, "architecture": name, "seed": seed, "relative_stability": r * 1.1**seed, "test_error": 0.2 * r**0.5}
    ...     for name, r, seeds in (("mlp", 0.5, 1), ("lenet", 0.1, 1), ("vgg", 0.04, 1), ("resnet", 0.02, 2))
    ...     for seed in range(seeds)
    ... )
    >>> law = fit_net_law(table)
    >>> law.n_points, law.unit, law.n_units, law.holds(0.5)
    (4, 'series', 4, True)
    """
    require_choice("x", x, X_COLUMNS)
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    if exponent is not None:
        exponent = require_real("exponent", exponent)
    parts = trained_parts(table, x)
    law = law_of_parts(_means(parts, x), x, exponent, "series", confidence)
    if law.n_units >= LEAST_UNITS:
        return law
    return _over_seeds(law, parts, confidence)


def _means(parts: dict[SeriesKey, pd.DataFrame], x: str) -> dict[SeriesKey, pd.DataFrame]:
    """Geometric means over seeds at each P."""
    columns = [x, "test_error"]
    return {
        key: rows[columns].astype("float64").apply(np.log).groupby(rows["train_size"]).mean().apply(np.exp)
        for key, rows in parts.items()
    }


def _over_seeds(law: ErrorLaw, parts: dict[SeriesKey, pd.DataFrame], confidence: float) -> ErrorLaw:
    """`law` with the jackknife's intervals over the seeds of its nets; as it is where these are too few."""
    units = [(key, seed) for key, rows in parts.items() for seed in sorted(set(rows["seed"]))]
    fewest = min(int(rows.groupby("train_size")["seed"].nunique().min()) for rows in parts.values())
    if len(units) < LEAST_UNITS or fewest < 2:
        return law
    fixed = law.exponent.value if law.fixed else None
    lines = []
    for key, seed in units:
        rest = {**parts, key: parts[key][parts[key]["seed"] != seed]}
        without = law_of_parts(_means(rest, law.x), law.x, fixed, "series", confidence)
        lines.append((np.log(without.amplitude.value), without.exponent.value))
    whole = np.log(law.amplitude.value), law.exponent.value
    height, slope = (
        jackknife_interval(float(value), np.array(rest), confidence)
        for value, rest in zip(whole, zip(*lines, strict=True), strict=True)
    )
    exponent = replace(law.exponent, n=len(units)) if law.fixed else slope
    return replace(law, unit="seed", n_units=len(units), exponent=exponent, amplitude=exponential(height))
