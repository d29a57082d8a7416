"""One kind of error for bad input: the parameter, its value and what is allowed, in one line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Seeds up to here are exact in every file that a curve table is written to.
MAXIMUM_SEED = 2**53

__all__ = ["MAXIMUM_SEED", "Incomplete", "InputError", "require_choice", "require_integer", "require_real"]


class InputError(ValueError):
    """A parameter has a value that is not allowed.

    The message is one line, ``parameter = value: what is allowed``; the three parts are attributes. The
    commands turn this error, and no other, into exit status 2.
    """

    def __init__(self, parameter: str, value: Any, allowed: str) -> None:
        super().__init__(parameter, value, allowed)
        self.parameter = parameter
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        shown = self.value if isinstance(self.value, str) and self.value else repr(self.value)
        # One line, whatever the value: an array's repr has several, and so may a user's text.
        return " ".join(f"{self.parameter} = {shown}: {self.allowed}".splitlines())


class Incomplete(RuntimeError):
    """A part of what was asked for is missing; the rest was done and kept. The commands end with exit status 1.

    `result` is what the command would have given.
    """

    result: Any = None


def require_integer(parameter: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int if it is a whole number in [minimum, maximum]; InputError otherwise."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and value >= minimum and (maximum is None or value <= maximum):
        return int(value)
    upper = "" if maximum is None else f" and at most {maximum}"
    raise InputError(parameter, value, f"must be a whole number, at least {minimum}{upper}")


def require_real(
    parameter: str,
    value: Any,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> float:
    """`value` as a float if it is finite, > above, >= minimum and <= maximum; InputError otherwise."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number) and number > above and minimum <= number <= maximum:
        return number
    bounds = [
        f"{words} {bound:g}"
        for words, bound in (("above", above), ("at least", minimum), ("at most", maximum))
        if math.isfinite(bound)
    ]
    raise InputError(parameter, value, "must be a finite number" + "".join(f", {bound}" for bound in bounds))


def require_choice(parameter: str, value: Any, choices: tuple[str, ...] | list[str]) -> str:
    """`value` if it is one of `choices`; InputError that lists them otherwise."""
    if value in choices:
        return str(value)
    raise InputError(parameter, value, "must be one of " + ", ".join(choices))
