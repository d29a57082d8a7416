"""Sums over neurons and cells for the population flow, compiled by numba.

A neuron sees a point through m = w x + sqrt(d) b, where r xi with xi ~ N(0, 1) is what the irrelevant directions
add: its mean activation is a = (m Phi(u) + r phi(u)) / sqrt(d), u = m / r, and the chance that it is active is
Phi(u). Cells are averaged exactly: the average of Phi over one is sqrt(d) times the change of a across it over
w dx, and that of phi is r times the change of Phi over w dx, however sharp the kink. r is taken to be positive.
"""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share

__all__ = ["activations", "cell_averages"]

_BLOCKS = 16  # of neurons, each with its own sum, added in order: threads do not change a bit
_FAR = 9.0  # u beyond which Phi is 0 or 1 in double precision
_SOFT = 1e-2  # w dx / r below which a neuron is smooth across a cell, and differences would round off
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)


@compiled()
def _activations(w, r, b, beta, edges, root, chance, mean, total):  # type: ignore[no-untyped-def]
    """Of some neurons; adds their share of the sum to `total`."""
    for n in range(len(w)):
        for k in range(len(edges)):
            m = w[n] * edges[k] + root * b[n]
            if m > _FAR * r[n]:
                chance[n, k] = 1.0
                mean[n, k] = m / root
            elif m < -_FAR * r[n]:
                chance[n, k] = 0.0
                mean[n, k] = 0.0
            else:
                u = m / r[n]
                chance[n, k] = 0.5 * math.erfc(-u * _SQRT_HALF)
                mean[n, k] = (m * chance[n, k] + r[n] * _DENSITY * math.exp(-0.5 * u * u)) / root
            total[k] += beta[n] * mean[n, k]


@compiled()
def _cell_averages(w, r, b, chance, mean, edges, centre, force, root, active, sums):  # type: ignore[no-untyped-def]
    """Of some neurons."""
    for n in range(len(w)):
        along = across = whole = output = 0.0
        for k in range(len(centre)):
            change = w[n] * (edges[k + 1] - edges[k])
            if abs(change) < _SOFT * r[n]:
                u = (w[n] * 0.5 * (edges[k] + edges[k + 1]) + root * b[n]) / r[n]
                part = 0.5 * (chance[n, k] + chance[n, k + 1])
                density = _DENSITY * math.exp(-0.5 * u * u) / r[n]
            else:
                part = root * (mean[n, k + 1] - mean[n, k]) / change
                density = (chance[n, k + 1] - chance[n, k]) / change
            active[n, k] = part
            along += force[k] * centre[k] * part
            across += force[k] * density
            whole += force[k] * part
            output += force[k] * 0.5 * (mean[n, k] + mean[n, k + 1])
        sums[n, 0], sums[n, 1], sums[n, 2], sums[n, 3] = along, across, whole, output


def activations(
    w: np.ndarray, r: np.ndarray, b: np.ndarray, beta: np.ndarray, edges: np.ndarray, root: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Phi, a, sum_n beta_n a_n) at the edges: shapes (h, K + 1), (h, K + 1), (K + 1,); root = sqrt(d)."""
    chance, mean = np.empty((len(w), len(edges))), np.empty((len(w), len(edges)))
    parts = np.zeros((_BLOCKS, len(edges)))

    def block(index: int) -> None:
        some = _block(index, len(w))
        _activations(w[some], r[some], b[some], beta[some], edges, root, chance[some], mean[some], parts[index])

    share(block, _BLOCKS)
    total = np.zeros(len(edges))
    for part in parts:
        total += part
    return chance, mean, total


def cell_averages(
    w: np.ndarray, r: np.ndarray, b: np.ndarray, chance: np.ndarray, mean: np.ndarray, edges: np.ndarray,
    centre: np.ndarray, force: np.ndarray, root: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(Phi averaged over the cells, shape (h, K); sums over cells of force times x Phi, phi / r, Phi, a, shape (h, 4)).

    `force` is c = rho y A dx of each cell.
    """
    active, sums = np.empty((len(w), len(centre))), np.empty((len(w), 4))

    def block(index: int) -> None:
        some = _block(index, len(w))
        _cell_averages(
            w[some], r[some], b[some], chance[some], mean[some], edges, centre, force, root, active[some], sums[some]
        )

    share(block, _BLOCKS)
    return active, sums


def _block(index: int, neurons: int) -> slice:
    size = math.ceil(neurons / _BLOCKS)
    return slice(index * size, (index + 1) * size)
