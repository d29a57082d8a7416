"""Libraries that only some nets need: imported when asked for, or an error that says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from theory.common.errors import InputError

__all__ = ["need"]


def need(module: str, what: str, extra: str) -> Any:
    """The module; InputError that names the extra of this package if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(module, "not installed", f"{what} needs pip install 'relstab[{extra}]'") from error
