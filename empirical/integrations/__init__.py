"""R_f in the trainings of others: a plain function, callbacks for Lightning and transformers, trackers."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "along_training": ("StabilityAlongTraining", "log_stability", "random_states_kept"),
    "huggingface": ("TransformersStability",),
    "lightning": ("LightningStability",),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
