"""What is predicted of one sample of points, known as clouds: R_f, Lambda and the test error of its own net."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.flow.integrate import Progress, integrate, warn_if_cut
from theory.flow.simulation import initial_network
from theory.flow.state import State
from theory.flow.stepper import Stepper, chosen_integrator
from theory.flow.trajectory import Record, Trajectory
from theory.model.configuration import FlowConfig
from theory.model.network import Network
from theory.model.observables import Observer
from theory.model.tasks import Task
from theory.prediction.cloud_flow import CloudState
from theory.prediction.clouds import checked_sample
from theory.prediction.sample_flow import Resolution, SampleFlow

__all__ = ["Data", "SamplePrediction", "predict_sample"]

#: Points of shape (P, d) and their labels of shape (P,), or P, for the points that `simulate` draws.
Data = tuple[np.ndarray, np.ndarray] | int


@dataclass(frozen=True, slots=True, eq=False)
class SamplePrediction(Trajectory):
    """As a `Trajectory`, but of the flow on clouds: `cells` of them in the end, which `points_looked_at` counts.

    `sorted` is how often all points were looked at to sort them into clouds, besides the first time.
    """

    cells: int
    sorted: int

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the curve table, source "prediction", variant "from the sample" after the model's own."""
        variant = ", ".join(filter(None, (self.config.variant, "from the sample")))
        return [{**row, "source": "prediction", "variant": variant} for row in Trajectory.rows(self)]

    def summary(self) -> dict[str, Any]:
        """JSON-ready: configuration, records, and how the integration ended."""
        found = {key: value for key, value in Trajectory.summary(self).items() if key != "skipped"}
        return {**found, "cells": self.cells, "sorted": self.sorted}

    def __repr__(self) -> str:
        return f"SamplePrediction{Trajectory.__repr__(self).removeprefix('Trajectory')}"


def predict_sample(
    task: Task,
    config: FlowConfig,
    data: Data,
    *,
    seed: int,
    neuron_seed: int | None,
    resolution: Resolution,
    progress: Progress | None = None,
) -> SamplePrediction:
    """The flow of the net on the clouds of this sample (`SampleFlow`), observed as `simulate` observes.

    Everything that `simulate(task, P, config, seed=seed, neuron_seed=neuron_seed)` draws is drawn alike: neurons,
    test points, directions of noise and, if `data` is P, the points. P enters only when they are sorted, some twenty
    times. With a cell for every point it is `simulate`, in double precision and without skipping.

    Raises
    ------
    InputError
        If the data do not fit the task, the scale is infinite, or the numbers leave their range.
    """
    began = time.perf_counter()
    if config.lazy:
        raise InputError("scale", config.scale, "must be finite: in the lazy limit there is no net to follow")
    seed = require_integer("seed", seed, 0, MAXIMUM_SEED)
    data_rng, test_rng, _, noise_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError("data", f"{len(data)} arrays", "must be points and labels, or P")
        points, labels = data
    else:
        points, labels = task.sample(require_integer("data", data, 1), data_rng)
    x, y = checked_sample(task, points, labels)
    drawn = initial_network(task, config, seed, neuron_seed)
    start = Network(*(np.asarray(part, float) for part in (drawn.weight, drawn.bias, drawn.output)))
    observe = Observer(task, start, *task.sample(config.test_size, test_rng), config.noise_norms, noise_rng)
    flow = SampleFlow(task, x, y, start, resolution, config.loss, config.scale)
    stepper = Stepper(chosen_integrator(config.integrator, config.loss), config.weight_change, config.output_change)

    def network(state: State[CloudState]) -> Network:
        return Network.from_flat(state.parameters, config.width, task.dim)

    def record(target: float, state: State[CloudState]) -> Record:
        return Record(target, state.field.unfit_fraction, state.time, state.steps, observe(network(state)))

    def stepped(state: State[CloudState], field: Callable[[np.ndarray], CloudState]) -> State[CloudState]:
        return stepper.step(state, lambda parameters, origin: field(parameters))

    def step(state: State[CloudState]) -> State[CloudState]:
        return flow.step(state, stepped)

    course = integrate(State(start.flat, flow(start.flat)), step, record, config, progress)
    warn_if_cut(course.shortfall(config), f"prediction from P = {len(y)}, seed {seed}", stacklevel=4)
    return SamplePrediction(
        task, len(y), config, seed, neuron_seed, course.records, network(course.state), course.stop_reason,
        course.state.steps, stepper.bound.rejected, flow.evaluations, flow.looked_at,
        time.perf_counter() - began, course.shortfall(config), flow.clouds, flow.sorted,
    )  # fmt: skip
