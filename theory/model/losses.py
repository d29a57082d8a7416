"""Margin losses l(z) of z = y F, and how hard each point still pulls, A = -l'(z)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["LOSSES", "SHARPNESS", "Loss", "loss_value", "pull", "reach"]

#: Sharpness of the softplus hinge, l(z) = softplus(20 (1 - z)) / 20.
SHARPNESS = 20.0
Loss = Literal["hinge", "softhinge", "squaredhinge"]
#: Names, in the order of the codes that compiled kernels use.
LOSSES = get_args(Loss)


def reach(loss: str, dtype: DTypeLike) -> float:
    """How far beyond the margin, in y F - 1, the pull of a point still counts; it is exactly 0 from there on.

    0 for hinge and squaredhinge. For softhinge, ln(1 / eps) / 20: there A is eps, the relative rounding of
    `dtype`, and a point that has not reached the margin pulls with more than 1 / 2 (0.80 in single precision,
    1.80 in double).
    """
    return -math.log(np.finfo(dtype).eps) / SHARPNESS if loss == "softhinge" else 0.0


def pull(loss: str, z: np.ndarray) -> np.ndarray:
    """A = -l'(z), elementwise, in z's dtype; 0 where z - 1 >= `reach`.

    hinge: 1 for z < 1, else 0. softhinge: 1 / (1 + exp(-20 (1 - z))). squaredhinge, l = max(0, 1 - z)^2 / 2:
    max(0, 1 - z).
    """
    gap = 1 - z
    if loss == "hinge":
        return (gap > 0).astype(z.dtype)
    if loss == "softhinge":
        # tanh does not overflow, unlike exp.
        felt = gap > -reach(loss, z.dtype)
        return np.where(felt, 0.5 * (1 + np.tanh(SHARPNESS / 2 * gap)), 0).astype(z.dtype)
    return np.maximum(gap, 0)


def loss_value(loss: str, z: np.ndarray) -> np.ndarray:
    """l(z), elementwise."""
    gap = 1 - z
    if loss == "hinge":
        return np.maximum(gap, 0)
    if loss == "softhinge":
        return np.logaddexp(0, SHARPNESS * gap) / SHARPNESS
    return np.maximum(gap, 0) ** 2 / 2
