"""Steps of the hinge's flow: points that have come to the margin slide along it, and their pulls are solved for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from theory.flow.box import solve_box
from theory.flow.state import Field, LeftRange, OverPoints, State
from theory.flow.stiffness import norm
from theory.flow.tangent import Tangent

__all__ = ["SlidingStepper", "sliding_window"]

_TOLERANCE = 0.5  # of the bound on F: how far margins may end from where the linear net puts them
_WINDOW = 2.5  # bounds on F from the margin: points within have their pulls solved for
_CORNER = 0.1  # tolerances over which the corner of the hinge is rounded, so that the problem has one solution
_FIT = 0.01  # a pull below which a point counts as fit: at the rounded corner a pull that nobody opposes fades away
_SAFETY = 0.8  # part of the tolerance that a step aims at
_GROWTH = 2.0  # a step is at most so much longer than the last
_SHORTER = 1.5  # after a step was taken back


def sliding_window(output_change: float) -> float:
    """How far beyond the margin, in y F - 1, the steps must be told where a point is."""
    return 2 * _WINDOW * output_change


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The chosen points, their tangent, and the velocity that all other points give."""

    chosen: np.ndarray
    tangent: Tangent
    others: np.ndarray


class SlidingStepper:
    r"""Steps in which the pulls of the points near the margin are implicit.

    The hinge pulls with A = 1 at z = y F < 1 and with 0 beyond. Points that reach the margin mostly stay there: from
    below they are pulled on, and from beyond others pull them back. There the flow is that of Filippov, in which A_p
    takes the value in [0, 1] that keeps z_p = 1. Explicit steps go to and fro across the margin instead, and have to be
    short. Here a step of length dt solves

    .. math:: z' = z + dt \, (c + K A), \qquad
              A_p = 1 \text{ if } z'_p < 1, \quad 0 \text{ if } z'_p > 1, \quad \text{in } [0, 1] \text{ if } z'_p = 1

    for the points within a window of the margin and those that slide, with the net linear over the step (`Tangent`): c
    is the rate at which all other points move them. It is the minimum of
    :math:`\frac{dt}{2} A \cdot K A - (1 - z - dt \, c) \cdot A` over the box (`solve_box`).
    The corner is rounded: a point that slides stands at 1 - 0.1 A tolerances. A step is taken back if

    - z' is more than a tolerance, half of `output_change`, from where it was put, at any of these points;
    - another point crosses the margin by more than a tolerance: it is then solved for, too;

    and parameters change by at most `weight_change` of their norm. The unfit fraction is the mean of A: the part of the
    time that a point is pulled, if it slides.

    Parameters
    ----------
    tangent : of the net with these parameters, at the points of these indices
    """

    def __init__(
        self, tangent: Callable[[np.ndarray, np.ndarray], Tangent], weight_change: float, output_change: float
    ) -> None:
        self._tangent = tangent
        self._weight_change = weight_change
        self._tolerance = _TOLERANCE * output_change
        self._window = _WINDOW * output_change
        self._cap = 1 + sliding_window(output_change)
        self._longest = math.inf  # that the last step's error suggests
        self.rejected = 0

    def step(self, state: State[OverPoints], field: Field[OverPoints]) -> State[OverPoints]:
        """The next state. At a velocity of 0 there is none; ask before."""
        origin, velocity, margins = state.parameters, state.field.velocity, state.field.margins
        pulls = (margins < 1).astype(np.float64) if state.field.pulls is None else state.field.pulls
        if not math.isfinite(norm(velocity)):
            raise LeftRange
        chosen = (np.abs(margins - 1) < self._window) | ((pulls > 0) & (pulls < 1))
        problem = self._problem(state, np.flatnonzero(chosen))
        step = self._longest if math.isfinite(self._longest) else self._weight_change * norm(origin) / norm(velocity)
        while True:
            moving, solved, expected = self._solved(problem, margins, pulls, step)
            longest = self._weight_change * norm(origin) / max(norm(moving), 1e-300)
            if step > longest:  # pulls are others in a shorter step
                step = longest
                moving, solved, expected = self._solved(problem, margins, pulls, step)
            candidate = origin + origin.dtype.type(step) * moving
            there = field(candidate, origin)
            if not np.isfinite(there.margins).all():
                raise LeftRange
            error = float(np.max(np.abs(there.margins[problem.chosen] - expected), initial=0)) / self._tolerance
            self._longest = step * min(math.sqrt(_SAFETY / max(error, 1e-9)), _GROWTH)
            crossed = self._crossed(margins, there.margins, problem.chosen)
            if error <= 1 and not len(crossed):
                break
            self.rejected += 1
            if error > 1:
                step = min(self._longest, step / _SHORTER)
            else:
                problem = self._problem(state, np.union1d(problem.chosen, crossed))
        felt = (there.margins < 1).astype(np.float64)
        felt[problem.chosen] = np.where(solved < _FIT, 0, solved)
        return State(candidate, OverPoints(there.margins, there.velocity, felt), state.time + step, state.steps + 1)

    def _problem(self, state: State[OverPoints], chosen: np.ndarray) -> _Problem:
        tangent = self._tangent(state.parameters, chosen)
        seen = (state.field.margins[chosen] < 1).astype(np.float64)
        return _Problem(chosen, tangent, state.field.velocity - tangent.velocity(seen))

    def _solved(
        self, problem: _Problem, margins: np.ndarray, pulls: np.ndarray, step: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The velocity, the chosen points' pulls, and where their margins should end, as far as margins are told.

        Few points slide, and the others pull with 0 or 1. So the problem is first that of those which slid before, and
        those whose pull turns out to be wrong at the step's end come to it.
        """
        if not len(problem.chosen):
            return problem.others, np.empty(0), np.empty(0)
        tangent, before = problem.tangent, margins[problem.chosen].astype(np.float64)
        corner = _CORNER * self._tolerance
        solved = pulls[problem.chosen]
        sliding = (solved > 0) & (solved < 1)
        while True:
            if sliding.any():
                start = solved[sliding]
                solved[sliding] = 0
                rate = tangent.rate(problem.others + tangent.velocity(solved))[sliding]
                matrix = step * tangent.kernel(sliding) + corner * np.eye(len(start))
                solved[sliding] = solve_box(matrix, 1 - before[sliding] - step * rate, start)
            moving = problem.others + tangent.velocity(solved)
            after = before + step * tangent.rate(moving)
            wrong = ((solved == 1) & (after > 1 - corner)) | ((solved == 0) & (after < 1))
            wrong &= ~sliding
            if not wrong.any():
                return moving, solved, np.minimum(after, self._cap)
            sliding |= wrong

    def _crossed(self, before: np.ndarray, after: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Which other points ended beyond the margin with a pull, or before it without, by more than a tolerance."""
        beyond = (before < 1) & (after > 1 + self._tolerance)
        crossed = beyond | ((before >= 1) & (after < 1 - self._tolerance))
        crossed[chosen] = False
        return np.flatnonzero(crossed)
