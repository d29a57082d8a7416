"""What a sweep survives: each fault for real, many times, and what was lost or came twice.

    python tests/benchmarks/fault_table.py [--times 20] [--only NAME ...] [--output faults.csv]

Every fault ends with a sweep that goes on to its end; its table must be that of an undisturbed one, to the last bit but
for wall times. Processes keep a journal of what they begin and what they have written into the store. `lost` counts
rows that are missing or differ, and runs that were written and are gone, or are not in the store in the end;
`duplicated` rows that come twice, and runs that were begun again after they had been written; `resumed` runs that
went on from a checkpoint. Takes an hour on two cores with 20 times each. `--broken` is the control: what guards against
each fault is taken out, and runs must be lost or come twice.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import empirical.runs.sweeps
import empirical.training.checkpoints
import empirical.training.descent
import theory.runs.store
from empirical import Experiment, ImageConfig, RunStore, SweepIncomplete, sweep
from empirical.runs.sweeps import all_configs
from empirical.training.checkpoints import read_checkpoint
from empirical.training.config import config_hash
from theory import InProcess, RayCluster, read_table, write_table
from theory.jobs.executors import as_executor

__all__ = ["FAULTS", "Outcome", "Trial"]

ROOT = Path(__file__).parents[2]
NET = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=800, batch_size=16, probe_size=20)
GRID = Experiment(NET, (16, 32), (0, 1, 2, 3))
DIVERGING = Experiment(replace(NET, learning_rate=1e20, train_size=24), (24,), (0,))
_JOURNAL, _BROKEN = "RELSTAB_FAULTS_JOURNAL", "RELSTAB_FAULTS_BROKEN"
KEYS = ["source", "task", "architecture", "train_size", "seed", "stage"]
_PATIENCE = 600.0  # seconds after which a sweep counts as hanging


def _keep_a_journal(path: str) -> None:
    """In every process of a sweep: a line when a run begins, with the epoch to go on from, and one when it is kept."""
    run, write = empirical.runs.sweeps.run, RunStore.write

    def told(config: Any, event: str, epoch: int = 0) -> None:
        with open(path, "a") as journal:  # noqa: PTH123 - one write, so that lines of several processes stay whole
            journal.write(f"{config_hash(config)} {event} {epoch}\n")

    def run_and_tell(config: Any, options: Any) -> Any:
        saved = read_checkpoint(options.checkpoint)
        told(config, "begins", 0 if saved is None else saved.facts["done"])
        return run(config, options)

    def write_and_tell(store: RunStore, done: Any, *rest: Any) -> None:
        write(store, done, *rest)
        told(done.config, "written")

    empirical.runs.sweeps.run = run_and_tell
    RunStore.write = write_and_tell  # type: ignore[method-assign]


@contextmanager
def _held_by_all(store: RunStore, config: Any, *, wait: bool) -> Iterator[bool]:
    del config, wait
    (store.folder / ".checkpoints").mkdir(exist_ok=True)
    yield True


def _take_out(guard: str) -> None:
    """The control, in every process of a sweep (retries are the first one's alone)."""
    if guard == "store":
        RunStore.write = lambda *_: None  # type: ignore[method-assign]
    elif guard == "lock":
        RunStore.lock = _held_by_all  # type: ignore[method-assign]
    elif guard == "record's checksum":
        theory.runs.store._digest = lambda _: ""
    elif guard == "checkpoint's checksum":
        always = SimpleNamespace(digest=lambda: bytes(32))
        empirical.training.checkpoints.hashlib = SimpleNamespace(sha256=lambda _: always)  # type: ignore[attr-defined]
    elif guard == "look at the loss":
        empirical.training.descent.Descent._refuse = lambda *_: None  # type: ignore[method-assign,assignment]
    elif guard != "retries":
        raise ValueError(guard)


if os.environ.get(_BROKEN):  # workers import this file, too
    _take_out(os.environ[_BROKEN])
if os.environ.get(_JOURNAL):
    _keep_a_journal(os.environ[_JOURNAL])


@dataclass
class Outcome:
    """Counts over all times that a fault was tried."""

    times: int = 0
    lost: int = 0
    duplicated: int = 0
    resumed: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


class Trial:
    """A store, sweeps on it in processes of their own, and the comparison with an undisturbed sweep.

    `typical` is how long an undisturbed one takes here and now: moments are drawn from it.
    """

    typical = 60.0

    def __init__(self, quiet: pd.DataFrame, rng: np.random.Generator) -> None:
        self.quiet, self.rng, self.grid = quiet, rng, GRID
        self.folder = Path(tempfile.mkdtemp(prefix="relstab-faults-"))
        self.store = self.folder / "runs"
        self.journal = self.folder / "journal"
        self._read, self._written, self._gone, self._again, self._resumed = 0, set[str](), 0, 0, 0

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, executor: str = "2", output: str = "table.csv") -> subprocess.Popen[bytes]:
        """A sweep of the grid, with checkpoints after every epoch."""
        path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
        command = [sys.executable, __file__, "--drive", str(self.store), executor, str(self.folder / output)]
        environment = {**os.environ, "PYTHONPATH": path, _JOURNAL: str(self.journal)}
        quiet = subprocess.DEVNULL  # Ray says much of a machine that is lost
        return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)

    def note(self, damaged: frozenset[str] = frozenset()) -> None:
        """Read on in the journal: a run that was written, and not damaged since, must be there and not begun again."""
        self._written -= damaged
        lines = self.journal.read_text().splitlines() if self.journal.is_file() else []
        for line in lines[self._read :]:
            name, event, epoch = line.split()
            if event == "written":
                self._written.add(name)
            else:
                self._again += name in self._written
                self._resumed += int(epoch) > 0
        self._read = len(lines)
        self._gone += sum(not (self.store / name / "record.csv").is_file() for name in self._written)

    def end(self, output: str = "table.csv", executor: str = "2") -> Outcome:
        """Go on to the end, and compare."""
        if self.start(executor, output).wait(_PATIENCE) != 0:
            return Outcome(0, len(self.quiet), 0)
        return self.compare(output)

    def compare(self, output: str = "table.csv") -> Outcome:
        """Rows and runs that are missing, differ, or come twice."""
        self.note()
        self._gone += sum(not (self.store / config_hash(config)).is_dir() for config in self.grid.configs())
        found = pd.read_csv(self.folder / output, comment="#", usecols=list(KEYS))
        twice = int(found.duplicated(subset=KEYS).sum())
        if twice:  # no curve table
            return Outcome(0, self._gone, twice + self._again, self._resumed)
        found = read_table(self.folder / output)
        both = self.quiet.merge(found, how="left", on=list(self.quiet.columns), indicator=True)
        lost = int((both["_merge"] != "both").sum()) + self._gone + abs(len(found) - len(self.quiet))
        return Outcome(0, lost, self._again, self._resumed)


def _moment(trial: Trial, process: subprocess.Popen[bytes], part: float = 1.0) -> bool:
    """Wait for a random time, up to a part of a sweep's; whether the sweep is still going on then."""
    try:
        process.wait(float(trial.rng.uniform(0, part * Trial.typical)))
    except subprocess.TimeoutExpired:
        return True
    return False


def driver_killed(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """kill -9 of the first process at random moments; its workers must end by themselves."""
    total = Outcome()
    while total.times < times:
        with Trial(quiet, rng) as trial:
            killed = 0
            while total.times + killed < times:
                process = trial.start()
                if not _moment(trial, process):
                    break
                process.kill()
                process.wait()
                killed += 1
                trial.note()
            total += trial.end() + Outcome(killed)
    return total


def worker_killed(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """kill -9 of a worker at random moments, while the sweep goes on."""
    total = Outcome()
    while total.times < times:
        with Trial(quiet, rng) as trial:
            process = trial.start()
            killed = 0
            while total.times + killed < times and _moment(trial, process, 0.5):
                workers = _workers(process.pid)
                if workers:
                    os.kill(int(rng.choice(workers)), signal.SIGKILL)
                    killed += 1
                    trial.note()
            total += (trial.compare() if process.wait(_PATIENCE) == 0 else Outcome(0, len(quiet))) + Outcome(killed)
    return total


def _workers(parent: int) -> list[int]:
    """The processes that a process has spawned."""
    command = ["pgrep", "-P", str(parent), "-f", "spawn_main"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def disk_full(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """A store on a file system of 600 kB, on which two runs find room; then one that is large enough."""
    total = Outcome()
    for _ in range(times):
        with Trial(quiet, rng) as trial:
            trial.store.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(trial.store)]
            subprocess.run(mount, check=True, capture_output=True)
            try:
                status = trial.start("full").wait(_PATIENCE)
                kept = len(list(trial.store.glob("[!.]*")))
                # It must end, say that runs are missing, and have kept those that found room.
                full = Outcome(1, 0 if status == 1 and 0 < kept < len(GRID.configs()) else len(quiet))
                trial.note()
                subprocess.run(["mount", "-o", "remount,size=64m", str(trial.store)], check=True)
                total += trial.end() + full
            finally:
                subprocess.run(["umount", "-l", str(trial.store)], check=False)
    return total


def checkpoint_damaged(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """The sweep is killed, one bit of a checkpoint changes, the sweep goes on."""
    total = Outcome()
    while total.times < times:
        with Trial(quiet, rng) as trial:
            process = trial.start()
            checkpoints: list[Path] = []
            while process.poll() is None and not checkpoints:
                time.sleep(float(rng.uniform(0.2, 2.0)))
                checkpoints = [path for path in trial.store.glob(".checkpoints/*") if len(path.name) == 16]
            process.kill()
            process.wait()
            trial.note()
            there = [path for path in checkpoints if path.is_file()]
            for path in there:
                content = bytearray(path.read_bytes())
                content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
                path.write_bytes(bytes(content))
            total += trial.end() + Outcome(min(len(there), 1))
    return total


def record_truncated(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """A finished run's table loses its end: the run is put aside and done again, no other is."""
    total = Outcome()
    with Trial(quiet, rng) as trial:
        before = trial.end()
        total += Outcome(0, before.lost, before.duplicated)
        for _ in range(times):
            config = all_configs(GRID)[int(rng.integers(len(GRID.configs())))]
            record = RunStore(trial.store).path(config) / "record.csv"
            os.truncate(record, int(rng.integers(record.stat().st_size)))
            process = trial.start()
            lost = 0 if process.wait(_PATIENCE) == 0 else len(quiet)
            trial.note(frozenset({config_hash(config)}))
            total += trial.compare() + Outcome(1, lost)
    return total


def two_drivers(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """Two sweeps on one store at the same time, the second some seconds later; both end with the whole table."""
    total = Outcome()
    for _ in range(times):
        with Trial(quiet, rng) as trial:
            first = trial.start(output="first.csv")
            time.sleep(float(rng.uniform(0, 8)))
            second = trial.start(output="second.csv")
            ended = [process.wait(_PATIENCE) == 0 for process in (first, second)]
            if not all(ended):
                total += Outcome(1, len(quiet))
                continue
            tables = [read_table(trial.folder / name) for name in ("first.csv", "second.csv")]
            same = tables[0].equals(tables[1])  # wall times, too: each run was trained once
            total += trial.compare("first.csv") + Outcome(1, 0, int(not same))
    return total


def ray_node_lost(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """The second machine of a local Ray cluster goes away while it is at its runs."""
    total = Outcome()
    for _ in range(times):
        with Trial(quiet, rng) as trial:
            total += trial.end(executor="ray-lost") + Outcome(1)
    return total


def diverging_run(quiet: pd.DataFrame, times: int, rng: np.random.Generator) -> Outcome:
    """A run whose loss stops being finite: written down as such, the others are done."""
    total = Outcome()
    for _ in range(times):
        with Trial(quiet, rng) as trial:
            told = trial.start("diverging").wait(_PATIENCE) == 1
            failure = RunStore(trial.store).failure(DIVERGING.configs()[0])
            written = told and failure is not None and failure.final and failure.tries == 1
            written = written and failure is not None and "the loss became" in failure.message
            total += trial.compare() + Outcome(1, 0 if written else 1)
    return total


#: Each fault with what the control takes out.
FAULTS: dict[str, tuple[Callable[[pd.DataFrame, int, np.random.Generator], Outcome], str]] = {
    "first process killed": (driver_killed, "store"),
    "worker killed": (worker_killed, "retries"),
    "two sweeps on one store": (two_drivers, "lock"),
    "checkpoint damaged": (checkpoint_damaged, "checkpoint's checksum"),
    "record truncated": (record_truncated, "record's checksum"),
    "disk full": (disk_full, "store"),
    "Ray machine lost": (ray_node_lost, "retries"),
    "loss not finite": (diverging_run, "look at the loss"),
}


def _drive(store: str, executor: str, output: str) -> int:
    """In a process of its own: one sweep; status 1 where runs are missing."""
    grids = [DIVERGING, GRID] if executor == "diverging" else [GRID]
    status = 0
    place = as_executor(int(executor)) if executor.isdigit() else InProcess()
    retries = 1 if executor == "full" else 40  # a disk stays full
    if os.environ.get(_BROKEN) == "retries":
        retries = 0
    if executor == "ray-lost":
        place = _cluster_that_shrinks(Path(store))
    try:
        table = sweep(grids, store, place, checkpoint_seconds=0.0, retries=retries)
    except SweepIncomplete as error:
        table, status = error.table, 1
    write_table(table, output, digits=17)
    return status


def _cluster_that_shrinks(store: Path) -> RayCluster:
    """A cluster of two machines, of which the second, with two cores, goes away once it has checkpoints."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=2)
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": path})

    def leave() -> None:
        while len(list(store.glob(".checkpoints/*"))) < 3:  # all three cores are at work
            time.sleep(0.05)
        nodes.remove_node(second, allow_graceful=False)

    threading.Thread(target=leave, daemon=True).start()
    return RayCluster()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--broken", action="store_true", help="the control: without what guards against each")
    parser.add_argument("--drive", nargs=3, metavar=("STORE", "EXECUTOR", "OUTPUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        sys.exit(_drive(*given.drive))
    quiet = sweep(GRID).drop(columns="seconds")
    with Trial(quiet, np.random.default_rng(0)) as trial:
        began = time.monotonic()
        trial.end()
        Trial.typical = time.monotonic() - began
    shown = Table("fault", "times", "lost", "duplicated", "resumed", box=None)
    rows = []
    for name in given.only:
        began = time.monotonic()
        fault, guard = FAULTS[name]
        if given.broken:
            os.environ[_BROKEN] = guard
        outcome = fault(quiet, given.times, np.random.default_rng(0))
        rows.append({"fault": name, **asdict(outcome)})
        shown.add_row(*map(str, rows[-1].values()))
        print(f"{name}: {outcome}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if given.output:
            pd.DataFrame(rows).to_csv(given.output, index=False)
    Console().print(shown)


if __name__ == "__main__":
    main()
