"""Blocks of nets at several P whose test error is correlated with R_f and D_f as planted."""

from __future__ import annotations

import numpy as np

from compare.contrasts.strata import Block

__all__ = ["block"]


def block(rng: np.random.Generator, n: int, strata: int, r: float, d: float, shared: float = 0.0) -> Block:
    """Standard normal logarithms; `shared` is the part of R_f's and D_f's own noise that is common to both."""

    def noise() -> np.ndarray:
        return np.sqrt(0.8) * rng.normal(size=(1, n)) + np.sqrt(0.2) * rng.normal(size=(strata, n))

    error, both = noise(), noise()
    made = [
        c * error + np.sqrt(1 - c**2) * (np.sqrt(shared) * both + np.sqrt(1 - shared) * noise()) for c in (r, d)
    ]
    logs = {"test_error": error, "relative_stability": made[0], "diffeo_stability": 3 * made[1] + 1}
    return Block("a", tuple(range(1, strata + 1)), tuple("abcdefghijkl"[:n]), logs)
