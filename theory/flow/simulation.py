"""Gradient flow of the simple model at finite P: the problem, the trajectory, its records.

Data: x ~ N(0, 1_d), y = +-1 (`theory.model.tasks`). Net: f(x) = (1/h) sum_n beta_n relu(w_n . x / sqrt(d) + b_n), all
parameters N(0, 1) at the start; predictor F = alpha (f - f_0); loss (1/alpha) mean over the P points of
l(y F). The flow is integrated in time units of h. Sources: arXiv 2105.02468, section 5; arXiv 2007.11471.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.flow.integrate import Progress, integrate, warn_if_cut
from theory.flow.lazy import kernel_flow
from theory.flow.skipping import Sleepers
from theory.flow.sliding import SlidingStepper, sliding_window
from theory.flow.state import OverPoints, State
from theory.flow.stepper import Stepper, chosen_integrator
from theory.flow.tangent import Tangent
from theory.flow.trajectory import Record, Trajectory
from theory.kernels import Field, get_batch_kernel, get_kernel
from theory.kernels.lockstep import in_step
from theory.model.configuration import FlowConfig
from theory.model.losses import reach
from theory.model.network import Network
from theory.model.observables import Observer, outputs
from theory.model.tasks import Task

__all__ = ["FlowConfig", "Progress", "initial_network", "simulate", "simulate_many", "trajectories"]


def initial_network(task: Task, config: FlowConfig, seed: int, neuron_seed: int | None) -> Network:
    """The net at which a flow starts: drawn by neuron_seed, or by a child of seed where that is None."""
    source = np.random.SeedSequence(seed).spawn(4)[2] if neuron_seed is None else neuron_seed
    return Network.initial(config.width, task.dim, np.random.default_rng(source), config.dtype)


class Flow:
    """One trajectory to be: its points, its net, and what sleeps."""

    def __init__(
        self, task: Task, train_size: int, config: FlowConfig, seed: int, progress: Progress | None = None,
        neuron_seed: int | None = None,
    ) -> None:  # fmt: skip
        self.task, self.config, self.progress = task, config, progress
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
        self.integrator = chosen_integrator(config.integrator, config.loss)
        sliding = self.integrator == "sliding"
        cap = 1 + (sliding_window(config.output_change) if sliding else reach(config.loss, config.dtype))
        self.evaluations = 0
        self.stepper: Stepper | SlidingStepper
        self.sleepers = Sleepers(self.x, self.y, config.width, config.scale, cap, config.skip)

    def network(self, parameters: np.ndarray) -> Network:
        return Network.from_flat(parameters, self.config.width, self.task.dim)

    def steps(self, field: Field) -> tuple[State[OverPoints], Callable[[State[OverPoints]], State[OverPoints]]]:
        """Where it starts, and what makes the next state of one, with a kernel bound to its points."""

        def evaluate(parameters: np.ndarray, origin: np.ndarray) -> OverPoints:
            self.evaluations += 1
            points, left = self.sleepers.awake(parameters, origin)
            predictor, velocity = field(self.network(parameters), points)
            return OverPoints(self.sleepers.margins(parameters, points, left, predictor), velocity.flat)

        def tangent(parameters: np.ndarray, chosen: np.ndarray) -> Tangent:
            return Tangent(self.network(parameters), self.x[chosen], self.y[chosen], self.train_size, self.config.scale)

        bounds = (self.config.weight_change, self.config.output_change)
        sliding = self.integrator == "sliding"
        self.stepper = SlidingStepper(tangent, *bounds) if sliding else Stepper(self.integrator, *bounds)
        start = self.start.flat
        return State(start, evaluate(start, start)), lambda at: self.stepper.step(at, evaluate)

    def run(self, field: Field) -> Trajectory:
        """Integrate it."""
        began = time.perf_counter()
        config = self.config

        def record(target: float, at: State[OverPoints]) -> Record:
            seen = self.observe(self.network(at.parameters))
            return Record(target, at.field.unfit_fraction, at.time, at.steps, seen)

        start, step = self.steps(field)
        course = integrate(start, step, record, config, self.progress)
        return Trajectory(
            self.task, self.train_size, config, self.seed, self.neuron_seed, course.records,
            self.network(course.state.parameters), course.stop_reason, course.state.steps, self.stepper.rejected,
            self.evaluations, self.sleepers.looked_at, time.perf_counter() - began, course.shortfall(config),
        )  # fmt: skip


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
    r"""Integrate the flow on `train_size` points and record R_f, Lambda and the test error on the way.

    .. math::

        f(x) = \frac{1}{h} \sum_{n=1}^{h} \beta_n \, \mathrm{relu}\left(\frac{w_n \cdot x}{\sqrt{d}} + b_n\right),
        \qquad F = \alpha (f - f_0), \qquad
        \frac{d\theta}{dt} = - \nabla_\theta \frac{1}{\alpha P} \sum_{\mu=1}^{P} l(y_\mu F(x_\mu)),

    all parameters N(0, 1) at the start, and of the d coordinates d_par informative,

    .. math::

        R_f = \frac{d}{d - d_\parallel} \,
            \frac{\langle \lVert \nabla_\perp F \rVert^2 \rangle}{\langle \lVert \nabla F \rVert^2 \rangle},
        \qquad \Lambda = \sqrt{\frac{\langle w_\parallel^2 \rangle}{\langle w_\perp^2 \rangle}}

    with averages over test points, over neurons and over directions. Times are in units of h.
    Sources: arXiv 2105.02468, section 5; arXiv 2007.11471.

    Steps as long as bounds allow: the parameters change by at most `weight_change` of their norm, F by at most
    `output_change` at any point (a step that does more is taken back). The velocity is not continuous where a relu's
    kink slides along the points, so an integrator that asks for smoothness would stall there; see the convergence test
    for what the bounds cost in R_f. The steps are those of `theory.flow.stepper.Stepper`, for the hinge those of
    `theory.flow.sliding.SlidingStepper`; points that cannot matter are skipped (`theory.flow.skipping`).

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

    Warns
    -----
    RuntimeWarning
        If it ends before the last record; `Trajectory.shortfall` says why.
    """
    (found,) = trajectories(
        task, train_size, config, seeds=(seed,), neuron_seed=neuron_seed, backend=backend, progress=progress
    )
    warn_if_cut(found.shortfall, f"P = {train_size}, seed {seed}", stacklevel=2)
    return found


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
    found = trajectories(
        task, train_size, config, seeds=seeds, neuron_seed=neuron_seed, backend=backend, progress=progress,
        finish=finish,
    )  # fmt: skip
    for one in found:
        warn_if_cut(one.shortfall, f"P = {one.train_size}, seed {one.seed}", stacklevel=2)
    return found


def trajectories(
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
    """`simulate_many` for a caller who tells by itself what a trajectory lacks: nothing is warned of."""
    if not len(seeds):
        raise InputError("seeds", list(seeds), "must hold at least one")
    kernel, batch = get_kernel(backend), get_batch_kernel(backend)
    config = config or FlowConfig()
    if config.lazy and neuron_seed is not None:
        raise InputError("neuron_seed", neuron_seed, "must be None in the lazy limit, which has infinitely many")
    parts = [0.0] * len(seeds)

    def report(slot: int, part: float) -> None:
        parts[slot] = part
        if progress is not None:
            progress(sum(parts) / len(parts))

    ended: dict[int, Trajectory] = {}
    failed: list[InputError] = []

    def settle(slot: int, outcome: Trajectory | BaseException) -> None:
        if isinstance(outcome, InputError):
            failed.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            ended[slot], parts[slot] = outcome, 1.0
            if finish is not None:
                finish(outcome)

    told = [partial(report, slot) for slot in range(len(seeds))]
    # Matrix libraries sum in another order with every number of threads, which processes and clusters set differently.
    with threadpool_limits(1, "blas"):
        runs: list[Callable[[], Trajectory]] = []
        if config.lazy:
            runs = [partial(kernel_flow, task, train_size, config, *each) for each in zip(seeds, told, strict=True)]
        else:
            flows = [Flow(task, train_size, config, *each, neuron_seed) for each in zip(seeds, told, strict=True)]
            problems = [(flow.x, flow.y, flow.baseline) for flow in flows]
            if batch is None:
                fields = [kernel(*problem, config.scale, config.loss) for problem in problems]
                runs = [partial(flow.run, field) for flow, field in zip(flows, fields, strict=True)]
            else:
                in_step(batch(problems, config.scale, config.loss), [flow.run for flow in flows], settle)
        for slot, run in enumerate(runs):
            try:
                outcome: Trajectory | InputError = run()
            except InputError as error:
                outcome = error
            settle(slot, outcome)
    if failed:
        raise failed[0]
    return [ended[slot] for slot in range(len(seeds))]
