"""One run: its configuration, the data's recipe, descent, checkpoints, and what is measured along the way."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "images": (
        "Normalised",
        "Progress",
        "Run",
        "check",
        "train",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
