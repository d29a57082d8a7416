"""Classification tasks on Gaussian points whose label depends on a few directions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from theory.errors import InputError, require_integer, require_real

__all__ = ["Stripe", "Task"]


class Task(Protocol):
    """What the flow and its observables need of a task: x ~ N(0, 1_d), y = label(x) in {-1, +1}."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def informative_dim(self) -> int: ...

    def label(self, x: np.ndarray) -> np.ndarray: ...

    def sample(self, train_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Stripe:
    """x ~ N(0, 1_d), y = +1 iff interfaces[0] < x_1 < interfaces[1], else -1.

    Only x_1 is informative; the other d - 1 directions are irrelevant. With the default interfaces the two
    labels are equally probable. Source: arXiv 2105.02468, section 5; arXiv 2007.11471 ("stripe model").

    Raises
    ------
    InputError
        If dim < 2 (there would be no irrelevant direction) or the interfaces do not ascend.
    """

    dim: int = 30
    interfaces: tuple[float, float] = (-0.3, 1.18549)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", require_integer("dim", self.dim, 2))
        if not isinstance(self.interfaces, (tuple, list)) or len(self.interfaces) != 2:
            raise InputError("interfaces", self.interfaces, "must be two numbers")
        low, high = (require_real("interfaces", z) for z in self.interfaces)
        if not low < high:
            raise InputError("interfaces", self.interfaces, "must ascend")
        object.__setattr__(self, "interfaces", (low, high))

    @property
    def name(self) -> str:
        """The task's name in curve tables."""
        return f"stripe-d{self.dim}"

    @property
    def informative_dim(self) -> int:
        """d_par = 1: the first coordinate."""
        return 1

    def label(self, x: np.ndarray) -> np.ndarray:
        """Labels in {-1., +1.}, shape (P,), of points of shape (P, d)."""
        low, high = self.interfaces
        return np.where((x[:, 0] > low) & (x[:, 0] < high), 1.0, -1.0)

    def sample(self, train_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`train_size` points, shape (P, d), and their labels, shape (P,); float64.

        Draws of one generator state are nested: a smaller set is the beginning of a larger one.
        """
        require_integer("train_size", train_size, 1)
        x = rng.standard_normal((train_size, self.dim))
        return x, self.label(x)

    def marginal_density(self, x: np.ndarray) -> np.ndarray:
        """Density of the informative coordinate x_1, the standard normal one."""
        return np.exp(-(np.asarray(x) ** 2) / 2) / math.sqrt(2 * math.pi)
