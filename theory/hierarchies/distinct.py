"""Draw distinct rows of whole numbers, uniformly, from all rows that there are."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["draw_distinct"]

#: Up to so many rows in all they are shuffled; beyond, those that come twice are dropped.
_SHUFFLED = 2**20
_BLOCK = 4096


def draw_distinct(radices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` different rows, column c uniform on 0 ... radices[c] - 1; shape (count, columns).

    Draws of one generator state are nested: a smaller number of rows is the beginning of a larger one. `count` is at
    most the product of `radices`.
    """
    total = math.prod(int(radix) for radix in radices)
    if total <= _SHUFFLED:
        chosen = rng.permutation(total)[:count]
        strides = np.concatenate([np.cumprod(radices[:0:-1])[::-1], [1]]).astype(np.int64)
        return chosen[:, None] // strides % radices
    rows = np.empty((0, len(radices)), dtype=np.int64)
    while len(rows) < count:
        blocks = math.ceil((count - len(rows)) / _BLOCK)
        fresh = [rng.integers(0, radices, size=(_BLOCK, len(radices))) for _ in range(blocks)]
        rows = np.concatenate([rows, *fresh])
        first = np.unique(rows, axis=0, return_index=True)[1]
        rows = rows[np.sort(first)]
    return rows[:count]
