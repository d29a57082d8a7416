"""Linear response of the irrelevant directions to the noise of finitely many points (equations 8 to 12)."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from theory.population import Population, Snapshot, split

__all__ = ["Perpendicular"]

#: A cell's feedback that is so much less than the largest does not count.
_SILENT = 1e-13


class Perpendicular:
    """The kernel that turns the noise of the sample into perpendicular weights, dw_n = sum_k K_nk dW_k / sqrt(P).

    dW_k is the noise of cell k, independent and normalised to unit variance; K has shape (h, cells). One irrelevant
    direction stands for all, which are independent and alike. In a step from one snapshot to the next, K grows
    at the rate r'/r (the perpendicular weights of a neuron grow together, those of the start and of the noise), driven
    by the mean of the source at both ends, and the feedback of the points at the margin, which is stiff, is solved
    for at the end: with U_nk = beta_n Phi_nk / sqrt(d) and Q = diag(mass kappa),

        (1 + s U Q U^T) K' = K,   s = alpha step / h,

    by one factorisation of the size of the cells, as U Q U^T has no higher rank (Woodbury's identity).
    """

    def __init__(self, population: Population) -> None:
        self._population = population
        self._noise = np.sqrt(population.cells.mass)
        self.kernel = np.zeros((population.width, population.cells.count))

    def advance(self, before: Snapshot, after: Snapshot, step: float) -> None:
        """Follow the population from one snapshot to the next."""
        self.kernel += step / 2 * self._source(before)
        self.kernel *= np.exp(step / 2 * (before.growth + after.growth))[:, None]
        self.kernel += step / 2 * self._source(after)
        weight = self._population.cells.mass * after.slack.curvature
        felt = np.flatnonzero(weight > _SILENT * max(float(weight.max()), 1e-300))
        if not len(felt):
            return
        strength = self._population.scale * step / self._population.width
        modes = self._outward(after)[:, felt] * np.sqrt(weight[felt])
        matrix = strength * (modes.T @ modes)
        matrix[np.diag_indices_from(matrix)] += 1
        self.kernel -= strength * (modes @ cho_solve(cho_factor(matrix), modes.T @ self.kernel))

    def _outward(self, at: Snapshot) -> np.ndarray:
        """U_nk = beta_n Phi_nk / sqrt(d)."""
        return split(at.parameters)[3][:, None] * at.active / self._population.root

    def _source(self, at: Snapshot) -> np.ndarray:
        """U_nk y A sqrt(mass): what a unit of noise in cell k does to neuron n."""
        return self._outward(at) * (self._population.cells.label * at.slack.pull * self._noise)

    def slope_variance(self, at: Snapshot) -> np.ndarray:
        """P <G^2> at each cell, shape (K,): G = dF/dx_i averaged over the cell, for one irrelevant direction i."""
        population = self._population
        gradient = population.scale / population.width * (self._outward(at).T @ self.kernel)
        return np.einsum("kj,kj->k", gradient, gradient)

    def prefactor(self, at: Snapshot) -> float:
        """P R_f = d <int rho G^2> P / int rho (dF/dx_1)^2; NaN where F is constant."""
        mass = self._population.cells.mass
        signal = float(mass @ self._population.slope(at) ** 2)
        return self._population.dim * float(mass @ self.slope_variance(at)) / signal if signal > 0 else math.nan

    def weight_variance(self) -> float:
        """P <dw_perp^2>, averaged over neurons."""
        return float(np.einsum("nk,nk->", self.kernel, self.kernel)) / len(self.kernel)
