"""What a sweep on Slurm survives: a real Slurm of this machine, each fault many times, and what was lost or came twice.

    python tests/benchmarks/slurm_faults.py [--times 20] [--only NAME ...] [--output slurm_faults.csv] [--seed 0]

Needs Debian's slurm-wlm and munge, and root. Every fault ends with arrays that go on until nothing is left, and the
table of what is in the store then; `fault_table.py` says what is counted. Faults come in turns, and the counts are
written after each, so that a run that is cut short has counts of all. A time in which the fault found nothing to hit is
not counted. `--broken` is the control, without the locks on runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from fault_table import GRID, ROOT, Outcome, Trial
from rich.console import Console
from rich.table import Table

from empirical import RunStore, sweep
from empirical.runs.slurm_sweep import as_toml
from theory import write_table

sys.path.append(str(ROOT / "tests" / "support"))

from slurm_cluster import SlurmCluster, missing, slurm_cluster

_PATIENCE = 400.0  # seconds for an array to end
_HOOKS = "import os\nif os.environ.get('RELSTAB_FAULTS_JOURNAL'):\n    import fault_table\n"


class SlurmTrial(Trial):
    """A store, arrays of two tasks on it, and the journal that their processes keep."""

    def __init__(self, quiet: pd.DataFrame, rng: np.random.Generator, cluster: SlurmCluster) -> None:
        super().__init__(quiet, rng)
        self.cluster = cluster
        hooks = self.folder / "hooks"
        hooks.mkdir()
        (hooks / "sitecustomize.py").write_text(_HOOKS)
        self.file = self.folder / "grid.toml"
        self.file.write_text(as_toml([GRID]))
        path = os.pathsep.join(map(str, (hooks, ROOT, Path(__file__).parent)))
        environment = {"PYTHONPATH": path, "RELSTAB_FAULTS_JOURNAL": str(self.journal), "OMP_NUM_THREADS": "1"}
        self.environment = cluster.environment | environment

    def relstab(self, *options: str) -> str:
        """`relstab sweep` of the grid in this store."""
        command = [sys.executable, "-m", "relstab", "sweep", str(self.file), f"--store={self.store}", *options]
        environment = {name: value for name, value in self.environment.items() if name != "RELSTAB_FAULTS_JOURNAL"}
        wanted = self.environment if "--slurm" in options else environment
        return subprocess.run(command, env=wanted, capture_output=True, text=True, check=True, timeout=300).stdout

    def submit(self, *options: str) -> str:
        """An array of two tasks; its number, or nothing where all is done."""
        told = self.relstab("--slurm", "--jobs=2", *options).split()
        return told[told.index("job") + 1].rstrip(":") if "job" in told else ""

    def tasks(self, job: str) -> list[int]:
        """The processes of the array's tasks."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and f"SLURM_ARRAY_JOB_ID={job}\0" in (folder / "environ").read_text():
                    command = (folder / "cmdline").read_text()
                    if "--take-free" in command:
                        found.append(int(folder.name))
        return found

    def moment(self, job: str) -> list[int]:
        """A random moment after a task has begun a run; the tasks that are still there."""
        until = time.monotonic() + _PATIENCE
        while not self.journal.is_file() and time.monotonic() < until and self.cluster.jobs(job):
            time.sleep(0.2)
        time.sleep(float(self.rng.uniform(0, 0.7 * Trial.typical)))
        return self.tasks(job)

    def finish(self) -> Outcome:
        """Arrays until nothing is left to do; the table."""
        for _ in range(5):
            self.note()
            if all(RunStore(self.store).state(config) == "done" for config in GRID.configs()):
                break
            job = self.submit("--jobs=1")
            self.cluster.wait(job, _PATIENCE)
        self.relstab(f"--export={self.folder / 'exported.csv'}")  # which rounds
        runs = [RunStore(self.store).read(config) for config in GRID.configs()]
        write_table(pd.concat([run for run in runs if run is not None]), self.folder / "table.csv", digits=17)
        outcome = self.compare()
        return replace(outcome, duplicated=outcome.duplicated + self.written_again())

    def written_again(self) -> int:
        """How often a run was trained to its end beside, or after, another of the same: two tasks had it at once."""
        lines = self.journal.read_text().splitlines() if self.journal.is_file() else []
        ends = [line.split()[0] for line in lines if line.split()[1] == "written"]
        return len(ends) - len(set(ends))


def task_killed(trial: SlurmTrial) -> int:
    """kill -9 of a task at a random moment; the other goes on, and a new array does the rest."""
    job = trial.submit()
    there = trial.moment(job)
    for process in there[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    trial.note()
    trial.cluster.wait(job, _PATIENCE)
    return len(there[:1])


def limit_near(trial: SlurmTrial) -> int:
    """The signal before the time limit, at a random moment: states are kept, and the tasks are queued again."""
    job = trial.submit()
    there = trial.moment(job)
    if there:
        trial.cluster.call("scancel", "--batch", "--signal=USR1", job)
    trial.note()
    trial.cluster.wait(job, _PATIENCE)
    return min(len(there), 1)


def limit_reached(trial: SlurmTrial) -> int:
    """A real limit of a minute for one task, which has all the runs; Slurm itself tells it, or kills it."""
    job = trial.submit("--time=1", "--jobs=1")
    trial.cluster.wait(job, _PATIENCE)
    return int(trial.cluster.hit_limit(job))


def node_lost(trial: SlurmTrial) -> int:
    """A node goes away with all that runs on it, and comes back; Slurm queues its tasks again."""
    job = trial.submit()
    there = trial.moment(job)
    lost = {node for _, state, node in trial.cluster.jobs(job) if state == "RUNNING" and node}
    for name in sorted(lost)[:1]:
        trial.cluster.lose_node(name)
        trial.note()
        time.sleep(1)
        trial.cluster.start_node(name)
    trial.cluster.wait(job, _PATIENCE)
    return min(len(there), len(lost), 1)


def cancelled(trial: SlurmTrial) -> int:
    """`scancel` at a random moment; a new array does the rest."""
    job = trial.submit()
    there = trial.moment(job)
    trial.cluster.call("scancel", job)
    trial.note()
    trial.cluster.wait(job, _PATIENCE)
    return min(len(there), 1)


def two_arrays(trial: SlurmTrial) -> int:
    """Two arrays on one store at the same time."""
    jobs = [trial.submit(), trial.submit()]
    for job in jobs:
        trial.cluster.wait(job, _PATIENCE)
    return 1


FAULTS: dict[str, Callable[[SlurmTrial], int]] = {
    "Slurm task killed": task_killed,
    "told of its time limit": limit_near,
    "time limit reached": limit_reached,
    "node lost": node_lost,
    "scancel": cancelled,
    "two arrays on one store": two_arrays,
}


def _rows(counts: dict[str, Outcome]) -> pd.DataFrame:
    return pd.DataFrame([{"fault": name, **asdict(count)} for name, count in counts.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--broken", action="store_true", help="the control: without the locks on runs")
    given = parser.parse_args()
    if (lacking := missing()) is not None:
        sys.exit(f"no Slurm here: {lacking}")
    began = time.monotonic()
    quiet = sweep(GRID).drop(columns="seconds")
    Trial.typical = (time.monotonic() - began) / 2
    if given.broken:
        os.environ["RELSTAB_FAULTS_BROKEN"] = "lock"
    rng = np.random.default_rng(given.seed)
    counts = {name: Outcome() for name in given.only}
    with tempfile.TemporaryDirectory(prefix="relstab-slurm-") as folder, slurm_cluster(Path(folder)) as cluster:
        while waiting := [name for name in given.only if counts[name].times < given.times]:
            for name in waiting:
                began = time.monotonic()
                with SlurmTrial(quiet, rng, cluster) as trial:
                    times = FAULTS[name](trial)
                    counts[name] += replace(trial.finish(), times=times)
                print(f"{name}: {counts[name]}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
                if given.output:
                    _rows(counts).to_csv(given.output, index=False)
    shown = Table("fault", "times", "lost", "duplicated", "resumed", box=None)
    for row in _rows(counts).itertuples(index=False):
        shown.add_row(*map(str, row))
    Console().print(shown)


if __name__ == "__main__":
    main()
