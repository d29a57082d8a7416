"""The report: one HTML page that needs no network, and its figures as files."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "page": (
        "DeformedGrid",
        "gather",
        "write_report",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
