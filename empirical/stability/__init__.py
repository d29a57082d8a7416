"""How far a net's output moves: D_f, G_f and R_f, over ranges of deformations and layer by layer."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "measure": (
        "AVERAGES",
        "Average",
        "Outputs",
        "Stability",
        "measure_outputs",
        "measure_probes",
        "measure_stability",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
