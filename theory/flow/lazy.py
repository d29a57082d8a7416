"""The lazy limit alpha, h -> infinity: gradient flow in the space of functions, by the tangent kernel.

The net does not leave the neighbourhood of its start, where it is linear in its parameters, and in units of
h / alpha of time F' (x) = (1/P) sum_p Theta(x, x_p) y_p A(y_p F(x_p)). Hence F = (1/P) sum_p Theta(x, x_p) c_p with
c_p' = y_p A(y_p F(x_p)). Weights do not move: Lambda = 1. Sources: A. Jacot, F. Gabriel and C. Hongler, NeurIPS
2018; arXiv 2007.11471 for the stripe.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from theory.common.errors import MAXIMUM_SEED, require_integer
from theory.flow.trajectory import Record, Trajectory, warn_if_cut
from theory.kernels.lazy_kernel import predictor_and_slope, pulled, tangent_kernel
from theory.model.configuration import FlowConfig
from theory.model.losses import pull, reach
from theory.model.observables import FiniteNoise, Observables, random_directions, small_noise_ratio
from theory.model.tasks import Task

__all__ = ["kernel_flow"]

_SAFETY = 0.8  # part of the bound on F that a step aims at
_GROWTH = 2.0  # a step is at most so much longer than the one before
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
        for norm, places in self.noisy:
            moved = [float(np.mean((predictor_and_slope(x, points, weights)[0] - predictor) ** 2)) for x in places]
            diffeo, noise = (value / spread if spread > 0 else math.nan for value in moved)
            finite.append(FiniteNoise(norm, diffeo, noise))
        stability = small_noise_ratio(slope, self.informative_dim)
        return Observables(stability, 1.0, float(np.mean(self.y * predictor <= 0)), tuple(finite))


def kernel_flow(
    task: Task,
    train_size: int,
    config: FlowConfig,
    *,
    seed: int,
    progress: Callable[[float], None] | None = None,
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
    y = labels.astype(config.dtype)
    cap = 1 + reach(config.loss, config.dtype)

    weights = np.zeros(train_size)  # c
    predictor = np.zeros(train_size, config.dtype)
    margins = np.minimum(y * predictor, cap)
    force = y * pull(config.loss, margins)
    velocity = pulled(kernel, force) / train_size
    now, steps, rejected, looked_at, step = 0.0, 0, 0, train_size, math.inf
    records: list[Record] = []
    while True:
        unfit = float(np.mean(margins < 1))
        while len(records) < len(config.unfit_fractions) and unfit <= config.unfit_fractions[len(records)]:
            seen = observe(points, weights / train_size)
            records.append(Record(config.unfit_fractions[len(records)], unfit, now, steps, seen))
        if len(records) == len(config.unfit_fractions):
            stop_reason = "reached"
            break
        if steps == config.max_steps:
            stop_reason = "max_steps"
            break
        if not velocity.any():
            stop_reason = "stationary"
            break
        if not math.isfinite(step):
            step = config.output_change / float(np.max(np.abs(velocity)))
        while True:
            moved = predictor + kernel.dtype.type(step) * velocity
            moved_margins = np.minimum(y * moved, cap)
            change = float(np.max(np.abs(moved_margins - margins)))
            suggested = step * (_GROWTH if change == 0 else min(_SAFETY * config.output_change / change, _GROWTH))
            if change <= config.output_change:
                break
            rejected += 1
            step = min(suggested, step / 2)
        weights += step * force
        predictor, margins, now, steps = moved, moved_margins, now + step, steps + 1
        step = suggested
        force = y * pull(config.loss, margins)
        velocity = pulled(kernel, force) / train_size
        looked_at += int(np.count_nonzero(force))
        if progress is not None:
            progress((1 - unfit) / max(1 - config.unfit_fractions[-1], 1e-9))
    warn_if_cut(config, train_size, seed, stop_reason, steps, unfit, len(records), stacklevel=5)
    return Trajectory(
        task, train_size, config, seed, None, tuple(records), None, stop_reason, steps, rejected, steps + 1,
        looked_at, time.perf_counter() - began,
    )  # fmt: skip
