"""A place in a flow, and what a field says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

__all__ = ["Evaluation", "Field", "LeftRange", "OverPoints", "State"]


class Evaluation(Protocol):
    """What a field says of a place.

    Attributes
    ----------
    margins : z = min(y F, 1 + reach) at all points, shape (P,): what the loss can tell of F
    velocity : d theta / dt, of theta's shape
    unfit_fraction : q, the part of the points with y F < 1
    """

    @property
    def margins(self) -> np.ndarray: ...

    @property
    def velocity(self) -> np.ndarray: ...

    @property
    def unfit_fraction(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class OverPoints:
    """An `Evaluation` over finitely many points; `pulls` where these were solved for, else a point pulls below 1."""

    margins: np.ndarray
    velocity: np.ndarray
    pulls: np.ndarray | None = None

    @property
    def unfit_fraction(self) -> float:
        """q; a point that slides along the margin counts for its pull."""
        return float(np.mean(self.margins < 1 if self.pulls is None else self.pulls))


E = TypeVar("E", bound=Evaluation)
#: The field at parameters (first) near the origin (second), where the trajectory stands.
Field = Callable[[np.ndarray, np.ndarray], E]


@dataclass(frozen=True, slots=True, eq=False)
class State(Generic[E]):
    """Where a trajectory stands: theta as one vector, the field there, the time in units of h, the steps so far."""

    parameters: np.ndarray
    field: E
    time: float = 0.0
    steps: int = 0


class LeftRange(ArithmeticError):
    """The parameters, or F, are not finite any more."""
