"""Laws of R_f against P and of the error against R_f, fitted with intervals."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {"power_law": ("Fits", "PowerLawFit", "fit_all", "fit_power_law"), "error_law": ("fit_error_law",)}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
