"""Gradient flow of the simple model at finite P: the problem, the trajectory, its records.

Data: x ~ N(0, 1_d), y = +-1 (`theory.model.tasks`). Net: f(x) = (1/h) sum_n beta_n relu(w_n . x / sqrt(d) + b_n), all
parameters N(0, 1) at the start; predictor F = alpha (f - f_0); loss (1/alpha) mean over the P points of
l(y F). The flow is integrated in time units of h. Sources: arXiv 2105.02468, section 5; arXiv 2007.11471.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.flow.lazy import kernel_flow
from theory.flow.skipping import Sleepers
from theory.flow.stepper import LeftRange, Request, Response, State, Stepper, chosen_integrator
from theory.flow.trajectory import Record, Trajectory, warn_if_cut
from theory.kernels import BatchKernel, get_batch_kernel
from theory.model.configuration import FlowConfig
from theory.model.losses import reach
from theory.model.network import Network
from theory.model.observables import Observer, outputs
from theory.model.tasks import Task

__all__ = ["FlowConfig", "Progress", "initial_network", "simulate", "simulate_many"]

#: Called with an estimate of the fraction of the trajectory done, in [0, 1].
Progress = Callable[[float], None]


def initial_network(task: Task, config: FlowConfig, seed: int, neuron_seed: int | None) -> Network:
    """The net at which a flow starts: drawn by neuron_seed, or by a child of seed where that is None."""
    source = np.random.SeedSequence(seed).spawn(4)[2] if neuron_seed is None else neuron_seed
    return Network.initial(config.width, task.dim, np.random.default_rng(source), config.dtype)


class _Flow:
    """One trajectory to be: its points, its net, and what it has cost so far."""

    def __init__(self, task: Task, train_size: int, config: FlowConfig, seed: int, neuron_seed: int | None) -> None:
        self.task, self.config = task, config
        self.train_size = train_size = require_integer("train_size", train_size, 1)
        self.seed = seed = require_integer("seed", seed, 0, MAXIMUM_SEED)
        self.neuron_seed = None if neuron_seed is None else require_integer("neuron_seed", neuron_seed, 0)
        data_rng, test_rng, _, noise_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
        points, labels = task.sample(train_size, data_rng)
        self.x, self.y = np.ascontiguousarray(points, config.dtype), labels.astype(config.dtype)
        self.start = initial_network(task, config, seed, self.neuron_seed)
        self.baseline = outputs(self.start, points).astype(config.dtype)
        test_x, test_y = task.sample(config.test_size, test_rng)
        self.observe = Observer(task, self.start, test_x, test_y, config.noise_norms, noise_rng)
        cap = 1 + reach(config.loss, config.dtype)
        self.sleepers = Sleepers(self.x, self.y, config.width, config.scale, cap, config.skip)
        self.evaluations = 0

    def network(self, parameters: np.ndarray) -> Network:
        return Network.from_flat(parameters, self.config.width, self.task.dim)

    def run(self, progress: Progress | None) -> Generator[Request, Response, Trajectory]:
        """The trajectory, asking for the field where it needs it."""
        began = time.perf_counter()
        config = self.config
        stepper = Stepper(chosen_integrator(config.integrator, config.loss), config.weight_change, config.output_change)
        start = self.start.flat
        state = State(start, (yield Request(start, start)), 0.0)
        records: list[Record] = []
        steps = 0
        done = _done(config)
        while True:
            unfit = float(np.mean(state.field.margins < 1))
            while len(records) < len(config.unfit_fractions) and unfit <= config.unfit_fractions[len(records)]:
                seen = self.observe(self.network(state.parameters))
                records.append(Record(config.unfit_fractions[len(records)], unfit, state.time, steps, seen))
            if len(records) == len(config.unfit_fractions):
                stop_reason = "reached"
                break
            if steps == config.max_steps:
                stop_reason = "max_steps"
                break
            if not state.field.velocity.any():
                stop_reason = "stationary"  # no active neuron sees any unfit point: nothing will ever move again
                break
            try:
                state = yield from stepper.step(state)
            except LeftRange:
                allowed = (
                    f"the flow left the range of {config.dtype} after {steps} steps; take a scale nearer to 1, "
                    "or float64"
                )
                raise InputError("scale", config.scale, allowed) from None
            steps += 1
            if progress is not None:
                progress(done(state.field.margins, unfit))
        warn_if_cut(config, self.train_size, self.seed, stop_reason, steps, unfit, len(records), stacklevel=5)
        return Trajectory(
            self.task, self.train_size, config, self.seed, self.neuron_seed, tuple(records),
            self.network(state.parameters), stop_reason, steps, stepper.rejected, self.evaluations,
            self.sleepers.looked_at, time.perf_counter() - began,
        )  # fmt: skip


def _done(config: FlowConfig) -> Callable[[np.ndarray, float], float]:
    """An estimate of the part done: half for the growth of F to the margin, half for the fall of q."""
    first = 0.0

    def estimate(margins: np.ndarray, unfit: float) -> float:
        nonlocal first
        largest = float(np.max(np.abs(margins)))
        first = first or min(largest, 0.5)
        growth = math.log(min(largest, 1.0) / first) / -math.log(first) if largest > 0 else 0.0
        return 0.5 * max(growth, 0.0) + 0.5 * (1 - unfit) / max(1 - config.unfit_fractions[-1], 1e-9)

    return estimate


def _drive(
    flows: list[_Flow], kernel: BatchKernel, progress: Progress | None, finish: Callable[[Trajectory], None] | None
) -> list[Trajectory]:
    """Serve trajectories of one size with the fields that they ask for, in step, until the last has ended.

    One that fails leaves the others alone; its error is raised at the end.
    """
    config = flows[0].config
    field = kernel([(flow.x, flow.y, flow.baseline) for flow in flows], config.scale, config.loss)
    parts = [0.0] * len(flows)

    def report(slot: int, part: float) -> None:
        parts[slot] = part
        if progress is not None:
            progress(sum(parts) / len(parts))

    runs = [flow.run(partial(report, slot)) for slot, flow in enumerate(flows)]
    requests = {slot: next(run) for slot, run in enumerate(runs)}
    ended: dict[int, Trajectory] = {}
    failed: list[InputError] = []
    while requests:
        slots = list(requests)
        awake = [flows[slot].sleepers.awake(request.parameters, request.origin) for slot, request in requests.items()]
        networks = [flows[slot].network(request.parameters) for slot, request in requests.items()]
        answers = field(networks, [points for points, _ in awake], slots)
        for slot, (points, left), (predictor, velocity) in zip(slots, awake, answers, strict=True):
            flow = flows[slot]
            flow.evaluations += 1
            margins = flow.sleepers.margins(requests[slot].parameters, points, left, predictor)
            try:
                requests[slot] = runs[slot].send(Response(margins, velocity.flat))
            except StopIteration as end:
                ended[slot] = end.value
                parts[slot] = 1.0
                del requests[slot]
                if finish is not None:
                    finish(end.value)
            except InputError as error:
                failed.append(error)
                del requests[slot]
    if failed:
        raise failed[0]
    return [ended[slot] for slot in range(len(flows))]


def simulate(
    task: Task,
    train_size: int,
    config: FlowConfig | None = None,
    *,
    seed: int,
    neuron_seed: int | None = None,
    backend: str = "auto",
    progress: Progress | None = None,
) -> Trajectory:
    """Integrate the flow on `train_size` points and record R_f, Lambda and the test error on the way.

    Explicit steps, as long as bounds allow: the parameters change by at most `weight_change`
    of their norm, F by at most `output_change` at any point (a step that does more is taken back). The
    velocity is not continuous where a relu's kink slides along the points, so an integrator that asks for
    smoothness would stall there; see the convergence test for what the bounds cost in R_f. The steps are those of
    `theory.flow.stepper.Stepper`; points that cannot matter are skipped (`theory.flow.skipping`).

    Parameters
    ----------
    task : the law of points and labels, `Stripe` say
    train_size : P >= 1
    config : `FlowConfig()` if None
    seed : draws the training points (nested in P), the test points and, if neuron_seed is None, the neurons
    neuron_seed : draws the initial neurons, so that several draws of data can share them
    backend : numpy, numba, cupy or auto, see `theory.kernels`

    Raises
    ------
    InputError
        On a P, seed or backend that is not allowed, and if the parameters stop being finite.
    """
    return simulate_many(
        task, train_size, config, seeds=(seed,), neuron_seed=neuron_seed, backend=backend, progress=progress
    )[0]


def simulate_many(
    task: Task,
    train_size: int,
    config: FlowConfig | None = None,
    *,
    seeds: Sequence[int],
    neuron_seed: int | None = None,
    backend: str = "auto",
    progress: Progress | None = None,
    finish: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """`simulate` for several seeds in step, so that a GPU serves all of them with each launch.

    The trajectories are those of `simulate`, number by number: each has its own steps and its own sums. `finish`
    is called with each as it ends; if one fails, its error is raised when the others have ended.
    """
    if not len(seeds):
        raise InputError("seeds", list(seeds), "must hold at least one")
    kernel = get_batch_kernel(backend)
    config = config or FlowConfig()
    # Matrix libraries sum in another order with every number of threads, which processes and clusters set differently.
    with threadpool_limits(1, "blas"):
        if config.lazy:
            return _lazy(task, train_size, config, seeds, neuron_seed, progress, finish)
        flows = [_Flow(task, train_size, config, seed, neuron_seed) for seed in seeds]
        return _drive(flows, kernel, progress, finish)


def _lazy(
    task: Task,
    train_size: int,
    config: FlowConfig,
    seeds: Sequence[int],
    neuron_seed: int | None,
    progress: Progress | None,
    finish: Callable[[Trajectory], None] | None,
) -> list[Trajectory]:
    """The lazy limit, one seed after the other."""
    if neuron_seed is not None:
        raise InputError("neuron_seed", neuron_seed, "must be None in the lazy limit, which has infinitely many")
    trajectories = []
    for count, seed in enumerate(seeds):

        def part(done: float, before: int = count) -> None:
            if progress is not None:
                progress((before + done) / len(seeds))

        trajectories.append(kernel_flow(task, train_size, config, seed=seed, progress=part))
        if finish is not None:
            finish(trajectories[-1])
    return trajectories
