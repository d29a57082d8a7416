"""The command `relstab sweep`: a grid of nets from a file; what is done, and what it would take."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import tyro

from empirical.experiments import Config, read_experiments
from empirical.measure_command import require_torch
from theory.errors import InputError, require_integer, require_real
from theory.executors import chosen_executor
from theory.table import require_table_path, write_table
from theory.terminal import Terminal, duration

if TYPE_CHECKING:
    from empirical.store import RunState, RunStore

__all__ = ["Sweep"]


def _json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.dropna(axis=1, how="all").to_json(orient="records"))
    return rows


@dataclass(frozen=True)
class Sweep:
    """Train and measure a grid of nets, or solve one of flows, described in a TOML file, and write the curve table.

    The file holds [[experiment]] tables with kind = "image", "stripe" or "theory", train_sizes, seeds, architectures,
    and any other setting that is to differ from its default. Finished runs are kept in the store and not done again;
    one that was cut goes on from its last checkpoint; one that fails does not stop the others. What is missing in the
    end is listed with the reason, and the exit status is 1.

    For example:
    - `relstab sweep experiment.toml --data DATA --store runs --workers 2 --output curve.csv`
    - `relstab sweep experiment.toml --ray local`
    - `relstab sweep experiment.toml --ray auto --device cuda --gpus-per-run 0.25 --store /shared/runs`
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
    """Train nothing: say how many runs there are to do, and what they would take by a few timed steps."""
    export: Path | None = None
    """Train nothing: write the table of what is done, .csv or .parquet."""
    json: bool = False
    """Print JSON instead of lines."""

    def run(self) -> dict[str, Any]:
        experiments = read_experiments(self.file)
        for name, minimum in (("workers", 1), ("threads", 1), ("retries", 0)):
            require_integer(name, getattr(self, name), minimum)
        require_real("gpus_per_run", self.gpus_per_run, minimum=0)
        if self.gpus_per_run and self.ray is None:
            raise InputError("gpus_per_run", self.gpus_per_run, "is read with ray only")
        executor = chosen_executor(self.workers, self.ray, cpus_each=self.threads, gpus_each=self.gpus_per_run)
        chosen = [name for name in ("status", "dry_run", "export") if getattr(self, name)]
        if len(chosen) > 1:
            raise InputError(chosen[1], True, f"must not be given with {chosen[0]}")
        require_table_path("output", self.output)
        require_torch()
        from empirical.store import RunStore
        from empirical.sweep_view import SweepView
        from empirical.sweeps import SweepIncomplete, SweepState, all_configs, sweep

        terminal = Terminal(self.json)
        configs = all_configs(experiments)
        if chosen:
            if chosen != ["dry_run"] and not self.store.is_dir():
                raise InputError("store", str(self.store), "no such folder")
            store = RunStore(self.store) if self.store.is_dir() else None
            if self.status:
                assert store is not None
                return self._status(terminal, configs, store)
            if self.export is not None:
                assert store is not None
                return self._export(terminal, configs, store, self.export)
            return self._dry_run(terminal, configs, store)
        missing: SweepIncomplete | None = None
        keep = RunStore(self.store)
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
                    retry_failed=self.retry_failed, watch=watch,
                )  # fmt: skip
            except SweepIncomplete as error:
                table, missing = error.table, error
        if len(table):  # what stands there from before is worth more than nothing
            write_table(table, self.output, comment=f"relstab sweep {self.file}")
            terminal.line(f"wrote {self.output}: {len(table)} rows")
        result = {"output": str(self.output), "rows": _json_rows(table), "missing": []}
        if missing is not None:
            from empirical.sweeps import named

            terminal.line()
            for config, failure in missing.failures.items():
                terminal.line(f"missing: {named(config)}: {failure}")
            result["missing"] = [{"run": named(c), "why": str(f)} for c, f in missing.failures.items()]
            missing.result = result
            raise missing
        return result

    def _status(self, terminal: Terminal, configs: list[Config], store: RunStore) -> dict[str, Any]:
        from empirical.sweeps import named

        states = {config: store.state(config) for config in configs}
        counts = Counter(states.values())
        order: tuple[RunState, ...] = ("done", "running", "cut", "failed", "waiting")
        terminal.table(f"{len(configs)} runs in {self.store}", order, [[str(counts[state]) for state in order]])
        failed = {named(c): str(store.failure(c)) for c, state in states.items() if state == "failed"}
        for run, why in failed.items():
            terminal.line(f"failed: {run}: {why}")
        return {"runs": len(configs), **{state: counts[state] for state in order}, "failures": failed}

    def _export(self, terminal: Terminal, configs: list[Config], store: RunStore, path: Path) -> dict[str, Any]:
        require_table_path("export", path)
        tables = [table for config in configs if (table := store.read(config, aside=False)) is not None]
        if not tables:
            raise InputError("store", str(self.store), f"holds none of the {len(configs)} runs of {self.file}")
        table = pd.concat(tables, ignore_index=True)
        write_table(table, path, comment=f"relstab sweep {self.file} --export {path}")
        terminal.line(f"wrote {path}: {len(tables)} of {len(configs)} runs, {len(table)} rows")
        return {"output": str(path), "runs": len(tables), "of": len(configs), "rows": len(table)}

    def _dry_run(self, terminal: Terminal, configs: list[Config], store: RunStore | None) -> dict[str, Any]:
        from empirical.costs import estimated_seconds
        from empirical.training import check

        for config in configs:
            check(config, self.data, self.download)
        to_do = [config for config in configs if store is None or store.state(config) != "done"]
        costs = estimated_seconds(to_do, self.data, self.device)
        unknown = len(to_do) - len(costs)
        terminal.line(f"{len(configs)} runs, {len(to_do)} to do")
        if costs:
            total = sum(costs.values())
            terminal.line(
                f"{len(costs)} image nets: about {duration(total)} on one core, "
                f"{duration(max(total / self.workers, *costs.values(), 0.0))} with workers = {self.workers}"
            )
        if unknown:
            terminal.line(f"{unknown} stripe nets and flows: not known before they have run")
        return {"runs": len(configs), "to_do": len(to_do), "seconds": sum(costs.values()), "unknown": unknown}

