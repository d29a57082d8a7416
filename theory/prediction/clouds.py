"""A sample of points as Gaussian clouds: what the conditional prediction knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from theory.common.errors import InputError
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["Clouds"]

#: How much denser cells are at an interface than in the middle of the points' law, and how far that reaches.
_DENSER, _NEAR = 20.0, 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Clouds:
    """Cells of the informative coordinates, with the first two moments of the sample's points in each.

    Attributes
    ----------
    count : points of each cell, shape (K,)
    label : y, the same for all points of a cell, shape (K,)
    centre : mean of x, shape (K, d)
    covariance : of x within a cell, divided by the count (0 for a cell of one point), shape (K, d, d)
    """

    count: np.ndarray
    label: np.ndarray
    centre: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, task: Task, points: np.ndarray, labels: np.ndarray, cells: int) -> Clouds:
        """The points of shape (P, d) in at most about `cells` cells.

        A stripe's cells are intervals of x_1, finer towards the interfaces; a cylinder's are shells of the radius,
        finer towards its boundary, and each shell is halved across its longest axis until there are enough.

        Raises
        ------
        InputError
            If the points or labels do not fit the task.
        """
        x, y = _checked(task, points, labels)
        groups = _groups(task, x, cells)
        starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
        sizes = np.diff(starts)
        ordered = x[np.concatenate(groups)]
        centre = np.add.reduceat(ordered, starts[:-1], axis=0) / sizes[:, None]
        covariance = np.empty((len(groups), task.dim, task.dim))
        for k, (first, last) in enumerate(pairwise(starts)):
            away = ordered[first:last] - centre[k]
            covariance[k] = away.T @ away / sizes[k]
        return cls(sizes, y[np.array([group[0] for group in groups])], centre, covariance)

    @property
    def train_size(self) -> int:
        """P, the number of points."""
        return int(self.count.sum())

    @property
    def mass(self) -> np.ndarray:
        """Part of the points in each cell, shape (K,)."""
        return self.count / self.train_size


def _checked(task: Task, points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(points, float), np.asarray(labels, float)
    if x.ndim != 2 or x.shape[1] != task.dim or not len(x):
        raise InputError("data", f"points of shape {x.shape}", f"must be (P, {task.dim}), P >= 1, for {task.name}")
    if y.shape != (len(x),):
        raise InputError("data", f"labels of shape {y.shape}", f"must be one for each of the {len(x)} points")
    if not np.all(np.isfinite(x)):
        raise InputError("data", "points", "must be finite")
    wrong = np.flatnonzero(y != task.label(x))
    if len(wrong):
        allowed = f"must be those of {task.name}: {len(wrong)} of {len(x)} differ, the first at point {wrong[0]}"
        raise InputError("data", "labels", allowed)
    return x, y


def _groups(task: Task, x: np.ndarray, cells: int) -> list[np.ndarray]:
    """Indices of the points of each cell that is not empty."""
    if isinstance(task, Stripe):
        return _intervals(x[:, 0], task.interfaces, cells)
    if isinstance(task, Cylinder):
        assert task.radius is not None  # set when the task is made
        informative = x[:, : task.informative_dim]
        radius = np.linalg.norm(informative, axis=1)
        # Shells as thin as patches are wide: cells = shells * patches, patches ~ (2 pi R / thickness)^(d_par - 1).
        shells = max(2, round(cells ** (1 / task.informative_dim) * 1.5))
        thick = _intervals(radius, (task.radius,), shells)
        return [patch for shell in thick for patch in _halved(informative, shell, max(1, cells // len(thick)))]
    raise InputError("task", task.name, "must be a stripe or a cylinder")


def _intervals(position: np.ndarray, interfaces: tuple[float, ...], count: int) -> list[np.ndarray]:
    """Indices sorted into cells of one coordinate that no interface cuts.

    The density of cells is exp(-t^2 / 6), which serves the tails better than the law itself, and at each interface
    c it has in addition 20 / (1 + |t - c| / 0.002).
    """
    grid = np.linspace(min(position.min(), *interfaces) - 0.1, max(position.max(), *interfaces) + 0.1, 20_001)
    density = np.exp(-(grid**2) / 6)
    for interface in interfaces:
        density += _DENSER / (1 + np.abs(grid - interface) / _NEAR)
    run = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    cell = np.floor(np.interp(position, grid, run) / run[-1] * count).astype(int)
    key = cell * (len(interfaces) + 1) + np.searchsorted(interfaces, position)
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _halved(coordinates: np.ndarray, group: np.ndarray, parts: int) -> list[np.ndarray]:
    """`group` cut at medians across its longest axis, again and again, into `parts` at the most."""
    if parts < 2 or len(group) < 2:
        return [group]
    away = coordinates[group] - coordinates[group].mean(0)
    axis = np.linalg.eigh(away.T @ away)[1][:, -1]
    order = group[np.argsort(away @ axis, kind="stable")]
    first = parts // 2
    cut = max(1, round(len(order) * first / parts))
    return _halved(coordinates, order[:cut], first) + _halved(coordinates, order[cut:], parts - first)
