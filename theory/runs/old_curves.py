"""Trajectories that `curve` kept before it had the store of all runs: a file for each, read but not written now."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from theory.common.table import curve_table
from theory.runs.flow_config import TheoryConfig

__all__ = ["kept_before"]

#: Part of every name.
_REVISION = 3
#: Settings that there were then, by which files are named.
_SETTINGS = (
    "width", "scale", "loss", "dtype", "integrator", "weight_change", "output_change", "skip", "unfit_fractions",
    "max_steps", "test_size", "noise_norms",
)  # fmt: skip


def kept_before(folder: Path, run: TheoryConfig) -> tuple[pd.DataFrame, str] | None:
    """The rows of this trajectory and, in words, what they lack; None if the folder has no file of it.

    Files lie at HASH/Pp-seeds.json, the hash being that of all settings but P and the seed. One that cannot be read
    back counts as none, with a warning.
    """
    settings = _settings(run)
    path = folder / _digest(settings) / f"P{run.train_size}-seed{run.seed}.json"
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text())
        if not isinstance(kept, dict) or not all(isinstance(row, dict) for row in kept.get("rows", [None])):
            raise ValueError("holds no trajectory")
        if kept["settings"] != settings:
            raise ValueError("was made with other settings")
        if (kept["train_size"], kept["seed"]) != (run.train_size, run.seed):
            raise ValueError("holds another trajectory")
        asked, reached = len(run.unfit_fractions), len({row["stage"] for row in kept["rows"]})
        lacks = f"{kept['stop_reason']} after {kept['evaluations']} evaluations; {asked - reached} of {asked}"
        # Tasks are named today as they were then, but for stripes of other interfaces, which now tell them.
        rows = curve_table([row | {"task": run.task.name} for row in kept["rows"]])
        return rows, "" if kept["stop_reason"] == "reached" else f"{lacks} records are missing"
    except (ValueError, KeyError, TypeError, OSError) as error:
        warnings.warn(f"{path.name} in the store is computed again: {error}", RuntimeWarning, stacklevel=2)
        return None


def _settings(run: TheoryConfig) -> dict[str, Any]:
    text = json.dumps({
        "revision": _REVISION,
        "task": [type(run.task).__name__, repr(run.task)],
        "config": {name: getattr(run, name) for name in _SETTINGS},
        "neuron_seed": run.neuron_seed,
        "backend": run.backend,
    })  # fmt: skip
    found: dict[str, Any] = json.loads(text)  # lists for tuples, as it is read back
    return found


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
