"""Linear response of the irrelevant directions to the noise of finitely many points (equations 8 to 13)."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from theory.kernels.population_kernel import driven
from theory.prediction.population import Snapshot, split
from theory.prediction.quadrature import Cells

__all__ = ["Perpendicular"]

#: A cell whose feedback moves nothing by more than this part in a step is not solved for.
_SILENT = 1e-6
#: alpha below which weights, which grow as alpha^(-1/2), might leave the range of single precision when squared.
_SMALLEST_SCALE = 1e-24


class AnyPopulation(Protocol):
    """What a response needs to know of a population, of a stripe's or a cylinder's."""

    cells: Cells
    scale: float
    dim: int
    width: int
    informative_dim: int
    root: float
    perpendicular_start: np.ndarray

    def slope(self, snapshot: Snapshot) -> np.ndarray: ...


class Perpendicular:
    """What perpendicular weights there are: those that the noise of the sample drives, and those of the start.

    The kernel turns noise into weights, dw_n = sum_k K_nk dW_k / sqrt(P), with dW_k the noise of cell k, independent
    and normalised to unit variance; K has shape (h, cells), and one irrelevant direction stands for all, which are
    independent and alike. `start` has the weights with which the neurons began and what has become of them, shape
    (h, d - 1). In a step from one snapshot to the next, both grow at the rate r'/r of each neuron, K is driven by the
    mean of the source at both ends, and the feedback of the points at the margin, which is stiff, is solved for at
    the end: with U_nk = beta_n Phi_nk / sqrt(d) and Q = diag(mass kappa),

        (1 + s U Q U^T) K' = K,   (1 + s U Q U^T) start' = start + s U Q U_0^T start_0,   s = alpha step / h,

    by one factorisation of the size of the cells, as U Q U^T has no higher rank: with M = U sqrt(Q) and
    A = 1 + s M^T M, X' = X - s M A^-1 (M^T X - sqrt(Q) U_0^T start_0) (Woodbury's identity). All that has h rows is in
    single precision.
    """

    def __init__(self, population: AnyPopulation, at: Snapshot) -> None:
        self._population = population
        self._noise = np.sqrt(population.cells.mass)
        dtype = np.float32 if population.scale >= _SMALLEST_SCALE else np.float64
        silent = np.zeros((population.width, population.cells.count))
        self._carried: np.ndarray = np.hstack([silent, population.perpendicular_start]).astype(dtype)  # K and start
        self._latest = self._outward(at)
        self._first = self._latest.T @ self.start  # U_0^T start_0: the slope that f_0 takes off

    @property
    def kernel(self) -> np.ndarray:
        """K, shape (h, cells)."""
        return self._carried[:, : self._population.cells.count]

    @property
    def start(self) -> np.ndarray:
        """What has become of the weights of the start, shape (h, d - 1)."""
        return self._carried[:, self._population.cells.count :]

    def advance(self, before: Snapshot, after: Snapshot, step: float) -> None:
        """Follow the population from one snapshot to the next; ArithmeticError where numbers have left their range."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._advance(before, after, step)
            finite = math.isfinite(float(self._carried.sum()))
        if not finite:
            raise ArithmeticError("the response left the range of numbers")

    def _advance(self, before: Snapshot, after: Snapshot, step: float) -> None:
        population = self._population
        outward, squares = driven(
            self._carried, np.exp(step / 2 * (before.growth + after.growth)), self._latest,
            step / 2 * self._source(before), split(after.parameters)[3] / population.root, after.active,
            step / 2 * self._source(after),
        )  # fmt: skip
        self._latest = outward
        weight = population.cells.mass * after.slack.curvature
        strength = population.scale * step / population.width
        felt = np.flatnonzero(strength * weight * squares > _SILENT)
        if not len(felt):
            return
        roots = np.sqrt(weight[felt])
        modes = outward[:, felt] * roots.astype(outward.dtype)
        wide = modes.astype(np.float64)
        matrix = strength * (wide.T @ wide)
        matrix[np.diag_indices_from(matrix)] += 1
        slopes = (modes.T @ self._carried).astype(np.float64)
        slopes[:, population.cells.count :] -= roots[:, None] * self._first[felt]
        try:
            solved = strength * cho_solve(cho_factor(matrix), slopes)
        except (ValueError, LinAlgError) as error:  # not finite, or not positive to rounding
            raise ArithmeticError("the response left the range of numbers") from error
        self._carried -= modes @ solved.astype(modes.dtype)

    def _outward(self, at: Snapshot) -> np.ndarray:
        """U_nk = beta_n Phi_nk / sqrt(d)."""
        outward = split(at.parameters)[3][:, None] * at.active / self._population.root
        return outward.astype(self._carried.dtype)

    def _source(self, at: Snapshot) -> np.ndarray:
        """y A sqrt(mass), shape (K,): U times this is what a unit of noise in each cell does to the neurons."""
        return self._population.cells.label * at.slack.pull * self._noise

    def slope_variance(self, at: Snapshot) -> np.ndarray:
        """P <G^2> at each cell, shape (K,): G = dF/dx_i averaged over the cell, for one irrelevant direction i."""
        population = self._population
        gradient = population.scale / population.width * np.asarray(self._outward(at).T @ self.kernel, np.float64)
        return np.einsum("kj,kj->k", gradient, gradient)

    def start_slope_variance(self, at: Snapshot) -> np.ndarray:
        """|G|^2 at each cell, shape (K,), of all irrelevant directions together, as the start's weights make it."""
        population = self._population
        slopes = np.asarray(self._outward(at).T @ self.start - self._first, np.float64)
        gradient = population.scale / population.width * slopes
        return np.einsum("ki,ki->k", gradient, gradient)

    def prefactor(self, at: Snapshot) -> float:
        """P R_f = d <int rho G^2> P / int rho (dF/dx_1)^2, what the noise contributes; NaN where F is constant."""
        return self._population.dim * self._share(at, self.slope_variance(at))

    def floor(self, at: Snapshot) -> float:
        """What the start's weights contribute to R_f whatever P, likewise."""
        dim = self._population.dim
        return dim / (dim - self._population.informative_dim) * self._share(at, self.start_slope_variance(at))

    def _share(self, at: Snapshot, variance: np.ndarray) -> float:
        mass = self._population.cells.mass
        signal = float(mass @ self._population.slope(at) ** 2)
        return float(mass @ variance) / signal if signal > 0 else math.nan

    def weight_variance(self) -> float:
        """P <dw_perp^2> of what the noise drives, averaged over neurons."""
        return float(np.einsum("nk,nk->", self.kernel, self.kernel, dtype=np.float64)) / len(self.kernel)

    def start_weight_variance(self) -> float:
        """<w_perp^2> per direction of what the start has left, averaged over neurons."""
        return float(np.mean(self.start.astype(np.float64) ** 2))
