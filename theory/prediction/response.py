"""Linear response of the irrelevant directions to the noise of finitely many points (equations 8 to 13)."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from theory.prediction.population import Population, Snapshot, split

__all__ = ["Perpendicular"]

#: A cell's feedback that is so much less than the largest does not count.
_SILENT = 1e-13


class Perpendicular:
    """What perpendicular weights there are: those that the noise of the sample drives, and those of the start.

    The kernel turns noise into weights, dw_n = sum_k K_nk dW_k / sqrt(P), with dW_k the noise of cell k, independent
    and normalised to unit variance; K has shape (h, cells), and one irrelevant direction stands for all, which are
    independent and alike. `start` has the weights with which the neurons began and what has become of them, shape
    (h, d - 1). In a step from one snapshot to the next, both grow at the rate r'/r of each neuron, K is driven by the
    mean of the source at both ends, and the feedback of the points at the margin, which is stiff, is solved for at
    the end: with U_nk = beta_n Phi_nk / sqrt(d) and Q = diag(mass kappa),

        (1 + s U Q U^T) K' = K,   (1 + s U Q U^T) start' = start + s U Q U_0^T start_0,   s = alpha step / h,

    by one factorisation of the size of the cells, as U Q U^T has no higher rank (Woodbury's identity).
    """

    def __init__(self, population: Population, at: Snapshot) -> None:
        self._population = population
        self._noise = np.sqrt(population.cells.mass)
        self.kernel = np.zeros((population.width, population.cells.count))
        self.start = population.perpendicular_start.copy()
        self._first = self._outward(at).T @ self.start  # U_0^T start_0: the slope that f_0 takes off

    def advance(self, before: Snapshot, after: Snapshot, step: float) -> None:
        """Follow the population from one snapshot to the next; ArithmeticError where numbers have left their range."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._advance(before, after, step)
        if not (math.isfinite(float(self.kernel.sum())) and math.isfinite(float(self.start.sum()))):
            raise ArithmeticError("the response left the range of numbers")

    def _advance(self, before: Snapshot, after: Snapshot, step: float) -> None:
        growth = np.exp(step / 2 * (before.growth + after.growth))[:, None]
        self.kernel += step / 2 * self._source(before)
        self.kernel *= growth
        self.start *= growth
        self.kernel += step / 2 * self._source(after)
        weight = self._population.cells.mass * after.slack.curvature
        felt = np.flatnonzero(weight > _SILENT * max(float(weight.max()), 1e-300))
        if not len(felt):
            return
        strength = self._population.scale * step / self._population.width
        roots = np.sqrt(weight[felt])
        modes = self._outward(after)[:, felt] * roots
        matrix = strength * (modes.T @ modes)
        matrix[np.diag_indices_from(matrix)] += 1
        self.start += strength * (modes @ (roots[:, None] * self._first[felt]))
        try:
            factor = cho_factor(matrix)
            for part in (self.kernel, self.start):
                part -= strength * (modes @ cho_solve(factor, modes.T @ part))
        except (ValueError, LinAlgError) as error:  # not finite, or not positive to rounding
            raise ArithmeticError("the response left the range of numbers") from error

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

    def start_slope_variance(self, at: Snapshot) -> np.ndarray:
        """|G|^2 at each cell, shape (K,), of all irrelevant directions together, as the start's weights make it."""
        population = self._population
        gradient = population.scale / population.width * (self._outward(at).T @ self.start - self._first)
        return np.einsum("ki,ki->k", gradient, gradient)

    def prefactor(self, at: Snapshot) -> float:
        """P R_f = d <int rho G^2> P / int rho (dF/dx_1)^2, what the noise contributes; NaN where F is constant."""
        return self._population.dim * self._share(at, self.slope_variance(at))

    def floor(self, at: Snapshot) -> float:
        """What the start's weights contribute to R_f whatever P, likewise."""
        dim = self._population.dim
        return dim / (dim - 1) * self._share(at, self.start_slope_variance(at))

    def _share(self, at: Snapshot, variance: np.ndarray) -> float:
        mass = self._population.cells.mass
        signal = float(mass @ self._population.slope(at) ** 2)
        return float(mass @ variance) / signal if signal > 0 else math.nan

    def weight_variance(self) -> float:
        """P <dw_perp^2> of what the noise drives, averaged over neurons."""
        return float(np.einsum("nk,nk->", self.kernel, self.kernel)) / len(self.kernel)

    def start_weight_variance(self) -> float:
        """<w_perp^2> per direction of what the start has left, averaged over neurons."""
        return float(np.mean(self.start**2))
