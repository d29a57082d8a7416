"""Functions on the sphere of informative directions that depend on one angle: its cells, and zonal harmonics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import eval_chebyt, eval_gegenbauer

__all__ = ["Angles"]

_NODES = 8  # of the quadrature within a cell of the angle


@dataclass(frozen=True, slots=True, eq=False)
class Angles:
    r"""Cells of the angle between two directions of the sphere in d_par dimensions, both uniform and independent.

    The zonal harmonic of degree l is :math:`\hat P_l(\cos\vartheta)`, a Gegenbauer polynomial with
    :math:`\hat P_l(1) = 1`: :math:`\cos l\vartheta` for d_par = 2, Legendre's for 3. By the theorem of Funk and Hecke
    a function :math:`g(\Omega\cdot\Omega')` acts on spherical harmonics of degree l as the number
    :math:`g_l = \langle g \hat P_l \rangle`.

    Attributes
    ----------
    cosines : at the cells' edges, rising from -1 to 1, shape (J + 1,)
    weights : of degree l and cell j, P_l integrated over the law of the angle, shape (L, J); row 0 sums to 1
    multiplicity : spherical harmonics of each degree, shape (L,)
    """

    cosines: np.ndarray
    weights: np.ndarray
    multiplicity: np.ndarray

    @classmethod
    def of(cls, informative_dim: int, cells: int, degrees: int) -> Angles:
        """`cells` cells of equal angle, and degrees 0 to `degrees` - 1."""
        edges = np.linspace(math.pi, 0, cells + 1)
        nodes, parts = np.polynomial.legendre.leggauss(_NODES)
        half = math.pi / cells / 2
        angle = (edges[:-1] + edges[1:])[:, None] / 2 + half * nodes
        density = np.sin(angle) ** (informative_dim - 2) * parts
        density /= density.sum()
        values = [_zonal(informative_dim, degree, np.cos(angle)) for degree in range(degrees)]
        weights = np.array([np.sum(value * density, axis=1) for value in values])
        counts = np.array([_multiplicity(informative_dim, degree) for degree in range(degrees)], float)
        return cls(np.cos(edges), weights, counts)


def _zonal(informative_dim: int, degree: int, cosine: np.ndarray) -> np.ndarray:
    if informative_dim == 2:
        return np.asarray(eval_chebyt(degree, cosine))
    order = informative_dim / 2 - 1
    return np.asarray(eval_gegenbauer(degree, order, cosine) / eval_gegenbauer(degree, order, 1.0))


def _multiplicity(informative_dim: int, degree: int) -> int:
    """Homogeneous harmonic polynomials of this degree."""
    if degree == 0:
        return 1
    both = 2 * degree + informative_dim - 2
    return both * math.comb(degree + informative_dim - 3, degree - 1) // degree
