"""One loop for every flow: step, record at the unfit fractions that are asked for, and stop."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from theory.common.errors import InputError
from theory.flow.state import E, LeftRange, State
from theory.model.configuration import FlowConfig

__all__ = ["Course", "Progress", "integrate", "warn_if_cut"]

#: Called with an estimate of the fraction of the trajectory done, in [0, 1].
Progress = Callable[[float], None]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Course(Generic[E, R]):
    """What became of a flow: its records in the order of the unfit fractions, its last state, and why it ended.

    `stop_reason` is ``reached`` (the last fraction), ``max_steps`` or ``stationary`` (no active neuron sees any unfit
    point: nothing will ever move again).
    """

    records: tuple[R, ...]
    state: State[E]
    stop_reason: str

    def shortfall(self, config: FlowConfig) -> str:
        """In words why it ended before the last unfit fraction, and what is missing; empty if nothing is."""
        if self.stop_reason == "reached":
            return ""
        asked = len(config.unfit_fractions)
        return (
            f"{self.stop_reason} after {self.state.steps} steps at unfit fraction "
            f"{self.state.field.unfit_fraction:.3g}; {asked - len(self.records)} of {asked} records are missing"
        )


def integrate(
    state: State[E],
    step: Callable[[State[E]], State[E]],
    record: Callable[[float, State[E]], R],
    config: FlowConfig,
    progress: Progress | None = None,
) -> Course[E, R]:
    """Follow `step` from `state`, and call `record` with a q of `config.unfit_fractions` when q is first reached.

    Raises
    ------
    InputError
        If the numbers leave the range of their precision.
    """
    fractions = config.unfit_fractions
    records: list[R] = []
    done = _done(fractions[-1])
    while True:
        unfit = state.field.unfit_fraction
        while len(records) < len(fractions) and unfit <= fractions[len(records)]:
            records.append(record(fractions[len(records)], state))
        if len(records) == len(fractions):
            return Course(tuple(records), state, "reached")
        if state.steps == config.max_steps:
            return Course(tuple(records), state, "max_steps")
        if not state.field.velocity.any():
            return Course(tuple(records), state, "stationary")
        try:
            state = step(state)
        except LeftRange:
            dtype = state.parameters.dtype
            wider = ", or float64" if dtype == np.float32 else ""
            allowed = f"the flow left the range of {dtype} after {state.steps} steps; take a scale nearer to 1{wider}"
            raise InputError("scale", config.scale, allowed) from None
        if progress is not None:
            progress(done(state.field))


def _done(last: float) -> Callable[[E], float]:
    """An estimate of the part done: half for the growth of F to the margin, half for the fall of q to the last."""
    first = 0.0

    def estimate(field: E) -> float:
        nonlocal first
        largest = float(np.max(np.abs(field.margins)))
        first = first or min(largest, 0.5)
        growth = math.log(min(largest, 1.0) / first) / -math.log(first) if largest > 0 else 0.0
        return 0.5 * max(growth, 0.0) + 0.5 * min((1 - field.unfit_fraction) / max(1 - last, 1e-9), 1.0)

    return estimate


def warn_if_cut(shortfall: str, name: str, stacklevel: int) -> None:
    """No flow is cut off in silence. `stacklevel` counts from the caller of this function, who is 1."""
    if shortfall:
        warnings.warn(f"{name}: {shortfall}", RuntimeWarning, stacklevel=stacklevel + 1)
