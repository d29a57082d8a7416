"""R_f against the training-set size: trajectories over P and seeds, in worker processes, resumed after a kill."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.common.table import curve_table, validate_table
from theory.flow.simulation import trajectories
from theory.flow.trajectory import Trajectory
from theory.jobs.executors import Executor, as_executor
from theory.kernels import get_kernel
from theory.kernels.threads import one_thread
from theory.model.configuration import FlowConfig
from theory.model.tasks import Task
from theory.runs.engine import Finished, Runs
from theory.runs.flow_config import TheoryConfig, flow_run
from theory.runs.old_curves import kept_before
from theory.runs.run_config import Config
from theory.runs.store import RunStore

__all__ = ["CurveProgress", "curve"]

#: Called with the part of the work done, in [0, 1], and the run that was just finished, or found in the store.
CurveProgress = Callable[[float, Config], None]

#: Seeds that a GPU serves with one launch.
_TOGETHER = 16


def _flows(group: tuple[TheoryConfig, ...], store: RunStore | None) -> dict[Config, Finished]:
    """Trajectories that differ in their seed alone: their rows, kept as each of them ends."""
    first, of_seed = group[0], {run.seed: run for run in group}
    found: dict[Config, Finished] = {}

    def finish(trajectory: Trajectory) -> None:
        run, rows = of_seed[trajectory.seed], trajectory.rows()
        if rows:  # as in a sweep's run
            rows[-1]["seconds"] = trajectory.seconds
        found[run] = Finished(curve_table(rows), trajectory.shortfall)
        if store is not None:
            store.keep(run, found[run].table, shortfall=trajectory.shortfall)

    trajectories(
        first.task, first.train_size, first.flow, seeds=tuple(of_seed), neuron_seed=first.neuron_seed,
        backend=first.backend, finish=finish,
    )  # fmt: skip
    return found


def _grouped(runs: Sequence[Config], most: int) -> list[tuple[Config, ...]]:
    """So many runs of one P together at most."""
    sizes: dict[int, list[Config]] = {}
    for run in runs:
        sizes.setdefault(run.train_size, []).append(run)
    return [
        tuple(alike[start : start + most]) for alike in sizes.values() for start in range(0, len(alike), most)
    ]


def curve(
    task: Task,
    train_sizes: Sequence[int],
    seeds: Sequence[int],
    config: FlowConfig | None = None,
    *,
    neuron_seed: int | None = None,
    backend: str = "auto",
    workers: int | Executor = 1,
    retries: int = 1,
    store: str | Path | None = None,
    progress: CurveProgress | None = None,
) -> pd.DataFrame:
    """The curve table of `simulate` at every P and seed, ordered by P, then seed, then stage.

    A seed's training sets are nested and its neurons the same at every P, so points of one seed are
    correlated along P: fit seed by seed. `workers` processes, or an executor such as `theory.RayCluster`, share the
    trajectories, largest P first; the table depends neither on which nor on their number. A trajectory whose process
    dies is tried again up to `retries` times. With a folder `store`, every finished trajectory is kept there at once,
    and one that is there is not computed again: after a kill, the same call goes on. A trajectory that ended
    before its last unfit fraction gives the rows it reached, and a warning each time.

    Raises
    ------
    InputError
        Before anything runs if an argument is not allowed; and if no trajectory reached any record.
    """
    config = FlowConfig() if config is None else config
    for name, values, minimum, maximum in (("train_sizes", train_sizes, 1, None), ("seeds", seeds, 0, MAXIMUM_SEED)):
        if not len(values):
            raise InputError(name, list(values), "must hold at least one")
        for value in values:
            require_integer(name, value, minimum, maximum)
    executor = as_executor(workers, "workers")
    require_integer("retries", retries, 0)
    neuron_seed = None if neuron_seed is None else require_integer("neuron_seed", neuron_seed, 0)
    if config.lazy and neuron_seed is not None:
        raise InputError("neuron_seed", neuron_seed, "must be None in the lazy limit, which has infinitely many")
    get_kernel(backend)
    runs = [
        flow_run(task, int(size), config, seed=int(seed), neuron_seed=neuron_seed, backend=backend)
        for size in sorted(set(train_sizes), reverse=True)
        for seed in sorted(set(seeds))
    ]
    kept = None if store is None else RunStore(store)
    if kept is not None:
        kept.make()
    total = sum(run.train_size for run in runs)

    def ended(run: Config) -> None:
        if progress is not None:
            progress(sum(done.train_size for done in work.finished) / total, run)

    # What failed before is tried again: its error is to be raised here.
    work = Runs(runs, kept, retry_failed=True, ended=ended)
    work.look()
    for run in runs:
        if run in work.failures:
            raise OSError(f"P = {run.train_size}, seed {run.seed}: {work.failures[run]}")
        before = None if kept is None or run in work.finished else kept_before(kept.folder, run)
        if before is not None:
            work.finished[run] = Finished(*before)
        if run in work.finished:
            ended(run)
    work.complete(
        _flows, executor, together=partial(_grouped, most=_TOGETHER if backend == "cupy" else 1), retries=retries,
        fail_fast=True, initializer=one_thread,
    )  # fmt: skip
    for run in runs:
        if lacks := work.finished[run].shortfall:
            warnings.warn(f"P = {run.train_size}, seed {run.seed}: {lacks}", RuntimeWarning, stacklevel=2)
    found = [work.finished[run].table for run in sorted(runs, key=lambda run: (run.train_size, run.seed))]
    filled = [table for table in found if len(table)]
    if not filled:
        raise InputError("unfit_fractions", config.unfit_fractions, "no trajectory reached any of them")
    return validate_table(pd.concat(filled, ignore_index=True).assign(seconds=math.nan))
