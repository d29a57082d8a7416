"""Cells of the informative direction, over which the population's averages are sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import gamma, gammainc, gammaincinv, ndtr

from theory.common.errors import InputError
from theory.model.losses import loss_value, pull
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["Cells", "Slack"]

#: Where the cells end; of a standard normal mass, 7e-6 lies beyond, and is spread over the cells.
_END = 4.5
_BROAD, _NARROW = 1.3, 0.2  # widths of the cells' density around 0 and around an interface
_FLAT = 1e-7  # a change of y F across a cell below which F counts as constant there


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells of x_1, or of the radius of a cylinder's informative coordinates, none of which holds an interface.

    Attributes
    ----------
    edges : shape (K + 1,), from -4.5 to 4.5, or from 0 to a radius beyond which as little of the mass lies
    width : dx, shape (K,)
    mass : the measure rho dx of each cell, shape (K,); they sum to 1
    centre : the mean of x_1, or the radius, within each cell, shape (K,)
    label : y, shape (K,)
    """

    edges: np.ndarray
    width: np.ndarray
    mass: np.ndarray
    centre: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, task: Task, count: int) -> Cells:
        """About `count` cells, dense where points are many and at the interfaces, where F turns.

        Their density is, up to a factor, exp(-x^2 / (2 1.3^2)) + sum_c exp(-(x - c)^2 / (2 0.2^2)), c the interfaces.

        Raises
        ------
        InputError
            If the task is neither a `Stripe` nor a `Cylinder`, or its interfaces are not within the cells.
        """
        if isinstance(task, Cylinder):
            return cls._shells(task, count)
        if not isinstance(task, Stripe):
            raise InputError("task", task.name, "must be a stripe or a cylinder")
        cuts = (-_END, *task.interfaces, _END)
        if not -_END < task.interfaces[0] < task.interfaces[1] < _END:
            raise InputError("interfaces", task.interfaces, f"must lie within -{_END:g} and {_END:g}")
        edges = _edges(cuts, count)
        mass = np.diff(ndtr(edges))
        density = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
        middle = (edges[1:] + edges[:-1]) / 2
        label = np.where((middle > task.interfaces[0]) & (middle < task.interfaces[1]), 1.0, -1.0)
        return cls(edges, np.diff(edges), mass / mass.sum(), -np.diff(density) / mass, label)

    @classmethod
    def _shells(cls, task: Cylinder, count: int) -> Cells:
        """Of the chi distribution of d_par degrees of freedom."""
        half = task.informative_dim / 2
        end = math.sqrt(2 * float(gammaincinv(half, 2 * float(ndtr(_END)) - 1)))
        radius = float(task.radius or 0.0)  # set when the task is made
        if not 0 < radius < end:
            raise InputError("radius", radius, f"must lie below {end:.3g} for the prediction")
        edges = _edges((0.0, radius, end), count)
        mass = np.diff(gammainc(half, edges**2 / 2))
        moment = math.sqrt(2) * gamma(half + 0.5) / gamma(half) * np.diff(gammainc(half + 0.5, edges**2 / 2))
        label = np.where(edges[1:] <= radius, 1.0, -1.0)
        return cls(edges, np.diff(edges), mass / mass.sum(), moment / mass, label)

    @property
    def count(self) -> int:
        """K."""
        return len(self.width)


def _edges(cuts: tuple[float, ...], count: int) -> np.ndarray:
    """About `count` cells between the first cut and the last, dense at 0 and at the cuts between."""
    grid = np.linspace(cuts[0], cuts[-1], 10_001)
    below = _BROAD * ndtr(grid / _BROAD) + sum(_NARROW * ndtr((grid - c) / _NARROW) for c in cuts[1:-1])
    levels = np.interp(cuts, grid, below)
    parts = [
        np.linspace(low, high, max(2, round(count * (high - low) / (levels[-1] - levels[0]))) + 1)[:-1]
        for low, high in pairwise(levels)
    ]
    edges = np.interp(np.concatenate([*parts, levels[-1:]]), below, grid)
    edges[np.cumsum([0, *map(len, parts)])] = cuts  # to the last bit
    return edges


@dataclass(frozen=True, slots=True, eq=False)
class Slack:
    """What the loss makes of F, averaged over each cell as if F were linear within it.

    With z = y F running from z_0 to z_1 across a cell, the averages of A = -l'(z) and of kappa = l''(z) are
    (l(z_0) - l(z_1)) / (z_1 - z_0) and (A(z_0) - A(z_1)) / (z_1 - z_0): no width of the loss's turn is too small
    for the cells, and for the hinge kappa is the delta function at the margin.

    Attributes
    ----------
    margin : y F at the middle of each cell, shape (K,)
    pull : A, shape (K,)
    curvature : kappa, shape (K,)
    unfit : the part of each cell where y F < 1, shape (K,)
    """

    margin: np.ndarray
    pull: np.ndarray
    curvature: np.ndarray
    unfit: np.ndarray

    @classmethod
    def of(cls, cells: Cells, loss: str, predictor: np.ndarray) -> Slack:
        """From F at the edges, shape (K + 1,)."""
        first, last = cells.label * predictor[:-1], cells.label * predictor[1:]
        middle, rise = (first + last) / 2, last - first
        flat = np.abs(rise) < _FLAT
        run = np.where(flat, 1.0, rise)
        pulled = (loss_value(loss, first) - loss_value(loss, last)) / run
        curvature = (pull(loss, first) - pull(loss, last)) / run
        if flat.any():
            near = 1e-4
            pulled = np.where(flat, pull(loss, middle), pulled)
            slope = (pull(loss, middle - near) - pull(loss, middle + near)) / (2 * near)
            curvature = np.where(flat, slope, curvature)
        unfit = np.where(flat, middle < 1, np.clip((1 - np.minimum(first, last)) / np.abs(run), 0, 1))
        return cls(middle, pulled, curvature, unfit)
