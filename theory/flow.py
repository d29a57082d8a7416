"""Gradient flow of the simple model at finite P: integrator, step control, records.

Data: x ~ N(0, 1_d), y = +-1 (`theory.tasks`). Net: f(x) = (1/h) sum_n beta_n relu(w_n . x / sqrt(d) + b_n), all
parameters N(0, 1) at the start; predictor F = alpha (f - f_0); loss (1/alpha) mean over the P points of
l(y F). The flow is integrated in time units of h. Sources: arXiv 2105.02468, section 5; arXiv 2007.11471.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from theory.errors import MAXIMUM_SEED, InputError, require_choice, require_integer, require_real
from theory.kernels import get_kernel
from theory.losses import LOSSES
from theory.network import Network
from theory.observables import observe, outputs
from theory.tasks import Task
from theory.trajectory import Record, Trajectory

__all__ = ["FlowConfig", "Progress", "simulate"]

#: Called with an estimate of the fraction of the trajectory done, in [0, 1].
Progress = Callable[[float], None]

#: The step aims at this part of the bound on F, so that few steps are rejected.
_SAFETY = 0.8
#: alpha above which float32 cannot tell f from f_0: their difference is of order 1 / alpha.
_SINGLE_PRECISION_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """The net, the loss and the integrator of one trajectory.

    Attributes
    ----------
    width : h, number of neurons
    scale : alpha; alpha -> 0 is the feature regime, alpha -> infinity the lazy one
    loss : hinge, softhinge (softplus of sharpness 20) or squaredhinge, see `theory.losses`
    dtype : float32 or float64, the precision of parameters and kernels; observables are always float64
    weight_change : largest relative change of the parameters' norm in a step
    output_change : largest change of F at any training point in a step. Losses turn over a range 1 / 20 in
        F, so explicit steps of 0.1 overshoot there and can throw a trajectory off for good: R_f at P = 256
        ... 1024 then differs by factors. At 0.02, halving moves R_f by far less than one seed from the next
    unfit_fractions : falling fractions q of points with y F < 1 at which the state is recorded; the
        trajectory ends at the last of them
    max_steps : accepted steps after which the trajectory is given up, with a warning
    test_size : fresh points on which R_f and the test error are measured
    """

    width: int = 1000
    scale: float = 1e-6
    loss: str = "softhinge"
    dtype: str = "float32"
    weight_change: float = 0.03
    output_change: float = 0.02
    unfit_fractions: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3, 0.1)
    max_steps: int = 100_000
    test_size: int = 10_000

    def __post_init__(self) -> None:
        for name in ("width", "max_steps", "test_size"):
            object.__setattr__(self, name, require_integer(name, getattr(self, name), 1))
        object.__setattr__(self, "scale", require_real("scale", self.scale, above=0))
        require_choice("loss", self.loss, LOSSES)
        require_choice("dtype", self.dtype, ("float32", "float64"))
        if self.dtype == "float32" and self.scale > _SINGLE_PRECISION_SCALE:
            allowed = f"must be float64 for a scale above {_SINGLE_PRECISION_SCALE:g}: f - f_0 rounds off"
            raise InputError("dtype", self.dtype, allowed)
        for name in ("weight_change", "output_change"):
            object.__setattr__(self, name, require_real(name, getattr(self, name), above=0, maximum=1))
        fractions = tuple(require_real("unfit_fractions", q, minimum=0, maximum=1) for q in self.unfit_fractions)
        if not fractions or list(fractions) != sorted(set(fractions), reverse=True):
            raise InputError("unfit_fractions", fractions, "must fall, and be at least one")
        object.__setattr__(self, "unfit_fractions", fractions)


def _not_finite(config: FlowConfig, steps: int) -> InputError:
    allowed = f"the flow left the range of {config.dtype} after {steps} steps; take a scale nearer to 1, or float64"
    return InputError("scale", config.scale, allowed)


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

    Explicit Euler steps, each as long as two bounds allow: the parameters change by at most `weight_change`
    of their norm, F by at most `output_change` at any point (a step that does more is taken back). The
    velocity is not continuous where a relu's kink slides along the points, so an integrator that asks for
    smoothness would stall there; see the convergence test for what the bounds cost in R_f.

    Parameters
    ----------
    task : the law of points and labels, `Stripe` say
    train_size : P >= 1
    config : `FlowConfig()` if None
    seed : draws the training points (nested in P), the test points and, if neuron_seed is None, the neurons
    neuron_seed : draws the initial neurons, so that several draws of data can share them
    backend : numpy, numba or auto, see `theory.kernels`

    Raises
    ------
    InputError
        On a P, seed or backend that is not allowed, and if the parameters stop being finite.
    """
    config = FlowConfig() if config is None else config
    require_integer("train_size", train_size, 1)
    require_integer("seed", seed, 0, MAXIMUM_SEED)
    kernel = get_kernel(backend)
    began = time.perf_counter()
    data_rng, test_rng, neuron_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    if neuron_seed is not None:
        neuron_rng = np.random.default_rng(require_integer("neuron_seed", neuron_seed, 0))
    points, labels = task.sample(train_size, data_rng)
    x, y = np.ascontiguousarray(points, config.dtype), labels.astype(config.dtype)
    test_x, test_y = task.sample(config.test_size, test_rng)
    network = start = Network.initial(config.width, task.dim, neuron_rng, config.dtype)
    baseline = outputs(start, points).astype(config.dtype)

    records: list[Record] = []
    elapsed, steps, rejected = 0.0, 0, 0
    step_for_output = math.inf  # the longest step that the last change of F allows
    predictor, velocity = kernel(x, y, network, baseline, config.scale, config.loss)
    first_output = 0.0
    stop_reason = "max_steps"
    while True:
        unfit = float(np.mean(y * predictor < 1))
        while len(records) < len(config.unfit_fractions) and unfit <= config.unfit_fractions[len(records)]:
            target = config.unfit_fractions[len(records)]
            seen = observe(task, network, start, test_x, test_y)
            records.append(Record(target, unfit, elapsed, steps, seen))
        if len(records) == len(config.unfit_fractions):
            stop_reason = "reached"
            break
        if steps == config.max_steps:
            break
        speed = velocity.norm
        if not math.isfinite(speed):
            raise _not_finite(config, steps)
        if speed == 0:
            stop_reason = "stationary"  # no active neuron sees any unfit point: nothing will ever move again
            break
        step = min(config.weight_change * network.norm / speed, step_for_output)
        while True:
            candidate = network.moved(velocity, step)
            moved_predictor, moved_velocity = kernel(x, y, candidate, baseline, config.scale, config.loss)
            change = float(np.max(np.abs(moved_predictor - predictor)))
            if not math.isfinite(change):
                raise _not_finite(config, steps)
            step_for_output = math.inf if change == 0 else _SAFETY * config.output_change * step / change
            if change <= config.output_change:
                break
            rejected += 1
            step = min(step_for_output, step / 2)
        network, predictor, velocity = candidate, moved_predictor, moved_velocity
        elapsed += step
        steps += 1
        if progress is not None:
            largest = float(np.max(np.abs(predictor)))
            first_output = first_output or min(largest, 0.5)
            growth = math.log(min(largest, 1.0) / first_output) / -math.log(first_output) if largest > 0 else 0.0
            progress(0.5 * max(growth, 0.0) + 0.5 * (1 - unfit) / max(1 - config.unfit_fractions[-1], 1e-9))
    if stop_reason != "reached":
        warnings.warn(
            f"P = {train_size}, seed {seed}: {stop_reason} after {steps} steps at unfit fraction {unfit:.3g}; "
            f"{len(config.unfit_fractions) - len(records)} of {len(config.unfit_fractions)} records are missing",
            RuntimeWarning,
            stacklevel=2,
        )
    return Trajectory(
        task, train_size, config, seed, neuron_seed, tuple(records), network, stop_reason, steps, rejected,
        time.perf_counter() - began,
    )  # fmt: skip
