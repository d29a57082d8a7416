"""The commands `relstab theory simulate` and `relstab theory predict`."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "simulate": (
        "COMMANDS",
        "Simulate",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
