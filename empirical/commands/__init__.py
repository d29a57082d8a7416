"""The commands `relstab sample`, `train`, `measure` and `sweep`."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "sample": (
        "COMMANDS",
        "Sample",
        "Sweep",
        "Train",
        "require_torch",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
