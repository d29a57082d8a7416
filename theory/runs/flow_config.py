"""One trajectory of the flow as a run: all that decides its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.kernels import Backend
from theory.model.configuration import FlowConfig
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["TheoryConfig", "flow_run"]


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
            object.__setattr__(self, "neuron_seed", require_integer("neuron_seed", self.neuron_seed, 0))
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


@dataclass(frozen=True, slots=True)
class _OwnTaskConfig(TheoryConfig):
    """The same on a task that its dimensions do not tell: other interfaces, another radius, or a user's own."""

    law: tuple[str, ...] = ()
    given: Task | None = field(default=None, repr=False, compare=False, metadata={"named": False})

    @property
    def task(self) -> Task:
        """As it was given."""
        assert self.given is not None
        return self.given


def flow_run(
    task: Task, train_size: int, config: FlowConfig, *, seed: int, neuron_seed: int | None, backend: str
) -> TheoryConfig:
    """The run that `theory.simulate` does with these arguments; a sweep's, where it is of a task that sweeps know."""
    settings = {item.name: getattr(config, item.name) for item in fields(FlowConfig)}
    settings |= {"train_size": train_size, "seed": seed, "neuron_seed": neuron_seed, "backend": backend}
    settings |= {"dim": task.dim, "informative_dim": task.informative_dim}
    if isinstance(task, Stripe | Cylinder):
        plain = TheoryConfig(**settings)
        if plain.task == task:
            return plain
    return _OwnTaskConfig(**settings, law=(type(task).__name__, repr(task)), given=task)
