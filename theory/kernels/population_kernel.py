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
from theory.kernels.normal import FAR, chance_and_density, polynomials
from theory.kernels.threads import share

__all__ = ["activations", "cell_averages", "driven"]

_BLOCKS = 8  # of neurons, each with its own sum, added in order: threads do not change a bit
_GROUP = 8  # neurons whose places fit the first-level cache
_SOFT = 1e-2  # w dx / r below which a neuron is smooth across a cell, and differences would round off
#: Sums in any order and no check of divisors, so that loops are vectorised; infinities and NaN stay what they are.
_loops = compiled(fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy")


@_loops
def _activations(w, r, b, beta, edges, root, polynomials, chance, mean, total):  # type: ignore[no-untyped-def]
    """Of some neurons; adds their share of the sum to `total`."""
    mills, exponential = polynomials
    places = len(edges)
    # The places of a few neurons in one loop, the dear one: what is left over of vectors is done one by one.
    phi, inverse_root = np.empty(_GROUP * places), 1 / root
    for first in range(0, len(w), _GROUP):
        last = min(first + _GROUP, len(w))
        u = chance[first:last].ravel()
        for n in range(first, last):
            weight, shift, inverse, row = w[n], root * b[n], 1 / r[n], chance[n]
            for k in range(places):
                m = (weight * edges[k] + shift) * inverse
                row[k] = FAR if m > FAR else (-FAR if m < -FAR else m)
        for i in range(len(u)):
            part, density = chance_and_density(u[i], mills, exponential)
            phi[i] = density
            u[i] = 0.0 if u[i] == -FAR else part
        for n in range(first, last):
            weight, spread, shift, outer = w[n], r[n], root * b[n], beta[n]
            chances, densities, means = chance[n], phi[(n - first) * places :], mean[n]
            for k in range(places):
                output = ((weight * edges[k] + shift) * chances[k] + spread * densities[k]) * inverse_root
                means[k] = output
                total[k] += outer * output


@_loops
def _cell_averages(w, r, b, chance, mean, edges, centre, force, root, active, sums):  # type: ignore[no-untyped-def]
    """Of some neurons."""
    densities = np.empty(len(centre))
    for n in range(len(w)):
        weight, spread, shift = w[n], r[n], root * b[n]
        chances, means, actives = chance[n], mean[n], active[n]
        for k in range(len(centre)):
            change = weight * (edges[k + 1] - edges[k])
            soft = -_SOFT * spread < change < _SOFT * spread
            inverse = 1 / (spread * spread if soft else change)
            # In a cell across which it is smooth, the mean of both ends: r phi = sqrt(d) a - m Phi.
            low = root * means[k] - (weight * edges[k] + shift) * chances[k]
            high = root * means[k + 1] - (weight * edges[k + 1] + shift) * chances[k + 1]
            densities[k] = (0.5 * (low + high) if soft else chances[k + 1] - chances[k]) * inverse
            actives[k] = 0.5 * (chances[k] + chances[k + 1]) if soft else root * (means[k + 1] - means[k]) * inverse
        along = across = whole = output = 0.0
        for k in range(len(centre)):
            along += force[k] * centre[k] * actives[k]
            across += force[k] * densities[k]
            whole += force[k] * actives[k]
            output += force[k] * 0.5 * (means[k] + means[k + 1])
        sums[n, 0], sums[n, 1], sums[n, 2], sums[n, 3] = along, across, whole, output


@_loops
def _driven(carried, growth, outward, force, outer, active, next_force, next_outward, squares):  # type: ignore[no-untyped-def]
    """Of some neurons; adds their share of the squares."""
    cells = active.shape[1]
    for n in range(len(growth)):
        row, gain, weight, here, next_here = carried[n], growth[n], outer[n], outward[n], next_outward[n]
        actives = active[n]
        for k in range(cells):
            there = carried.dtype.type(weight * actives[k])
            row[k] = (row[k] + here[k] * force[k]) * gain + there * next_force[k]
            next_here[k] = there
        for k in range(cells):
            squares[k] += next_here[k] * next_here[k]
        for k in range(cells, len(row)):
            row[k] *= gain


def activations(
    w: np.ndarray, r: np.ndarray, b: np.ndarray, beta: np.ndarray, edges: np.ndarray, root: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Phi, a, sum_n beta_n a_n) at the edges: shapes (h, K + 1), (h, K + 1), (K + 1,); root = sqrt(d)."""
    chance, mean = np.empty((len(w), len(edges))), np.empty((len(w), len(edges)))
    parts = np.zeros((_BLOCKS, len(edges)))
    fits = polynomials()

    def block(index: int) -> None:
        some = _block(index, len(w))
        _activations(w[some], r[some], b[some], beta[some], edges, root, fits, chance[some], mean[some], parts[index])

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


def driven(
    carried: np.ndarray, growth: np.ndarray, outward: np.ndarray, force: np.ndarray, outer: np.ndarray,
    active: np.ndarray, next_force: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Grow `carried`, shape (h, K + others), in place, while its first K columns are driven from U force to U' force'.

    carried <- (carried + U force) growth + U' force' there, carried growth elsewhere; U' = outer * active.
    Gives U', in carried's precision, and sum_n U'^2, shape (K,).
    """
    dtype = carried.dtype
    next_outward = np.empty_like(outward)
    parts = np.zeros((_BLOCKS, active.shape[1]))
    growth, force, next_force = (array.astype(dtype) for array in (growth, force, next_force))

    def block(index: int) -> None:
        some = _block(index, len(growth))
        _driven(
            carried[some], growth[some], outward[some], force, outer[some], active[some], next_force,
            next_outward[some], parts[index],
        )  # fmt: skip

    share(block, _BLOCKS)
    return next_outward, parts.sum(0)


def _block(index: int, neurons: int) -> slice:
    size = math.ceil(neurons / _BLOCKS)
    return slice(index * size, (index + 1) * size)
