"""R_f at any P without sampling: the population's flow and its linear response. The README derives it."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "conditional": ("SamplePrediction",),
    "solution": ("predict",),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
