"""The theory's gradient flow as a run of a sweep: its configuration, and the run itself. No torch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import ClassVar

from empirical.training.run import Run, RunOptions
from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.common.table import curve_table
from theory.kernels import Backend, get_kernel
from theory.model.configuration import FlowConfig
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["TheoryConfig", "check", "run"]

@dataclass(frozen=True, slots=True)
class TheoryConfig(FlowConfig):
    """One trajectory of the simple model's gradient flow (`theory.simulate`), measured at unfit fractions.

    The settings of `theory.FlowConfig`, and what else decides the numbers.
    """

    kind: ClassVar[str] = "theory"

    dim: int = 30
    """d, dimension of the points."""
    informative_dim: int = 1
    """d_par, directions that the label depends on: 1 is the stripe, 2 and more the cylinder."""
    train_size: int = 1024
    """P, number of training points."""
    seed: int = 0
    """Draws the points and, without a neuron_seed, the neurons."""
    neuron_seed: int | None = None
    """Draws the initial neurons; by default every seed draws its own."""
    backend: Backend = "auto"
    """Kernel; cupy needs a CUDA device, auto is numba."""

    def __post_init__(self) -> None:
        for name, minimum in (("dim", 1), ("informative_dim", 1), ("train_size", 1), ("seed", 0)):
            object.__setattr__(self, name, require_integer(name, getattr(self, name), minimum, MAXIMUM_SEED))
        if self.neuron_seed is not None:
            neuron_seed = require_integer("neuron_seed", self.neuron_seed, 0, MAXIMUM_SEED)
            object.__setattr__(self, "neuron_seed", neuron_seed)
        FlowConfig.__post_init__(self)
        _ = self.task  # refuses its dimensions
        if self.lazy and self.neuron_seed is not None:
            raise InputError("neuron_seed", self.neuron_seed, "must be None in the lazy limit, of infinitely many")

    @property
    def flow(self) -> FlowConfig:
        """The flow's settings, checked."""
        return FlowConfig(**{item.name: getattr(self, item.name) for item in fields(FlowConfig)})

    @property
    def task(self) -> Task:
        """The points' law, checked."""
        return Stripe(self.dim) if self.informative_dim == 1 else Cylinder(self.dim, self.informative_dim)


def check(config: TheoryConfig, options: RunOptions) -> None:
    """InputError if this machine has no such kernel."""
    get_kernel(config.backend)


def run(config: TheoryConfig, options: RunOptions) -> Run:
    """The trajectory's rows of the curve table.

    Raises
    ------
    InputError
        With ``unfit_fractions`` if it ended before the first of them; one that misses some of them warns.
    """
    from theory.flow.simulation import simulate  # numba, which help of `relstab sweep` does without

    began = time.perf_counter()
    trajectory = simulate(
        config.task, config.train_size, config.flow, seed=config.seed, neuron_seed=config.neuron_seed,
        backend=config.backend,
    )  # fmt: skip
    rows = trajectory.rows()
    if not rows:
        raise InputError("unfit_fractions", config.unfit_fractions, "the trajectory reached none of them")
    seconds = time.perf_counter() - began
    rows[-1]["seconds"] = seconds
    return Run(config, curve_table(rows), None, math.nan, seconds)
