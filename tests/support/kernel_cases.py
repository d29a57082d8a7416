"""Problems on which kernels are compared, and by how much they differ."""

from __future__ import annotations

import numpy as np

from theory.model.network import Network

__all__ = ["SHAPES", "allowed_rounding", "largest_difference", "problem"]

#: (P, h, d)
SHAPES = [(1, 1, 2), (33, 129, 3), (100, 37, 5), (1000, 300, 30)]


def problem(points: int, width: int, dim: int, dtype: str) -> tuple[np.ndarray, np.ndarray, Network, np.ndarray]:
    """Points, labels, a net and a baseline; margins lie on both sides of 1."""
    rng = np.random.default_rng(points + width)
    x = rng.standard_normal((points, dim)).astype(dtype)
    y = np.where(x[:, 0] > 0, 1, -1).astype(dtype)
    return x, y, Network.initial(width, dim, rng, dtype), (0.1 * rng.standard_normal(points)).astype(dtype)


def largest_difference(a: tuple[np.ndarray, Network], b: tuple[np.ndarray, Network]) -> float:
    """Of F and every part of the velocity, relative to the part's largest entry."""
    pairs = [(a[0], b[0])] + [(getattr(a[1], n), getattr(b[1], n)) for n in ("weight", "bias", "output")]
    return max(float(np.abs(p - q).max() / max(np.abs(q).max(), 1e-30)) for p, q in pairs)


def allowed_rounding(shape: tuple[int, ...], dtype: str) -> float:
    """Sums of N terms of either sign round off by about sqrt(N) eps of their largest; allowed: 4 times that."""
    return float(4 * np.sqrt(max(shape)) * np.finfo(dtype).eps)
