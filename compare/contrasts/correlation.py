"""One correlation of the test error with a measure across nets: its value, interval and permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from compare.contrasts.strata import Block
from compare.curves.numbers import Summarised
from compare.fits.jackknife import fisher_z, jackknife_correlation
from theory.common.estimate import Estimate

__all__ = [
    "Correlation", "Kind", "Method", "permutation_probability", "pooled_correlation", "pooled_interval",
    "standardised", "unit",
]  # fmt: skip

Kind = Literal["across nets", "pooled"]
Method = Literal["pearson", "spearman"]
#: Nets up to which all their orders are tried (8! = 40320), and orders drawn beyond.
_EVERY, _DRAWS = 8, 9999


@dataclass(frozen=True, slots=True)
class Correlation(Summarised):
    r"""Correlation of log eps_t with log x across nets, Pearson's and Spearman's; see `correlations`.

    .. math:: r = \mathrm{corr}_{\text{nets}}\left(\log \epsilon_t, \log x\right)

    - ``across nets``: at one P (`train_size`) of one data set, seeds averaged first; n nets. Interval: Fisher's z.
    - ``pooled``: the mean of these over the P of one data set, or of all; interval: jackknife over nets.

    p-values are exact: all n! ways to give the nets' test errors, over all P together, to other nets (beyond eight
    nets 9999 of them at random). The interval of Spearman's r is Bonett and Wright's, Psychometrika 65, 23 (2000),
    where it is Fisher's for Pearson's.

    Attributes
    ----------
    kind : ``across nets`` or ``pooled``
    where : the data set, or ``all data sets``
    x : ``relative_stability`` R_f, ``diffeo_stability`` D_f or ``noise_stability`` G_f
    train_size : P; None where it is pooled
    n : number of nets
    strata : number of P, over all data sets
    pearson, spearman : r with its interval, from -1 to 1
    p_pearson, p_spearman : two-sided p-values
    """

    kind: Kind
    where: str
    x: str
    train_size: int | None
    n: int
    strata: int
    pearson: Estimate
    spearman: Estimate
    p_pearson: float
    p_spearman: float
    _told = ("kind", "where", "x", "train_size", "n", "strata", "pearson", "spearman", "p_pearson", "p_spearman")


def pooled_correlation(parts: Sequence[Block], column: str, method: Method = "pearson") -> float:
    """Mean over all strata of the correlation, across nets, of log eps_t with the logarithm of `column`."""
    values = [standardised(part, "test_error", method) * standardised(part, column, method) for part in parts]
    return float(np.concatenate([product.sum(axis=1) for product in values]).mean())


def pooled_interval(parts: Sequence[Block], column: str, confidence: float, method: Method = "pearson") -> Estimate:
    """The pooled correlation with the jackknife's interval over nets: Student's t of Fisher's z, n - 1 degrees.

    For a single stratum it is Fisher's own interval, z +- z_q / sqrt(n - 3), with Bonett and Wright's
    sqrt((1 + r^2/2) / (n - 3)) for ranks. No interval below four nets.
    """
    value, names = pooled_correlation(parts, column, method), parts[0].nets
    n = len(names)
    if n < 4:
        return Estimate(value, n=n, confidence=confidence)
    if sum(len(part.train_sizes) for part in parts) == 1:
        spread = math.sqrt((1 + (value**2 / 2 if method == "spearman" else 0)) / (n - 3))
        z, half = fisher_z(value), float(stats.norm.ppf((1 + confidence) / 2)) * spread
        return Estimate(value, math.tanh(z - half), math.tanh(z + half), n, confidence)
    without = [pooled_correlation([part.without(net) for part in parts], column, method) for net in names]
    return jackknife_correlation(value, without, confidence)


def permutation_probability(
    parts: Sequence[Block], column: str, rng: np.random.Generator, method: Method = "pearson"
) -> float:
    """Two-sided p-value of the pooled correlation: test errors go round among whole nets, over all P together.

    All blocks must have the same nets. Exact (all orders) up to eight nets, else 9999 draws.
    """
    nets = np.arange(len(parts[0].nets))
    # What net i's x and net j's error contribute if j's error goes to i, over all strata.
    pairs = [standardised(part, column, method).T @ standardised(part, "test_error", method) for part in parts]
    products = np.sum(pairs, axis=0)
    found = stats.permutation_test(
        (nets,),
        lambda order, axis: np.abs(np.sum(products[nets, order], axis=axis)),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=math.factorial(_EVERY) if nets.size <= _EVERY else _DRAWS,
        alternative="greater",
        rng=rng,
    )
    return float(found.pvalue)


def standardised(part: Block, column: str, method: Method = "pearson") -> np.ndarray:
    """Values or ranks, each stratum with mean 0 and sum of squares 1 (all 0 where all are equal)."""
    values = part.logs[column]
    return unit(stats.rankdata(values, axis=1) if method == "spearman" else values)


def unit(values: np.ndarray) -> np.ndarray:
    """Along the last axis, mean 0 and sum of squares 1 (all 0 where all are equal)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)
