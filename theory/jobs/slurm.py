"""Sweeps on a Slurm cluster: one array job whose tasks share a store, and nothing that stays on the login node.

Every task is an ordinary sweep that takes from the store what nobody is at, and ends when nothing is left to take. So
there is no coordinator: tasks may start late, be killed, be requeued, or be joined by others started by hand.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from theory.common.errors import InputError, require_integer
from theory.common.files import make_folder, write_whole
from theory.common.locks import Holder

__all__ = ["Slurm", "Submitted", "ended", "job_has_ended", "requeue_this_task", "require_slurm", "submit"]

#: Slurm's own forms: minutes, minutes:seconds, hours:minutes:seconds, days-hours, and with minutes and seconds.
_TIME = re.compile(r"\d+(:\d{1,2}){0,2}|\d+-\d{1,2}(:\d{1,2}){0,2}")
_ALIVE = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")
_PATIENCE = 30.0  # seconds for Slurm's commands to answer


@dataclass(frozen=True, slots=True)
class Slurm:
    """An array of `jobs` tasks, each with `workers` runs at a time.

    Attributes
    ----------
    jobs : tasks of the array
    workers : runs at a time in each, one CPU each times `threads` of the sweep
    time : limit of a task, as sbatch takes it ("4:00:00"); None leaves it to the cluster. A task whose limit is near
        writes its runs' states and is queued again
    options : any other options of sbatch, such as "--partition=gpu"
    notice : seconds before the limit at which a task is told; at most half of the time

    Raises
    ------
    InputError
        On a number, a time or an option that is not allowed.
    """

    jobs: int = 1
    workers: int = 1
    time: str | None = None
    options: tuple[str, ...] = ()
    notice: int = 120

    def __post_init__(self) -> None:
        for name in ("jobs", "workers", "notice"):
            require_integer(name, getattr(self, name), 1)
        if self.time is not None and not _TIME.fullmatch(self.time):
            raise InputError("time", self.time, "must be a time as sbatch takes it: 30, 4:00:00 or 1-12")
        object.__setattr__(self, "options", tuple(self.options))
        for option in self.options:
            if not option.startswith("-"):
                raise InputError("sbatch", option, "must be options of sbatch, such as --partition=gpu")

    def _notice(self) -> int:
        """Seconds, short of half of the limit."""
        return self.notice if self.time is None else max(min(self.notice, _seconds(self.time) // 2), 1)

    def script(self, command: Sequence[str], logs: Path, cpus: int = 1) -> str:
        """The batch file: `command` in every task of the array, which is told by a signal before its time is up."""
        directives = [
            "--job-name=relstab", f"--array=0-{self.jobs - 1}", "--ntasks=1", f"--cpus-per-task={cpus}",
            "--requeue", "--open-mode=append", f"--signal=B:USR1@{self._notice()}", f"--output={logs}/%A_%a.log",
            *([] if self.time is None else [f"--time={self.time}"]), *self.options,
        ]  # fmt: skip
        lines = "".join(f"#SBATCH {directive}\n" for directive in directives)
        # exec: the signal goes to the batch script's own process. One that comes before the sweep has begun is
        # ignored, as Slurm's signals may come a minute early.
        return f"#!/bin/sh\n{lines}trap '' USR1\nexec {shlex.join(command)}\n"


def _seconds(time: str) -> int:
    """A time as Slurm writes it, in seconds: a single number is minutes, after days the first is hours."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


@dataclass(frozen=True, slots=True)
class Submitted:
    """An array job that Slurm has taken: its number, and the file that was submitted."""

    job: str
    script: Path


def require_slurm() -> None:
    """InputError unless Slurm's commands are on the path."""
    for name in ("sbatch", "scontrol", "squeue"):
        if shutil.which(name) is None:
            raise InputError("slurm", True, f"needs {name} on the path: call it on a machine that submits to Slurm")


def submit(array: Slurm, script: str, folder: Path, read_by_tasks: Mapping[str, str] | None = None) -> Submitted:
    """Write the batch file into `folder`, with the files that its tasks read, by name; submit it.

    Raises
    ------
    InputError
        If Slurm is not here, or does not take the job; what was written is then removed again.
    """
    require_slurm()
    limit = _array_limit()
    if limit is not None and array.jobs > limit:
        raise InputError("jobs", array.jobs, f"this cluster's arrays have at most {limit} tasks")
    path = folder / "submit.sh"
    texts = {path: script} | {folder / name: text for name, text in (read_by_tasks or {}).items()}
    new = [one for one in (*texts, folder, folder.parent) if one == path or not one.exists()]
    make_folder("store", folder)
    for one, text in texts.items():
        _write(one, text)
    done = _call("sbatch", "--parsable", str(path))
    if done.returncode:
        _remove(new)
        reason = " ".join((done.stderr or done.stdout).split()).removeprefix("sbatch: error: ")
        raise InputError("slurm", True, f"sbatch did not take the job: {reason}")
    return Submitted(done.stdout.strip().partition(";")[0], path)


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def _remove(paths: Sequence[Path]) -> None:
    """Files, and folders if nothing else has come into them."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def requeue_this_task() -> bool:
    """Ask Slurm to queue the task that this process is in again; whether it will."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    return name is not None and _call("scontrol", "requeue", name).returncode == 0


def job_has_ended(job: str) -> bool:
    """Whether nothing of a job waits or runs any more; False while Slurm does not answer."""
    done = _call("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    if done.returncode:
        return "Invalid job id" in done.stderr
    return all(state not in (*_ALIVE, "PENDING", "CONFIGURING", "REQUEUED") for state in done.stdout.split())


def ended(holder: Holder) -> bool:
    """Whether the job of a lock's holder has ended, as far as Slurm can tell; False where it cannot be asked."""
    if not holder.job or shutil.which("squeue") is None:
        return False
    done = _call("squeue", "--noheader", f"--jobs={holder.job}", "--format=%T")
    if done.returncode:
        return "Invalid job id" in done.stderr
    return done.stdout.strip() not in _ALIVE


def _array_limit() -> int | None:
    """MaxArraySize: one above the largest index."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _call("scontrol", "show", "config").stdout, re.MULTILINE)
    return None if found is None else int(found[1])


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    """What one of Slurm's commands says; a failure where it does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 1, "", f"{command[0]} does not answer: {error}")
