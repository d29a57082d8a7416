"""The flow of a net on its own sample, which is sorted into clouds again as the net learns to tell its points apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from theory.flow.state import State
from theory.kernels import get_kernel
from theory.model.network import Network
from theory.model.tasks import Task
from theory.prediction.cloud_flow import CloudFlow, CloudState, leading_frame
from theory.prediction.clouds import Clouds
from theory.prediction.point_cells import cells_of_coordinates, cut_by_values

__all__ = ["Resolution", "SampleFlow"]

_FALL = 0.9  # of the unfit fraction, after which the points are sorted again
_LEAST = 3  # points of a cloud that a cell is cut into
_KEPT = 0.98  # part of the directions in which F changes most that a frame must keep, or it is turned


@dataclass(frozen=True, slots=True)
class Resolution:
    """How finely a sample is known. theory/prediction/README.md has a table of what coarser ones give.

    Attributes
    ----------
    cells : of the informative coordinates, about
    parts : clouds that each of them is cut into by y F, at most; 1 leaves them whole
    directions : irrelevant ones along which a cloud's covariance is kept, see `leading_frame`
    """

    cells: int
    parts: int = 4
    directions: int = 3


class SampleFlow:
    """The flow on the clouds of one sample; `step` does one of its steps.

    P enters twice: when the points are sorted into cells of the informative coordinates before the start, and whenever
    the unfit fraction has fallen by a tenth, when each cell is cut at quantiles of its points' y F. Points that have
    piled up at the margin then have clouds of their own.
    """

    def __init__(
        self,
        task: Task,
        points: np.ndarray,
        labels: np.ndarray,
        start: Network,
        resolution: Resolution,
        loss: str,
        scale: float,
    ) -> None:
        self._task, self._x, self._y, self._start, self._loss, self._scale = task, points, labels, start, loss, scale
        self._resolution = resolution
        self._cells = cells_of_coordinates(task, points, resolution.cells)
        none = np.zeros(len(points))
        self._predictor = get_kernel()(points, labels, none, scale, loss)
        self._baseline = self._predictor(start)[0]
        self._clouds = Clouds.of_groups(points, labels, self._cells)
        frame = self._frame(np.zeros((len(self._cells), task.dim)))
        self._flow = CloudFlow(start, self._clouds, frame, loss, scale)
        self._unfit = 1.0
        self.sorted = 0
        self.evaluations = self.looked_at = 0

    @property
    def clouds(self) -> int:
        """How many there are now."""
        return len(self._clouds.count)

    def __call__(self, parameters: np.ndarray) -> CloudState:
        """F and the velocity at these parameters, on the clouds of this moment."""
        self.evaluations += 1
        self.looked_at += self.clouds
        return self._flow(parameters)

    def step(
        self,
        state: State[CloudState],
        stepped: Callable[[State[CloudState], Callable[[np.ndarray], CloudState]], State[CloudState]],
    ) -> State[CloudState]:
        """One step by `stepped`, from clouds and a frame that serve there."""
        wanted = self._frame(state.field.slope)
        if self._resolution.parts > 1 and state.field.unfit_fraction < _FALL * self._unfit:
            self._unfit = state.field.unfit_fraction
            self._sort(Network.from_flat(state.parameters, self._start.width, self._task.dim))
        elif self._kept(wanted) >= _KEPT:
            return stepped(state, self)
        self._flow = CloudFlow(self._start, self._clouds, wanted, self._loss, self._scale)
        return stepped(replace(state, field=self(state.parameters)), self)

    def _sort(self, net: Network) -> None:
        parts = self._resolution.parts
        margins = self._y * (self._predictor(net)[0] - self._baseline)
        self._clouds = Clouds.of_groups(self._x, self._y, cut_by_values(self._cells, margins, parts, _LEAST))
        self.sorted += 1
        self.looked_at += len(self._y)

    def _frame(self, slope: np.ndarray) -> np.ndarray:
        """That of these slopes, one for each of the clouds of this moment."""
        return leading_frame(slope, self._clouds.mass, self._task.informative_dim, self._resolution.directions)

    def _kept(self, wanted: np.ndarray) -> float:
        """The part of this frame's irrelevant directions that lies within ours."""
        par = self._task.informative_dim
        directions = wanted.shape[1] - par
        return float(np.sum((self._flow.frame[:, par:].T @ wanted[:, par:]) ** 2)) / directions if directions else 1.0
