"""Margin losses l(z) of z = y F, and how hard each point still pulls, A = -l'(z)."""

from __future__ import annotations

import numpy as np

__all__ = ["LOSSES", "SHARPNESS", "loss_value", "pull"]

#: Sharpness of the softplus hinge, l(z) = softplus(20 (1 - z)) / 20.
SHARPNESS = 20.0
#: Names, in the order of the codes that compiled kernels use.
LOSSES = ("hinge", "softhinge", "squaredhinge")


def pull(loss: str, z: np.ndarray) -> np.ndarray:
    """A = -l'(z), elementwise, in z's dtype.

    hinge: 1 for z < 1, else 0. softhinge: 1 / (1 + exp(-20 (1 - z))). squaredhinge, l = max(0, 1 - z)^2 / 2:
    max(0, 1 - z).
    """
    gap = 1 - z
    if loss == "hinge":
        return (gap > 0).astype(z.dtype)
    if loss == "softhinge":
        # tanh does not overflow, unlike exp.
        return (0.5 * (1 + np.tanh(SHARPNESS / 2 * gap))).astype(z.dtype)
    return np.maximum(gap, 0)


def loss_value(loss: str, z: np.ndarray) -> np.ndarray:
    """l(z), elementwise."""
    gap = 1 - z
    if loss == "hinge":
        return np.maximum(gap, 0)
    if loss == "softhinge":
        return np.logaddexp(0, SHARPNESS * gap) / SHARPNESS
    return np.maximum(gap, 0) ** 2 / 2
