"""Explicit steps of the flow theta' = v(theta), their control, and the stiff part treated exactly.

An integrator is a coroutine. It yields a `Request`, the parameters at which it wants the field, and is sent a
`Response`; whoever drives it chooses the kernel, skips points, or serves many trajectories in one launch.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from theory.flow.stiffness import StiffModes, norm

__all__ = ["INTEGRATORS", "LeftRange", "Request", "Response", "State", "Stepper", "chosen_integrator"]

#: ``auto`` is exponential where the pull A(z) is continuous, euler for the hinge, whose curvature is a delta.
INTEGRATORS = ("auto", "euler", "exponential")

_SAFETY = 0.8  # part of the bound on F that a step aims at, so that few steps are rejected
_GROWTH = 2.0  # a step is at most so much longer than what the last one suggests


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """The field is wanted at `parameters`, near `origin`, the state where the trajectory stands."""

    parameters: np.ndarray
    origin: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """margins: min(y F, 1 + reach) at all points, shape (P,), what the loss can tell of F; velocity: of theta."""

    margins: np.ndarray
    velocity: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where a trajectory stands: theta as one vector, the field there, the time in units of h."""

    parameters: np.ndarray
    field: Response
    time: float


class LeftRange(ArithmeticError):
    """The parameters, or F, are not finite any more."""


def chosen_integrator(name: str, loss: str) -> str:
    """`name`, or what ``auto`` stands for with this loss."""
    if name != "auto":
        return name
    return "euler" if loss == "hinge" else "exponential"


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
        self.output_change = output_change
        self.modes = StiffModes(output_change / 2) if integrator == "exponential" else None
        self.rejected = 0
        self._step_for_output = math.inf  # the longest step that the last change of F suggests

    def step(self, state: State) -> Generator[Request, Response, State]:
        """The next state. At a velocity of 0 there is none; ask before."""
        origin, velocity, margins = state.parameters, state.field.velocity, state.field.margins
        speed = norm(velocity)
        if not math.isfinite(speed):
            raise LeftRange
        step = min(self.weight_change * norm(origin) / speed, self._step_for_output)
        if self.modes is not None:
            # A loss curves only where a point is near its margin; before that there is nothing to learn.
            curved = float(margins.min()) < 1 <= float(margins.max())
            if curved and self.modes.wanted(step):
                yield from self._learn(state)
            step = min(step, self.modes.longest_step)
        while True:
            candidate = origin + self._displacement(velocity, step)
            field = yield Request(candidate, origin)
            change = float(np.max(np.abs(field.margins - margins)))
            if not math.isfinite(change):
                raise LeftRange
            growth = math.inf if change == 0 else min(_SAFETY * self.output_change / change, _GROWTH)
            self._step_for_output = step * growth
            if change <= self.output_change:
                break
            self.rejected += 1
            step = min(self._step_for_output, step / 2)
            if self.modes is not None and self.modes.worn:
                yield from self._learn(state)
                step = min(step, self.modes.longest_step)
        if self.modes is not None:
            self.modes.passed(candidate - origin, field.velocity - velocity)
        return State(candidate, field, state.time + step)

    def _displacement(self, velocity: np.ndarray, step: float) -> np.ndarray:
        dtype = velocity.dtype.type
        moved = dtype(step) * velocity
        correction = None if self.modes is None else self.modes.correction(velocity, step)
        return moved if correction is None else moved + correction

    def _learn(self, state: State) -> Generator[Request, Response, None]:
        """Lets the modes have the field at the places that they ask for."""
        assert self.modes is not None
        learning = self.modes.learn(state.parameters, state.field.velocity, state.field.margins)
        try:
            parameters = next(learning)
            while True:
                field = yield Request(parameters, state.parameters)
                parameters = learning.send((field.margins, field.velocity))
        except StopIteration:
            return
