"""The commands `relstab theory simulate` and `relstab theory predict`."""

from __future__ import annotations

from typing import Any

from theory.common.commands import Command
from theory.common.names import look_up

#: By the words that call them; the last text is the first line of the class's docstring.
COMMANDS = {
    "theory simulate": Command(
        "theory.commands.simulate", "Simulate", "Solve the simple model at finite P by gradient flow."
    ),
    "theory predict": Command(
        "theory.commands.predict", "Predict", "Predict the simple model at any P; nothing is sampled or fitted."
    ),
}
_HOMES = {
    "simulate": ("Simulate",),
    "predict": ("Predict",),
}

__all__ = ["COMMANDS"]


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
