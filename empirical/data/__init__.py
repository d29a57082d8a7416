"""Images: data sets by name, folders and arrays of one's own."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

_HOMES = {
    "named_sets": (
        "DATASETS",
        "FOLDER_VARIABLE",
        "ImageData",
        "fingerprint",
        "load_data",
        "mixed_order",
        "training_subset",
    ),
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _HOMES, name)
