"""A sample's points in cells: of the informative coordinates, and by what the net makes of them."""

from __future__ import annotations

import numpy as np

from theory.common.errors import InputError
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["cells_of_coordinates", "cut_by_values"]

#: How much denser cells are at an interface than in the middle of the points' law, and how far that reaches.
_DENSER, _NEAR = 20.0, 0.002


def cells_of_coordinates(task: Task, x: np.ndarray, cells: int) -> list[np.ndarray]:
    """Places of the points, shape (P, d), of each cell that is not empty; about `cells` of them.

    A stripe's cells are intervals of x_1, finer towards the interfaces; a cylinder's are shells of the radius, finer
    towards its boundary, and each shell is halved across its longest axis until there are enough. No cell is cut by an
    interface.
    """
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


def cut_by_values(groups: list[np.ndarray], values: np.ndarray, parts: int, least: int) -> list[np.ndarray]:
    """Each group cut at quantiles of its points' values, into at most `parts` parts of at least `least` points."""
    cut = []
    for group in groups:
        order = group[np.argsort(values[group], kind="stable")]
        cut += np.array_split(order, max(1, min(parts, len(order) // least)))
    return cut


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
