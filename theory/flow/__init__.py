"""Gradient flow at finite P: the integrator, points that may sleep, the lazy limit, trajectories."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "simulation": (
        "FlowConfig",
        "Progress",
        "initial_network",
        "simulate",
        "simulate_many",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
