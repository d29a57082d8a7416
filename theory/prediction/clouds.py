"""A sample of points as Gaussian clouds: what the conditional prediction knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from theory.common.errors import InputError
from theory.model.tasks import Task
from theory.prediction.point_cells import cells_of_coordinates

__all__ = ["Clouds", "checked_sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Clouds:
    """Cells of a sample's points, with their first two moments in each.

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
        """The points of shape (P, d) in about `cells` cells of the informative coordinates, see `cells_of_coordinates`.

        Raises
        ------
        InputError
            If the points or labels do not fit the task.
        """
        x, y = checked_sample(task, points, labels)
        return cls.of_groups(x, y, cells_of_coordinates(task, x, cells))

    @classmethod
    def of_groups(cls, x: np.ndarray, y: np.ndarray, groups: list[np.ndarray]) -> Clouds:
        """Those of points, shape (P, d), and labels, shape (P,), at these places, each group of one label."""
        starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
        sizes = np.diff(starts)
        ordered = x[np.concatenate(groups)]
        centre = np.add.reduceat(ordered, starts[:-1], axis=0) / sizes[:, None]
        covariance = np.empty((len(groups), x.shape[1], x.shape[1]))
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


def checked_sample(task: Task, points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and labels in double precision; InputError if they are not a sample of the task."""
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
