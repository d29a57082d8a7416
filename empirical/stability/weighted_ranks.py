"""Order statistics of resampled values, without resampling them: values sorted once, each with a weight a sample.

A bootstrap sample holds value k as often as a weight says, so its value at a rank is found by adding up weights along
the sorted values until the rank is reached. What is sorted is the same for all samples.
"""

from __future__ import annotations

import numpy as np

from theory.kernels.compiled import compiled

__all__ = ["at_ranks", "pairs_at_ranks"]


@compiled()
def at_ranks(values: np.ndarray, order: np.ndarray, weights: np.ndarray, rank: int, result: np.ndarray) -> None:
    """Of every sample, the value at `rank`, counted from 0.

    `order` sorts `values`, shape (n,); weights : shape (samples, n), whole; result : shape (samples,).
    """
    for sample in range(len(weights)):
        seen, position = 0, -1
        while seen <= rank:
            position += 1
            seen += weights[sample, order[position]]
        result[sample] = values[order[position]]


@compiled()
def pairs_at_ranks(
    values: np.ndarray, left: np.ndarray, right: np.ndarray, weights: np.ndarray, times: int, zeros: np.ndarray,
    rank: int, result: np.ndarray,
) -> None:  # fmt: skip
    """The same of values of pairs, sorted; a pair counts `times` the product of its two members' weights.

    values, left, right : shape (pairs,); zeros : how many zeros come before all of them, shape (samples,).
    """
    for sample in range(len(weights)):
        own = weights[sample]
        seen, position = zeros[sample], -1
        while seen <= rank:
            position += 1
            seen += times * own[left[position]] * own[right[position]]
        result[sample] = values[position] if position >= 0 else 0.0
