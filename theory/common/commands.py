"""A command of the command line, by the place of its class: help is printed before anything of it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["Command"]


@dataclass(frozen=True, slots=True)
class Command:
    """The module of a command, the name of its class there, and the first line of the class's docstring."""

    module: str
    name: str
    summary: str

    def load(self) -> Any:
        """The class, imported now: a dataclass whose fields are the options, with `run()` and a field `json`."""
        return getattr(import_module(self.module), self.name)
