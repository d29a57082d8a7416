"""One run: its configuration, the data's recipe, descent, checkpoints, and what is measured along the way."""

from __future__ import annotations

from typing import Any

from theory.common.names import look_up

#: Where the names of the module that this folder was are now.
_HOMES = {
    "runs.kinds": ("check", "train"),
    "training.images": ("Normalised",),
    "training.run": ("Progress", "Run"),
}


def __getattr__(name: str) -> Any:
    return look_up("empirical", _HOMES, name)
