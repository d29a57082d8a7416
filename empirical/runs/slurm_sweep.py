"""A sweep as an array job of Slurm: experiments in the store, one batch file, and tasks that take what is free."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from empirical.runs.experiments import GRID, Experiment
from theory.common.errors import InputError
from theory.jobs.slurm import Slurm, Submitted, require_slurm, submit

__all__ = ["SlurmTask", "as_toml", "require_seen", "submit_sweep"]

_FOLDER = ".slurm"
_LOCAL = ("tmpfs", "ramfs", "devtmpfs")


@dataclass(frozen=True, slots=True)
class SlurmTask:
    """What every task of the array is told: the options of `relstab sweep` that change what is done, or where."""

    data_folder: str | Path | None = None
    download: bool = False
    device: str = "cpu"
    threads: int = 1
    keep_weights: bool = True
    retries: int = 1
    retry_failed: bool = False

    def command(self, file: Path, store: Path, workers: int) -> list[str]:
        """The command line."""
        words = [sys.executable, "-m", "relstab", "sweep", str(file), f"--store={store}", "--take-free"]
        words += [f"--workers={workers}", f"--threads={self.threads}", f"--device={self.device}"]
        words += [f"--retries={self.retries}"]
        if self.data_folder is not None:
            words.append(f"--data={Path(self.data_folder).absolute()}")
        for chosen, word in (
            (self.download, "--download"), (not self.keep_weights, "--no-keep-weights"),
            (self.retry_failed, "--retry-failed"),
        ):  # fmt: skip
            words += [word] if chosen else []
        return words


def as_toml(experiments: Iterable[Experiment]) -> str:
    """The experiments as a file that `read_experiments` reads as them: what differs from the defaults."""
    tables = []
    for experiment in experiments:
        base, usual = experiment.base, type(experiment.base)()
        settings: dict[str, Any] = {
            "kind": base.kind,
            **{name: list(getattr(experiment, name)) for name in GRID.values() if getattr(experiment, name)},
            **{
                item.name: getattr(base, item.name)
                for item in fields(base)
                if item.name not in GRID or (item.name == "architecture" and not experiment.architectures)
                if getattr(base, item.name) != getattr(usual, item.name)
            },
        }
        tables.append("[[experiment]]\n" + "".join(f"{key} = {_literal(value)}\n" for key, value in settings.items()))
    return "\n".join(tables)


def _literal(value: Any) -> str:
    """A value as TOML writes it, which is as JSON does but for infinity."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)


def submit_sweep(
    experiments: Sequence[Experiment], store: Path, array: Slurm, task: SlurmTask, runs: int, *, dry: bool = False
) -> tuple[str, Submitted | None]:
    """Write the experiments and a batch file into the store and submit it; the file's text, and the job.

    With `dry` nothing is written nor submitted. `runs` is how many are to be done.

    Raises
    ------
    InputError
        If there are more jobs than runs, Slurm is not here or refuses, or other machines cannot see the store. Then
        nothing is submitted, nor left behind.
    """
    folder = store / _FOLDER
    text = as_toml(experiments)
    # Named by what is in it: tasks of an earlier array, of other experiments, may still wait for their turn.
    file = folder / f"experiments-{hashlib.sha256(text.encode()).hexdigest()[:8]}.toml"
    script = array.script(task.command(file, store, array.workers), folder, array.workers * task.threads)
    if array.jobs > runs:
        raise InputError("jobs", array.jobs, f"must be at most {runs}, the number of runs that are to be done")
    if dry:
        return script, None
    require_slurm()
    _require_shared(store)
    return script, submit(array, script, folder, {file.name: text})


def require_seen(file: Path, store: Path) -> None:
    """InputError if this task's machine does not see the store that the array was submitted with."""
    if file.parent == store.absolute() / _FOLDER and not file.is_file():
        raise InputError(
            "store", str(store), f"{platform.node()} does not see it: it must be a folder that all machines share"
        )


def _require_shared(store: Path) -> None:
    """InputError if the store lies in this machine's memory and the cluster has others."""
    kind = _file_system(store)
    if kind in _LOCAL and _other_machines():
        raise InputError("store", str(store), f"is in this machine's memory ({kind}); take one that all machines share")


def _file_system(path: Path) -> str:
    """The kind of the file system that a path is, or would be, on; empty where that is not known."""
    there = path.absolute()
    best, kind = -1, ""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, mount, found, *_ = line.split()
        if there.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), found
    return kind


def _other_machines() -> bool:
    """Whether the cluster has machines besides this one."""
    done = subprocess.run(["sinfo", "--noheader", "--format=%n"], capture_output=True, text=True, check=False)
    here = platform.node().partition(".")[0]
    return any(name.partition(".")[0] != here for name in done.stdout.split())
