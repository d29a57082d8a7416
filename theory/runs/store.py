"""Finished trajectories on disk, so that a curve that was cut off goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from theory.common.files import make_folder, write_whole
from theory.flow.trajectory import Trajectory
from theory.model.configuration import FlowConfig
from theory.model.tasks import Task

__all__ = ["CurveStore", "Finished"]

#: Part of every name; to be raised when the same settings give other numbers than before.
_REVISION = 3


@dataclass(frozen=True, slots=True)
class Finished:
    """What a curve keeps of one trajectory: its rows of the curve table, and how it ended."""

    train_size: int
    seed: int
    rows: tuple[dict[str, Any], ...]
    stop_reason: str
    evaluations: int
    seconds: float

    @classmethod
    def of(cls, trajectory: Trajectory) -> Finished:
        """The part of `trajectory` that is kept."""
        return cls(
            trajectory.train_size, trajectory.seed, tuple(trajectory.rows()), trajectory.stop_reason,
            trajectory.evaluations, trajectory.seconds,
        )  # fmt: skip

    def stages(self) -> set[str]:
        """The stages that were reached."""
        return {row["stage"] for row in self.rows}


class CurveStore:
    """A folder with one file for each finished (P, seed), below a folder for all else that decides the numbers.

    Files are written aside and renamed: one that is there is whole. A file that cannot be read back is computed
    again, with a warning. Many processes, and many curves, may use one folder at the same time.

    Raises
    ------
    InputError
        If the folder cannot be made or written to.
    """

    def __init__(
        self, folder: str | Path, task: Task, config: FlowConfig, neuron_seed: int | None, backend: str
    ) -> None:
        self._settings = {
            "revision": _REVISION,
            "task": [type(task).__name__, repr(task)],
            "config": asdict(config),
            "neuron_seed": neuron_seed,
            "backend": backend,
        }
        text = json.dumps(self._settings, sort_keys=True)
        self._settings = json.loads(text)  # as it will be read back
        self.folder = make_folder("store", Path(folder).absolute(), hashlib.sha256(text.encode()).hexdigest()[:16])

    def path(self, train_size: int, seed: int) -> Path:
        """Where this trajectory is, or will be."""
        return self.folder / f"P{train_size}-seed{seed}.json"

    def read(self, train_size: int, seed: int) -> Finished | None:
        """The finished trajectory, None if there is none."""
        path = self.path(train_size, seed)
        if not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text())
            if not isinstance(kept, dict) or not all(isinstance(row, dict) for row in kept.get("rows", [None])):
                raise ValueError("holds no trajectory")
            if kept.pop("settings") != self._settings:
                raise ValueError("was made with other settings")
            finished = Finished(**{**kept, "rows": tuple(kept["rows"])})
            if (finished.train_size, finished.seed) != (train_size, seed):
                raise ValueError("holds another trajectory")
        except (ValueError, KeyError, TypeError, OSError) as error:
            warnings.warn(f"{path.name} in the store is computed again: {error}", RuntimeWarning, stacklevel=2)
            return None
        return finished

    def write(self, finished: Finished) -> None:
        """Keep a finished trajectory."""
        text = json.dumps({"settings": self._settings, **asdict(finished)}, indent=1)
        write_whole(self.path(finished.train_size, finished.seed), lambda aside: aside.write_text(text + "\n"))
