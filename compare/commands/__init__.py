"""The commands `relstab compare`, `report` and `demo`."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "compare": (
        "Compare",
        "Report",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
