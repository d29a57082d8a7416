"""The lazy limit alpha, h -> infinity: gradient flow in the space of functions, by the tangent kernel.

The net does not leave the neighbourhood of its start, where it is linear in its parameters, and in units of
h / alpha of time F' (x) = (1/P) sum_p Theta(x, x_p) y_p A(y_p F(x_p)). Hence F = (1/P) sum_p Theta(x, x_p) c_p with
c_p' = y_p A(y_p F(x_p)). Weights do not move: Lambda = 1. Sources: A. Jacot, F. Gabriel and C. Hongler, NeurIPS
2018; arXiv 2007.11471 for the stripe.
"""

from __future__ import annotations

import math
import time

import numpy as np

from theory.common.errors import MAXIMUM_SEED, require_integer
from theory.flow.integrate import Progress, integrate
from theory.flow.state import OverPoints, State
from theory.flow.stepper import OutputBound
from theory.flow.trajectory import Record, Trajectory
from theory.kernels.lazy_kernel import predictor_and_slope, pulled, tangent_kernel
from theory.model.configuration import FlowConfig
from theory.model.losses import pull, reach
from theory.model.observables import FiniteNoise, Observables, random_directions, small_noise_ratio
from theory.model.tasks import Task

__all__ = ["kernel_flow"]

_ROWS = 500  # of the kernel matrix that are computed at a time


class _Observer:
    """Measures F on fresh points, and at noise of finite norm around them if asked to."""

    def __init__(self, task: Task, config: FlowConfig, test_rng: np.random.Generator, noise_rng: np.random.Generator):
        self.informative_dim = task.informative_dim
        self.x, self.y = task.sample(config.test_size, test_rng)
        self.noisy: list[tuple[float, list[np.ndarray]]] = []
        if config.noise_norms:
            ways = [random_directions(len(self.x), task.dim, first, noise_rng) for first in (task.informative_dim, 0)]
            self.noisy = [(norm, [self.x + norm * way for way in ways]) for norm in config.noise_norms]

    def __call__(self, points: np.ndarray, weights: np.ndarray) -> Observables:
        predictor, slope = predictor_and_slope(self.x, points, weights)
        spread = 2 * float(np.var(predictor))
        finite = []
        for norm, near in self.noisy:
            moved = [float(np.mean((predictor_and_slope(x, points, weights)[0] - predictor) ** 2)) for x in near]
            diffeo, noise = (value / spread if spread > 0 else math.nan for value in moved)
            finite.append(FiniteNoise(norm, diffeo, noise))
        stability = small_noise_ratio(slope, self.informative_dim)
        return Observables(stability, 1.0, float(np.mean(self.y * predictor <= 0)), tuple(finite))


class _Steps:
    """Euler steps of F at the training points; theta is F, and c, its part in the points' own basis, goes along."""

    def __init__(self, kernel: np.ndarray, y: np.ndarray, config: FlowConfig) -> None:
        self._kernel, self._y, self._loss = kernel, y, config.loss
        self._cap = 1 + reach(config.loss, config.dtype)
        self._largest = config.output_change
        self._force = np.zeros_like(y)
        self.bound = OutputBound(config.output_change)
        self.weights = np.zeros(len(y))  # c
        self.looked_at = 0

    def start(self) -> State[OverPoints]:
        """F = 0."""
        zero = np.zeros_like(self._y)
        return State(zero, self._field(self._margins(zero)))

    def step(self, state: State[OverPoints]) -> State[OverPoints]:
        """The next state; c follows."""
        velocity, margins = state.field.velocity, state.field.margins
        step = self.bound.suggested
        if not math.isfinite(step):
            step = self._largest / float(np.max(np.abs(velocity)))
        while True:
            moved = state.parameters + velocity.dtype.type(step) * velocity
            moved_margins = self._margins(moved)
            if self.bound.allows(step, margins, moved_margins):
                break
            step = self.bound.shorter(step)
        self.weights += step * self._force
        return State(moved, self._field(moved_margins), state.time + step, state.steps + 1)

    def _margins(self, predictor: np.ndarray) -> np.ndarray:
        return np.minimum(self._y * predictor, self._cap)

    def _field(self, margins: np.ndarray) -> OverPoints:
        self._force = self._y * pull(self._loss, margins)
        self.looked_at += int(np.count_nonzero(self._force))
        return OverPoints(margins, pulled(self._kernel, self._force) / len(margins))


def kernel_flow(
    task: Task, train_size: int, config: FlowConfig, seed: int, progress: Progress | None = None
) -> Trajectory:
    """`simulate` in the lazy limit, on the same training and test points as `simulate(..., seed=seed)`.

    Euler steps that change min(y F, 1 + reach) by at most `output_change` at every training point; a step that
    does more is taken back. Time is in units of h / alpha. The kernel matrix takes P^2 numbers of `config.dtype`.

    Raises
    ------
    InputError
        On a P or seed that is not allowed.
    """
    began = time.perf_counter()
    train_size = require_integer("train_size", train_size, 1)
    seed = require_integer("seed", seed, 0, MAXIMUM_SEED)
    data_rng, test_rng, _, noise_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    points, labels = task.sample(train_size, data_rng)
    observe = _Observer(task, config, test_rng, noise_rng)
    kernel = np.empty((train_size, train_size), config.dtype)
    for start in range(0, train_size, _ROWS):
        kernel[start : start + _ROWS] = tangent_kernel(points[start : start + _ROWS], points)
    steps = _Steps(kernel, labels.astype(config.dtype), config)

    def record(target: float, at: State[OverPoints]) -> Record:
        return Record(target, at.field.unfit_fraction, at.time, at.steps, observe(points, steps.weights / train_size))

    course = integrate(steps.start(), steps.step, record, config, progress)
    accepted = course.state.steps
    return Trajectory(
        task, train_size, config, seed, None, course.records, None, course.stop_reason, accepted,
        steps.bound.rejected, accepted + 1, steps.looked_at, time.perf_counter() - began, course.shortfall(config),
    )  # fmt: skip
