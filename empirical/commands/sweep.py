"""The command `relstab sweep`: a grid of nets from a file; what is done, and what it would take."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import tyro

from empirical.commands.measure import require_torch
from empirical.runs.experiments import Experiment, read_experiments
from empirical.runs.kinds import estimated_seconds, kind_of
from empirical.runs.slurm_sweep import require_seen
from empirical.training.config import Config, config_hash
from theory.common.errors import InputError, require_integer, require_real
from theory.common.table import require_table_path, write_table
from theory.common.terminal import Terminal, duration
from theory.jobs.executors import chosen_executor
from theory.jobs.slurm import Slurm, requeue_this_task
from theory.jobs.stopping import Stopped, stop_politely

if TYPE_CHECKING:
    from empirical.runs.store import Failure, RunState, RunStore

__all__ = ["Sweep"]


def _json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.dropna(axis=1, how="all").to_json(orient="records"))
    return rows


def _told(terminal: Terminal, word: str, failures: Mapping[Config, Failure]) -> list[dict[str, str]]:
    """A line for each; for a program with the hash, which names the run in the store."""
    from empirical.runs.sweeps import names_apart

    names = names_apart(failures)
    told = [{"run": names[c], "hash": config_hash(c), "why": str(f)} for c, f in failures.items()]
    for one in told:
        terminal.line(f"{word}: {one['run']}: {one['why']}")
    return told


@dataclass(frozen=True)
class Sweep:
    """Run a grid of nets or flows from a TOML file, and keep what is done.

    Writes the curve table. The file holds [[experiment]] tables with kind = "image", "stripe" or "theory", train_sizes,
    seeds, architectures, and any other setting that is to differ from its default. Finished runs are kept in the store
    and not done again; one that was cut goes on from its last checkpoint; one that fails does not stop the others. What
    is missing in the end is listed with the reason, and the exit status is 1.

    For example:
    - `relstab sweep experiment.toml --data DATA --store runs --workers 2 --output curve.csv`
    - `relstab sweep experiment.toml --ray local`
    - `relstab sweep experiment.toml --ray auto --device cuda --gpus-per-run 0.25 --store /shared/runs`
    - `relstab sweep experiment.toml --store /shared/runs --slurm --jobs 8 --workers 4 --time 4:00:00`
    - `relstab sweep experiment.toml --dry-run`
    - `relstab sweep experiment.toml --store runs --status`
    - `relstab sweep experiment.toml --store runs --export so_far.parquet`
    """

    file: Annotated[Path, tyro.conf.Positional]
    """Experiment file."""
    output: Path = Path("curve.csv")
    """Curve table to write, .csv or .parquet."""
    store: Path = Path("runs")
    """Folder of finished runs."""
    workers: int = 1
    """Processes that share the runs; with device cuda the GPUs are dealt out to them."""
    threads: int = 1
    """Of each run; tables made with other numbers differ by rounding and its growth."""
    ray: str | None = None
    """Share the runs on a Ray cluster instead: its address, auto for the one that this machine is part of, or local for
    one of this machine. Workers above 1 bounds the runs at a time. The store must be a folder that all machines see."""
    gpus_per_run: float = 0.0
    """GPUs that a run takes on the cluster; 0.25 lets four runs share one."""
    slurm: bool = False
    """Submit an array job to Slurm and end; each task takes from the store what is free, workers runs at a time."""
    jobs: int | None = None
    """With slurm: tasks of the array, one by default."""
    time: str | None = None
    """With slurm: limit of a task, such as 4:00:00. Near it, a task keeps its runs' states and is queued again."""
    sbatch: str | None = None
    """With slurm: any other options of sbatch, in one text: "--partition=gpu --gres=gpu:1"."""
    take_free: bool = False
    """Do what nobody is at, write no table, and keep the runs' states at a signal (USR1, TERM): what a task of Slurm
    does. On any other scheduler, start such a line as often as you like."""
    data: Path | None = None
    """Folder of the data sets; the environment variable RELSTAB_DATA otherwise."""
    download: bool = False
    """Fetch a data set that is not there."""
    device: str = "cpu"
    """Where image nets are trained: cpu, cuda, ..."""
    keep_weights: bool = True
    """Keep the trained nets in the store, too."""
    retries: int = 1
    """How often a run is tried again whose process died or that met an error of the system."""
    retry_failed: bool = False
    """Also try what failed in an earlier sweep for a reason that would come again."""
    status: bool = False
    """Train nothing: say what is done, running, failed, cut and waiting."""
    dry_run: bool = False
    """Train nothing: say how many runs there are to do, and what they would take by a few timed steps. With slurm:
    show the batch file."""
    export: Path | None = None
    """Train nothing: write the table of what is done, .csv or .parquet."""
    track: str | None = None
    """Also write finished runs for tensorboard, mlflow or wandb, without a network unless their own variables ask."""
    track_folder: Path = Path("tracked")
    """Folder that track writes into."""
    json: bool = False
    """Print JSON instead of lines."""

    def run(self) -> dict[str, Any]:
        if self.take_free:
            require_seen(self.file, self.store)
        experiments = read_experiments(self.file)
        array = self._array()
        for name, minimum in (("workers", 1), ("threads", 1), ("retries", 0)):
            require_integer(name, getattr(self, name), minimum)
        require_real("gpus_per_run", self.gpus_per_run, minimum=0)
        if self.gpus_per_run and self.ray is None:
            raise InputError("gpus_per_run", self.gpus_per_run, "is read with ray only")
        if self.ray is not None and self.device.startswith("cuda") and not self.gpus_per_run:
            raise InputError("gpus_per_run", self.gpus_per_run, "must be above 0 for runs on the cluster's GPUs")
        executor = chosen_executor(self.workers, self.ray, cpus_each=self.threads, gpus_each=self.gpus_per_run)
        chosen = [name for name in ("status", "dry_run", "export") if getattr(self, name)]
        if self.take_free and (chosen or self.slurm or self.ray is not None):
            raise InputError("take_free", True, "must be given alone: such a task does runs and nothing else")
        if self.track is not None and (chosen or self.slurm or self.take_free):
            other = [*chosen, *(name for name in ("slurm", "take_free") if getattr(self, name))][0]
            allowed = f"must not be given with {other}: a later sweep hands over what is done"
            raise InputError("track", self.track, allowed)
        if len(chosen) > 1:
            value = True if chosen[1] == "dry_run" else str(self.export)
            raise InputError(chosen[1], value, f"must not be given with {chosen[0]}")
        if self.export is not None:
            require_table_path("export", self.export)
        elif not chosen:
            require_table_path("output", self.output)
        require_torch()
        from empirical.commands.sweep_view import SweepView
        from empirical.runs.store import RunStore
        from empirical.runs.sweeps import SweepIncomplete, SweepState, all_configs, sweep

        terminal = Terminal(self.json)
        configs = all_configs(experiments)
        if array is not None:
            return self._submit(terminal, experiments, array)
        if self.dry_run:
            return self._dry_run(terminal, experiments)
        if self.status:
            return self._status(terminal, configs)
        if self.export is not None:
            return self._export(terminal, configs, self.export)
        if self.take_free:
            return self._task(terminal, experiments)
        missing: SweepIncomplete | None = None
        keep = RunStore(self.store)
        tracked = self._tracking(keep)
        view = SweepView(keep)
        with terminal.live(view.render) as drawn, ExitStack() as stack:
            report = None if drawn else stack.enter_context(terminal.progress("sweep"))

            def watch(state: SweepState) -> None:
                view(state)
                if report is not None:
                    ended = state.done + state.failed
                    left = f", {view.left()} left" if view.left() else ""
                    report(ended / state.runs, f"{ended} of {state.runs}{left}")

            try:
                table = sweep(
                    experiments, keep, executor, threads=self.threads, data_folder=self.data, download=self.download,
                    device=self.device, keep_weights=self.keep_weights, retries=self.retries,
                    retry_failed=self.retry_failed, watch=watch, progress=lambda done, runs, config: tracked(config),
                )  # fmt: skip
            except SweepIncomplete as error:
                table, missing = error.table, error
        for config in configs:  # those that were done before, too
            tracked(config)
        if len(table):  # what stands there from before is worth more than nothing
            write_table(table, self.output, comment=f"relstab sweep {self.file}")
            terminal.line(f"wrote {self.output}: {len(table)} rows")
        result = {"output": str(self.output), "rows": _json_rows(table), "missing": []}
        if missing is not None:
            terminal.line()
            result["missing"] = _told(terminal, "missing", missing.failures)
            missing.result = result
            raise missing
        return result

    def _tracking(self, store: RunStore) -> Callable[[Config], None]:
        """Hands a run to the tracker, once, if it is done; a tracker that fails is left aside with a warning."""
        if self.track is None:
            return lambda config: None
        from empirical.integrations.trackers import open_tracker, stage_values
        from empirical.runs.sweeps import named
        from empirical.training.config import config_to_dict

        tracker = open_tracker(self.track, self.track_folder)
        seen: set[Config] = set()

        def add(config: Config) -> None:
            table = None if config in seen else store.read(config)
            if table is None:
                return
            seen.add(config)
            try:
                tracker.add(named(config), config_hash(config), config_to_dict(config), stage_values(table))
            except Exception as error:  # whatever a tracker raises, the runs go on
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                warnings.warn(f"{self.track} has not taken {named(config)}: {reason}", stacklevel=2)

        return add

    def _array(self) -> Slurm | None:
        """The array job that the options describe, if they ask for one."""
        if not self.slurm:
            for name in ("jobs", "time", "sbatch"):
                if getattr(self, name) is not None:
                    raise InputError(name, getattr(self, name), "is read with slurm only")
            return None
        if self.ray is not None:
            raise InputError("ray", self.ray, "must not be given with slurm")
        if self.status or self.export is not None:
            raise InputError("slurm", True, "must not be given with status or export")
        options = () if self.sbatch is None else tuple(shlex.split(self.sbatch))
        return Slurm(1 if self.jobs is None else self.jobs, self.workers, self.time, options)

    def _submit(self, terminal: Terminal, experiments: list[Experiment], array: Slurm) -> dict[str, Any]:
        """Submit and end; nothing stays behind on this machine."""
        from empirical.runs.slurm_sweep import SlurmTask, submit_sweep
        from empirical.runs.store import RunStore
        from empirical.runs.sweeps import check_all

        store = RunStore(self.store)
        configs = list(check_all(experiments, self.data, self.download))
        to_do = [config for config in configs if store.state(config) != "done"]
        task = SlurmTask(
            self.data, self.download, self.device, self.threads, self.keep_weights, self.retries, self.retry_failed
        )
        if not to_do:
            terminal.line(f"all {len(configs)} runs are done; nothing was submitted")
            return {"runs": len(configs), "to_do": 0, "job": None, "script": None}
        script, submitted = submit_sweep(experiments, store.folder, array, task, len(to_do), dry=self.dry_run)
        if submitted is None:
            terminal.line(script.rstrip())
        else:
            terminal.line(f"submitted job {submitted.job}: {array.jobs} tasks for {len(to_do)} runs")
            terminal.line(f"to look:  relstab sweep {self.file} --store {self.store} --status")
            terminal.line(f"the table: relstab sweep {self.file} --store {self.store} --export {self.output}")
        job = None if submitted is None else submitted.job
        return {"runs": len(configs), "to_do": len(to_do), "job": job, "script": script}

    def _task(self, terminal: Terminal, experiments: list[Experiment]) -> dict[str, Any]:
        """Do what is free, until nothing is, or until a signal comes."""
        from empirical.runs.store import RunStore
        from empirical.runs.sweeps import SweepIncomplete, sweep

        missing: SweepIncomplete | None = None
        stopped = queued = False
        with stop_politely() as received:
            try:
                table = sweep(
                    experiments, RunStore(self.store), chosen_executor(self.workers, None, cpus_each=self.threads),
                    threads=self.threads, data_folder=self.data, download=self.download, device=self.device,
                    keep_weights=self.keep_weights, retries=self.retries, retry_failed=self.retry_failed,
                    take_free=True, progress=lambda done, runs, config: terminal.line(f"{done} of {runs} runs"),
                )  # fmt: skip
                terminal.line(f"nothing is free: {len(table)} rows are done")
            except SweepIncomplete as error:
                missing = error
            except Stopped:
                stopped = True
        if stopped:
            terminal.line("asked to stop: states are kept")
            sys.stdout.flush()  # Slurm ends a task that is queued again
            queued = received[0] == signal.SIGUSR1 and requeue_this_task()
        result = {"stopped": stopped, "queued": queued, "missing": []}
        if missing is not None:
            result["missing"] = _told(terminal, "missing", missing.failures)
            missing.result = result
            raise missing
        return result

    def _held(self) -> RunStore:
        """The store, which must be there."""
        from empirical.runs.store import RunStore

        if not self.store.is_dir():
            raise InputError("store", str(self.store), "no such folder")
        return RunStore(self.store)

    def _status(self, terminal: Terminal, configs: list[Config]) -> dict[str, Any]:
        from empirical.runs.sweeps import names_apart

        store = self._held()
        states = {config: store.state(config) for config in configs}
        counts = Counter(states.values())
        order: tuple[RunState, ...] = ("done", "running", "cut", "failed", "waiting")
        terminal.table(f"{len(configs)} runs in {self.store}", order, [[str(counts[state]) for state in order]])
        failed = [config for config, state in states.items() if state == "failed"]
        failures = {config: failure for config in failed if (failure := store.failure(config)) is not None}
        told = _told(terminal, "failed", failures)
        at_work = {config: store.holder(config) for config, state in states.items() if state == "running"}
        holders = {config: str(holder) for config, holder in at_work.items() if holder is not None}
        names = names_apart(holders)
        running = [{"run": names[config], "by": holder} for config, holder in holders.items()]
        for one in running:
            terminal.line(f"running: {one['run']}: {one['by']}")
        counted: dict[str, Any] = {state: counts[state] for state in order}
        return {"runs": len(configs), **counted, "failures": told, "at_work": running}

    def _export(self, terminal: Terminal, configs: list[Config], path: Path) -> dict[str, Any]:
        store = self._held()
        tables = [table for config in configs if (table := store.read(config, aside=False)) is not None]
        if not tables:
            raise InputError("store", str(self.store), f"holds none of the {len(configs)} runs of {self.file}")
        table = pd.concat(tables, ignore_index=True)
        write_table(table, path, comment=f"relstab sweep {self.file} --export {path}")
        terminal.line(f"wrote {path}: {len(tables)} of {len(configs)} runs, {len(table)} rows")
        return {"output": str(path), "runs": len(tables), "of": len(configs), "rows": len(table)}

    def _dry_run(self, terminal: Terminal, experiments: list[Experiment]) -> dict[str, Any]:
        """What the sweep would refuse is refused, and what it would leave out is not counted as to do."""
        from empirical.runs.store import RunStore
        from empirical.runs.sweeps import check_all
        from empirical.training.devices import require_device

        here = True
        try:
            require_device(self.device)
        except InputError:
            if self.ray is None:
                raise
            here = False  # the cluster's machines have it, this one need not
        data = check_all(experiments, self.data, self.download)
        configs = list(data)
        store = RunStore(self.store)
        to_do = []
        for config in configs:
            if store.state(config) == "done":
                store.require_data(config, data[config])
            else:
                to_do.append(config)
        known = {} if self.retry_failed else {config: store.failure(config) for config in to_do}
        failures = {config: failure for config, failure in known.items() if failure is not None and failure.final}
        to_do = [config for config in to_do if config not in failures]
        terminal.line(f"{len(configs)} runs, {len(to_do)} to do")
        if failures:
            terminal.line(f"{len(failures)} failed for good, skipped; --retry-failed tries them again")
        told = _told(terminal, "failed", failures)
        costs: dict[Config, float] = {}
        if here and any(kind_of(config).costs for config in to_do):
            with terminal.progress("timing") as report:
                costs = estimated_seconds(to_do, self.data, self.device, report)
        unknown = len(to_do) - len(costs)
        if costs:
            total = sum(costs.values())
            terminal.line(
                f"{len(costs)} image nets: about {duration(total)} one after the other, "
                f"{duration(max(total / self.workers, *costs.values(), 0.0))} with workers = {self.workers}"
            )
        if unknown:
            word = "runs of kinds that are not timed" if costs else "runs"
            terminal.line(f"{unknown} {word}: not known before they have run")
        return {
            "runs": len(configs), "to_do": len(to_do), "failures": told, "seconds": sum(costs.values()),
            "unknown": unknown,
        }  # fmt: skip
