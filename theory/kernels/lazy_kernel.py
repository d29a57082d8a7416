"""The neural tangent kernel of the infinitely wide net, and its product with the points that still pull."""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share
from theory.model.network import lifted

__all__ = ["predictor_and_slope", "pulled", "tangent_kernel"]

_BLOCK = 1024  # columns that one thread adds up
_ROWS = 256  # points whose angles to all others are kept


def _angles(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(angle, dot product, product of lengths) of the lifted points, each of shape (len(x), len(z))."""
    one, other = lifted(x, 1), lifted(z, 1)
    dot = one @ other.T
    lengths = np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    return np.arccos(np.clip(dot / lengths, -1, 1)), dot, lengths


def tangent_kernel(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Theta(x, z) at points of shape (n, d) and (m, d), shape (n, m).

    With x~ = (x / sqrt d, 1), the input that the bias sees, and the angle phi between x~ and z~,
    Theta = |x~||z~| (sin phi + (pi - phi) cos phi) / (2 pi) + x~ . z~ (pi - phi) / (2 pi): what the output weights
    and what the others contribute. It is h times the sum over parameters of df(x)/dtheta df(z)/dtheta as
    h -> infinity, all parameters N(0, 1). Source: Y. Cho and L. Saul, NIPS 2009, and A. Jacot, F. Gabriel and
    C. Hongler, NeurIPS 2018.
    """
    angle, dot, lengths = _angles(np.asarray(x, float), np.asarray(z, float))
    return (lengths * np.sin(angle) + 2 * (np.pi - angle) * dot) / (2 * np.pi)


def predictor_and_slope(x: np.ndarray, points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F = sum_j Theta(x, points_j) weights_j, shape (n,), and dF/dx, shape (n, d), at x of shape (n, d).

    dTheta/dx~ = [(|z~|/|x~|) sin(phi) x~ + 2 (pi - phi) z~ + (x~ . z~ / (|x~| sin phi)) (z~/|z~| - cos(phi) x~/|x~|)]
    / (2 pi), as dphi/dx~ = -(z~/|z~| - cos(phi) x~/|x~|) / (|x~| sin phi). Where x is one of the points, Theta has a
    kink; the slope there is one of the two sides'.
    """
    dim = x.shape[1]
    values, slopes = np.empty(len(x)), np.empty((len(x), dim))
    length_z = np.linalg.norm(lifted(points, 1), axis=1)
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS]
        angle, dot, lengths = _angles(part, points)
        sine, rest = np.sin(angle), np.pi - angle
        values[start : start + _ROWS] = (lengths * sine + 2 * rest * dot) @ weights / (2 * np.pi)
        length_x = lengths[:, :1] / length_z[:1]
        safe = np.maximum(sine, 1e-12)
        turn = dot / (length_x * safe)
        along_x = lengths * sine / length_x**2 - turn * np.cos(angle) / length_x
        along_z = 2 * rest + turn / length_z
        own = (along_x @ weights)[:, None] * part
        slopes[start : start + _ROWS] = (own + (along_z * weights) @ points) / (2 * np.pi * dim)
    return values, slopes


@compiled()
def _pulled(kernel, force, part, first):  # type: ignore[no-untyped-def]
    """Adds sum_j force_j kernel[j, first:] to a part of the columns."""
    for j in range(len(force)):
        if force[j] != 0:
            row = kernel[j, first : first + len(part)]
            f = force[j]
            for i in range(len(part)):
                part[i] += f * row[i]


def pulled(kernel: np.ndarray, force: np.ndarray) -> np.ndarray:
    """sum_j force_j kernel[j], shape (P,), over the rows whose force is not 0; each entry is one sum, in order."""
    total = np.zeros(len(force), kernel.dtype)

    def block(index: int) -> None:
        first = index * _BLOCK
        _pulled(kernel, force, total[first : first + _BLOCK], first)

    share(block, math.ceil(len(force) / _BLOCK))
    return total
