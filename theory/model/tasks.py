"""Classification tasks on Gaussian points whose label depends on a few directions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaincinv, gammaln

from theory.common.errors import InputError, require_integer, require_real

__all__ = ["Cylinder", "Stripe", "Task"]

#: Interfaces of the stripe of arXiv 2105.02468, between which half of a Gaussian lies.
_LOW, _HIGH = -0.3, 1.18549


class Task(Protocol):
    r"""What the flow and its observables need of a task: points x and labels y.

    .. math:: x \sim N(0, 1_d), \qquad y = \mathrm{label}(x) \in \{-1, +1\}
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def informative_dim(self) -> int: ...

    def label(self, x: np.ndarray) -> np.ndarray: ...

    def sample(self, train_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]: ...


def _gaussian(train_size: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((require_integer("train_size", train_size, 1), dim))


@dataclass(frozen=True, slots=True)
class Stripe:
    r"""Gaussian points whose label is +1 between two parallel interfaces, else -1.

    .. math:: x \sim N(0, 1_d), \qquad y = +1 \;\text{ iff }\; \text{interfaces}_0 < x_1 < \text{interfaces}_1

    Only x_1 is informative; the other d - 1 directions are irrelevant. With the default interfaces the two
    labels are equally probable. Source: arXiv 2105.02468, section 5; arXiv 2007.11471 ("stripe model").

    Raises
    ------
    InputError
        If dim < 2 (there would be no irrelevant direction) or the interfaces do not ascend.
    """

    dim: int = 30
    interfaces: tuple[float, float] = (_LOW, _HIGH)

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
        """The task's name in curve tables; interfaces that are not the usual ones are told."""
        low, high = self.interfaces
        usual = self.interfaces == (_LOW, _HIGH)
        return f"stripe-d{self.dim}" if usual else f"stripe-d{self.dim}({low:g},{high:g})"

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
        x = _gaussian(train_size, self.dim, rng)
        return x, self.label(x)

    def marginal_density(self, x: np.ndarray) -> np.ndarray:
        """Density of the informative coordinate x_1, the standard normal one."""
        return np.exp(-(np.asarray(x) ** 2) / 2) / math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Cylinder:
    r"""Gaussian points whose label is +1 inside a cylinder, else -1.

    .. math::

        x \sim N(0, 1_d), \qquad y = +1 \;\text{ iff }\; r < \text{radius}, \qquad
        r = \lVert (x_1, \dots, x_{d_\parallel}) \rVert

    The first d_par >= 2 directions are informative, and alike; the other d - d_par are irrelevant. The default
    radius is the median of r, so that the two labels are equally probable. Source: arXiv 2007.11471 ("cylinder
    model").

    Raises
    ------
    InputError
        If informative_dim < 2 (take `Stripe`) or >= dim (there would be no irrelevant direction), or the radius
        is not positive.
    """

    dim: int = 30
    informative_dim: int = 2
    radius: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", require_integer("dim", self.dim, 3))
        count = require_integer("informative_dim", self.informative_dim, 2, self.dim - 1)
        object.__setattr__(self, "informative_dim", count)
        # r^2 / 2 follows the gamma distribution of shape d_par / 2.
        radius = math.sqrt(2 * gammaincinv(count / 2, 0.5)) if self.radius is None else self.radius
        object.__setattr__(self, "radius", require_real("radius", radius, above=0))

    @property
    def name(self) -> str:
        """The task's name in curve tables."""
        return f"cylinder-d{self.dim}-{self.informative_dim}"

    def label(self, x: np.ndarray) -> np.ndarray:
        """Labels in {-1., +1.}, shape (P,), of points of shape (P, d)."""
        return np.where(np.linalg.norm(x[:, : self.informative_dim], axis=1) < self.radius, 1.0, -1.0)

    def sample(self, train_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`train_size` points, shape (P, d), and their labels, shape (P,); float64.

        Draws of one generator state are nested: a smaller set is the beginning of a larger one.
        """
        x = _gaussian(train_size, self.dim, rng)
        return x, self.label(x)

    def marginal_density(self, r: np.ndarray) -> np.ndarray:
        """Density of r, the chi distribution of d_par degrees of freedom; 0 for r < 0."""
        k, r = self.informative_dim, np.asarray(r, dtype=float)
        log_norm = (k / 2 - 1) * math.log(2) + gammaln(k / 2)
        return np.where(r < 0, 0.0, np.abs(r) ** (k - 1) * np.exp(-(r**2) / 2 - log_norm))
