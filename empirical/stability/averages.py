"""D_f and G_f by each of the three averages, of all images and of bootstrap samples of them at once.

A sample is given by how often each image is in it. Means are products with these weights; medians are read off values
that are sorted once (`empirical.stability.weighted_ranks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from empirical.stability.weighted_ranks import at_ranks, pairs_at_ranks

__all__ = ["AVERAGES", "Average", "Outputs", "averages", "bootstrap_weights"]

Average = Literal["mean", "median", "coordinate-median"]
AVERAGES: tuple[Average, ...] = ("mean", "median", "coordinate-median")


@dataclass(frozen=True, slots=True)
class Outputs:
    """A function's outputs on the same images: clean, deformed, and with noise; float64, shape (images, K)."""

    clean: np.ndarray
    deformed: np.ndarray
    noisy: np.ndarray


def bootstrap_weights(count: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each image is in each sample, shape (1 + resamples, count); the first row is the images themselves.

    The samples are those that `scipy.stats.bootstrap` draws from the same generator.
    """
    drawn = rng.integers(0, count, (resamples, count))
    cells = drawn + count * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=count * resamples).reshape(resamples, count)
    return np.concatenate([np.ones((1, count), counts.dtype), counts])


def averages(outputs: Outputs, weights: np.ndarray, average: Average) -> np.ndarray:
    """(D_f, G_f) of every sample, shape (2, samples); infinite or NaN where all of its clean outputs agree.

    Parameters
    ----------
    weights : shape (samples, images), whole, each row with the sum of the number of images
    average : see `measure_stability`
    """
    moved = [(other - outputs.clean) ** 2 for other in (outputs.deformed, outputs.noisy)]
    clean = outputs.clean - outputs.clean.mean(0)  # a large common offset would cancel badly
    with np.errstate(divide="ignore", invalid="ignore"):
        if average == "mean":
            return np.stack([_mean(values.sum(1), weights) for values in moved]) / _mean_distance(clean, weights)
        if average == "median":
            norms = np.stack([_median(values.sum(1), weights) for values in moved])
            return norms / _median_distance(clean, weights)
        coordinates = np.stack([_lower_medians(values, weights) for values in moved])
        return coordinates / _lower_median_distance(clean, weights)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ values / weights.shape[1]


def _mean_distance(clean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Over distinct pairs: avg ||f(x) - f(z)||^2 = 2 n / (n - 1) (avg ||f||^2 - ||avg f||^2)."""
    count = weights.shape[1]
    share = weights / count
    return 2 * count / (count - 1) * (share @ (clean**2).sum(1) - ((share @ clean) ** 2).sum(1))


def _median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    count = weights.shape[1]
    return (_ranked(values, weights, (count - 1) // 2) + _ranked(values, weights, count // 2)) / 2


def _lower_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """torch's median of each column, of an even number of values the lower of the middle two, summed."""
    middle = (weights.shape[1] - 1) // 2
    return np.sum([_ranked(column, weights, middle) for column in values.T], axis=0)


def _median_distance(clean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of distinct draws: an image drawn twice makes a pair at distance zero."""
    count = weights.shape[1]
    pairs = count * (count - 1) // 2
    same = (weights * (weights - 1) // 2).sum(1)
    ranks = ((pairs - 1) // 2, pairs // 2)
    low, high = (_ranked_pairs(clean, weights, 1, same, rank) for rank in ranks)
    return (low + high) / 2


def _lower_median_distance(clean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The authors' published average: ordered pairs, the zero diagonal included."""
    same = (weights**2).sum(1)
    return _ranked_pairs(clean, weights, 2, same, (weights.shape[1] ** 2 - 1) // 2)


def _ranked(values: np.ndarray, weights: np.ndarray, rank: int) -> np.ndarray:
    values = np.ascontiguousarray(values)
    result = np.empty(len(weights))
    at_ranks(values, np.argsort(values), weights, rank, result)
    return result


def _ranked_pairs(clean: np.ndarray, weights: np.ndarray, times: int, zeros: np.ndarray, rank: int) -> np.ndarray:
    """Squared distances of different images, sorted, behind so many `zeros`."""
    norms = (clean**2).sum(1)
    left, right = np.triu_indices(len(clean), 1)
    distances = np.maximum(norms[left] + norms[right] - 2 * (clean @ clean.T)[left, right], 0)
    order = np.argsort(distances)
    result = np.empty(len(weights))
    pairs_at_ranks(distances[order], left[order], right[order], weights, times, zeros, rank, result)
    return result
