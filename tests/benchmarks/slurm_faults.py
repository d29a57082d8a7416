"""What a sweep on Slurm survives: a real Slurm of this machine, each fault many times, and what was lost or came twice.

    python tests/benchmarks/slurm_faults.py [--times 20] [--at-once 4] [--only NAME ...] [--seed 0]
                                            [--output FILE [--go-on]]

Needs Debian's slurm-wlm and munge, and root. Every fault ends with arrays that go on until nothing is left, and the
table of what is in the store then; `fault_table.py` says what is counted. A time in which the fault found nothing to
hit is not counted. Trials spend half of their time waiting for Slurm: several go on at once, each on a Slurm of its
own, so that a lost node is no other trial's. Faults come in turns, and the counts are written after each trial, so that
a run that is cut short has counts of all, and goes on with `--go-on`. Moments are random by seed, fault and trial,
whichever Slurm does it. `--broken` is the control, without the locks on runs.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fault_table import GRID, NET, ROOT, Outcome, Trial
from rich.console import Console
from rich.table import Table

from empirical import Experiment, RunStore, sweep
from empirical.runs.slurm_sweep import SlurmTask, submit_sweep
from theory import Slurm, write_table

sys.path.append(str(ROOT / "tests" / "support"))

from slurm_cluster import SlurmCluster, missing, slurm_cluster

_PATIENCE = 900.0  # seconds for an array to end
_HOOKS = "import os\nif os.environ.get('RELSTAB_FAULTS_JOURNAL'):\n    import fault_table\n"


class SlurmTrial(Trial):
    """A store, arrays of two tasks on it, and the journal that their processes keep."""

    def __init__(self, quiet: pd.DataFrame, rng: np.random.Generator, cluster: SlurmCluster, grid: Experiment) -> None:
        super().__init__(quiet, rng)
        self.cluster, self.grid = cluster, grid
        hooks = self.folder / "hooks"
        hooks.mkdir()
        (hooks / "sitecustomize.py").write_text(_HOOKS)
        path = os.pathsep.join(map(str, (hooks, ROOT, Path(__file__).parent)))
        # What `relstab sweep --slurm` does is done in this process, which need not load torch each time.
        os.environ.update(cluster.environment)
        os.environ.update(PYTHONPATH=path, RELSTAB_FAULTS_JOURNAL=str(self.journal), OMP_NUM_THREADS="1")

    def left(self) -> int:
        """How many runs are still to do."""
        return sum(RunStore(self.store).state(config) != "done" for config in self.grid.configs())

    def submit(self, jobs: int = 2, time: str | None = None) -> str:
        """An array of tasks; its number."""
        array = Slurm(jobs, time=time)
        _, submitted = submit_sweep([self.grid], self.store, array, SlurmTask(), self.left())
        assert submitted is not None
        return submitted.job

    def tasks(self, job: str) -> list[int]:
        """The processes of the array's tasks."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and "--take-free" in (folder / "cmdline").read_text():
                    known = (folder / "environ").read_text().split("\0")
                    # Other Slurms of this machine have jobs of the same number.
                    ours = f"SLURM_CONF={self.cluster.environment['SLURM_CONF']}"
                    if ours in known and f"SLURM_ARRAY_JOB_ID={job}" in known:
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
            if not self.left():
                break
            job = self.submit(jobs=1)
            self.cluster.wait(job, _PATIENCE)
        runs = [RunStore(self.store).read(config) for config in self.grid.configs()]
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
    job = trial.submit(jobs=1, time="1")
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
#: The same runs, which take three times as long: on an idle machine one task does the others before its limit.
_LONG = Experiment(replace(NET, min_steps=3 * NET.min_steps), GRID.train_sizes, GRID.seeds)


def _grid(name: str, at_once: int) -> Experiment:
    return _LONG if name == "time limit reached" and at_once == 1 else GRID


def _trials(
    grids: dict[str, tuple[Experiment, pd.DataFrame]], typical: float, seed: int, orders: Any, results: Any
) -> None:
    """In a process of its own: a Slurm, and on it the trials that are ordered."""
    Trial.typical = typical
    for stop in (signal.SIGTERM, signal.SIGINT):  # the Slurm ends with its process
        signal.signal(stop, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="relstab-slurm-") as folder, slurm_cluster(Path(folder)) as cluster:
        while True:
            name, number = orders.get()
            began = time.monotonic()
            rng = np.random.default_rng([seed, list(FAULTS).index(name), number])
            grid, quiet = grids[name]
            try:
                with SlurmTrial(quiet, rng, cluster, grid) as trial:
                    times = FAULTS[name](trial)
                    outcome = replace(trial.finish(), times=times)
            except Exception as error:  # a trial that does not end is a result: all is lost
                traceback.print_exc()
                cluster.call("scancel", "--user=root")
                outcome = Outcome(1, len(quiet))
                print(f"{name}, trial {number}: {error!r}", file=sys.stderr, flush=True)
            results.put((name, outcome, time.monotonic() - began))


def _rows(counts: dict[str, Outcome]) -> pd.DataFrame:
    return pd.DataFrame([{"fault": name, **asdict(count)} for name, count in counts.items()])


def page_rows(counts: pd.DataFrame) -> list[str]:
    """The counts as docs/sweeps.md shows them."""
    return [f"| {' | '.join(map(str, row))} |" for row in counts.itertuples(index=False)]


def _count(
    given: argparse.Namespace, counts: dict[str, Outcome], orders: Any, results: Any, slurms: Sequence[Any]
) -> None:
    """Order trials until every fault has been done so often, and add up what they find."""
    ordered = 0
    for number in range(given.times):
        for name in given.only:
            if number >= counts[name].times:
                orders.put((name, number))
                ordered += 1
    numbers = dict.fromkeys(given.only, given.times)
    while ordered:
        try:
            name, outcome, seconds = results.get(timeout=10)
        except queue.Empty:
            if not any(slurm.is_alive() for slurm in slurms):
                sys.exit("every Slurm has ended before its trials")
            continue
        ordered -= 1
        counts[name] += outcome
        if not outcome.times:  # it found nothing to hit: another in its place
            orders.put((name, numbers[name]))
            numbers[name] += 1
            ordered += 1
        print(f"{name}: {outcome}, {seconds:.0f} s; in all {counts[name]}", file=sys.stderr, flush=True)
        if given.output:
            _rows(counts).to_csv(given.output, index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=4, help="Slurms of this machine, each with a trial")
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--go-on", action="store_true", help="add to the counts in OUTPUT")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--broken", action="store_true", help="the control: without the locks on runs")
    given = parser.parse_args()
    if given.go_on and not (given.output and given.output.is_file()):
        parser.error("--go-on needs --output, a file of counts")
    if (lacking := missing()) is not None:
        sys.exit(f"no Slurm here: {lacking}")
    began = time.monotonic()
    tables = {GRID: sweep(GRID).drop(columns="seconds")}
    # Two tasks, which share the cores with those of other Slurms half of the time.
    typical = (time.monotonic() - began) / 2 * max(1.0, given.at_once / 2)
    grids = {name: _grid(name, given.at_once) for name in given.only}
    tables |= {grid: sweep(grid).drop(columns="seconds") for grid in set(grids.values()) - {GRID}}
    if given.broken:
        os.environ["RELSTAB_FAULTS_BROKEN"] = "lock"
    counts = {name: Outcome() for name in given.only}
    if given.go_on:
        counts |= {name: Outcome(*row) for name, *row in pd.read_csv(given.output).itertuples(index=False)}
    context = multiprocessing.get_context("spawn")
    orders, results = context.Queue(), context.Queue()
    work = {name: (grid, tables[grid]) for name, grid in grids.items()}
    slurms = [
        context.Process(target=_trials, args=(work, typical, given.seed, orders, results))
        for _ in range(given.at_once)
    ]
    for slurm in slurms:
        slurm.start()
    try:
        _count(given, counts, orders, results, slurms)
    finally:
        for slurm in slurms:
            slurm.terminate()
        for slurm in slurms:
            slurm.join()
    shown = Table("fault", "times", "lost", "duplicated", "resumed", box=None)
    for row in _rows(counts).itertuples(index=False):
        shown.add_row(*map(str, row))
    Console().print(shown)


if __name__ == "__main__":
    main()
