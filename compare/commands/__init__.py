"""The commands `relstab compare`, `hierarchies`, `report` and `demo`."""

from __future__ import annotations

from typing import Any

from theory.common.commands import Command
from theory.common.names import look_up

#: By the words that call them; the last text is the first line of the class's docstring.
COMMANDS = {
    "demo": Command("compare.commands.demo", "Demo", "Do the whole job at a small size, in a few minutes."),
    "compare": Command(
        "compare.commands.compare", "Compare", "Say how far the simple model explains measured curves R_f(P)."
    ),
    "hierarchies": Command(
        "compare.commands.hierarchies", "CompareHierarchies",
        "Say how many data hierarchies take to learn, and how the error goes with R_f.",
    ),
    "report": Command(
        "compare.commands.compare", "Report", "Write a report of curve tables: one HTML page that needs no network."
    ),
}
_HOMES = {
    "compare": ("Compare", "Report"),
    "demo": ("Demo",),
    "hierarchies": ("CompareHierarchies",),
}

__all__ = ["COMMANDS"]


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
