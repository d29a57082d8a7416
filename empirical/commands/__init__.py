"""The commands `relstab sample`, `nets`, `train`, `measure` and `sweep`."""

from __future__ import annotations

from typing import Any

from theory.common.commands import Command
from theory.common.names import look_up

#: By the words that call them; the last text is the first line of the class's docstring.
COMMANDS = {
    "sample": Command(
        "empirical.commands.sample", "Sample", "Draw maximum-entropy diffeomorphisms, or check a sampler of them."
    ),
    "nets": Command(
        "empirical.commands.nets", "Nets", "List the nets known by name: parameters, and the smallest images."
    ),
    "train": Command("empirical.commands.train", "Train", "Train one net and measure its relative stability."),
    "measure": Command(
        "empirical.commands.measure", "Measure", "Measure D_f, G_f and R_f of your own net on your own images."
    ),
    "sweep": Command(
        "empirical.commands.sweep", "Sweep", "Run a grid of nets or flows from a TOML file, and keep what is done."
    ),
}
_HOMES = {
    "sample": ("Sample",),
    "nets": ("Nets",),
    "train": ("Train",),
    "measure": ("Measure", "require_torch"),
    "sweep": ("Sweep",),
}

__all__ = ["COMMANDS"]


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
