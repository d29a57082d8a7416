"""Explicit steps of the flow theta' = v(theta), their control, and the stiff part treated exactly."""

from __future__ import annotations

import math

import numpy as np

from theory.flow.state import E, Field, LeftRange, State
from theory.flow.stiffness import StiffModes, norm

__all__ = ["OutputBound", "Stepper", "chosen_integrator"]

_SAFETY = 0.8  # part of the bound on F that a step aims at, so that few steps are rejected
_GROWTH = 2.0  # a step is at most so much longer than what the last one suggests


def chosen_integrator(name: str, loss: str) -> str:
    """`name`, or what ``auto`` stands for with this loss."""
    if name != "auto":
        return name
    return "sliding" if loss == "hinge" else "exponential"


class OutputBound:
    """The bound on the change of z in a step: which steps it allows, and how long the next one may be.

    Attributes
    ----------
    suggested : the longest step that the last change of z suggests
    rejected : steps that were taken back
    """

    def __init__(self, largest: float) -> None:
        self._largest = largest
        self.suggested = math.inf
        self.rejected = 0

    def allows(self, step: float, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether a step of this length, from margins to margins, may stay.

        Raises
        ------
        LeftRange
            If a margin is not finite.
        """
        change = float(np.max(np.abs(after - before)))
        if not math.isfinite(change):
            raise LeftRange
        self.suggested = math.inf if change == 0 else step * min(_SAFETY * self._largest / change, _GROWTH)
        if change <= self._largest:
            return True
        self.rejected += 1
        return False

    def shorter(self, step: float) -> float:
        """What to try after a step of this length was taken back."""
        return min(self.suggested, step / 2)


class Stepper:
    """Steps as long as three bounds allow.

    - |theta' - theta| <= weight_change |theta|;
    - max_p |z_p' - z_p| <= output_change for z = min(y F, 1 + reach): a step that does more is taken back;
    - exponential only: step <= 1 / lambda for the stiffest direction that is not treated exactly, where that lambda
      is taken to be at least a tenth of the largest.

    Euler: theta' = theta + step v, first order, and stable up to step = 2 / lambda for the stiffest direction of
    all, where the points at the margin move together. The exponential step replaces the factor `step` in the
    directions w_i of a few orthonormal `StiffModes` by step phi(lambda_i step), phi(a) = (1 - e^-a) / a, which is
    exact there for a linear field, and first order with any modes: phi = 1 + O(step). See M. Hochbruck and
    A. Ostermann, Acta Numerica 19 (2010) 209, on exponential Rosenbrock methods.
    """

    def __init__(self, integrator: str, weight_change: float, output_change: float) -> None:
        self.weight_change = weight_change
        self.bound = OutputBound(output_change)
        self.modes = StiffModes(output_change / 2) if integrator == "exponential" else None

    @property
    def rejected(self) -> int:
        """Steps that were taken back."""
        return self.bound.rejected

    def step(self, state: State[E], field: Field[E]) -> State[E]:
        """The next state. At a velocity of 0 there is none; ask before."""
        origin, velocity, margins = state.parameters, state.field.velocity, state.field.margins
        speed = norm(velocity)
        if not math.isfinite(speed):
            raise LeftRange
        step = min(self.weight_change * norm(origin) / speed, self.bound.suggested)
        if self.modes is not None:
            # A loss curves only where a point is near its margin; before that there is nothing to learn.
            curved = float(margins.min()) < 1 <= float(margins.max())
            if curved and self.modes.wanted(step):
                self.modes.learn(state, field)
            step = min(step, self.modes.longest_step)
        while True:
            candidate = origin + self._displacement(velocity, step)
            there = field(candidate, origin)
            if self.bound.allows(step, margins, there.margins):
                break
            step = self.bound.shorter(step)
            if self.modes is not None and self.modes.worn:
                self.modes.learn(state, field)
                step = min(step, self.modes.longest_step)
        if self.modes is not None:
            self.modes.passed(candidate - origin, there.velocity - velocity)
        return State(candidate, there, state.time + step, state.steps + 1)

    def _displacement(self, velocity: np.ndarray, step: float) -> np.ndarray:
        dtype = velocity.dtype.type
        moved = dtype(step) * velocity
        correction = None if self.modes is None else self.modes.correction(velocity, step)
        return moved if correction is None else moved + correction
