"""R_f against the training-set size: trajectories over P and seeds, in worker processes, resumed after a kill."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.common.table import curve_table
from theory.flow.simulation import simulate_many
from theory.jobs.executors import Executor, as_executor, run_jobs
from theory.kernels import get_kernel
from theory.kernels.threads import one_thread
from theory.model.configuration import FlowConfig
from theory.model.tasks import Task
from theory.runs.store import CurveStore, Finished

__all__ = ["CurveProgress", "curve"]

#: Called with the part of the work done, in [0, 1], and what was just finished, or found in the store.
CurveProgress = Callable[[float, Finished], None]


#: Seeds that a GPU serves with one launch.
_TOGETHER = 16


def _simulate(
    task: Task,
    train_size: int,
    seeds: tuple[int, ...],
    config: FlowConfig,
    neuron_seed: int | None,
    backend: str,
    store: CurveStore | None,
) -> list[Finished]:
    with warnings.catch_warnings():
        # The caller warns: of what was computed in other processes, and of what was found in the store.
        warnings.filterwarnings("ignore", message=r"P = \d+, seed", category=RuntimeWarning)
        trajectories = simulate_many(
            task, train_size, config, seeds=seeds, neuron_seed=neuron_seed, backend=backend,
            finish=None if store is None else lambda trajectory: store.write(Finished.of(trajectory)),
        )  # fmt: skip
    return [Finished.of(trajectory) for trajectory in trajectories]


def _grouped(jobs: list[tuple[int, int]], together: int) -> list[tuple[int, tuple[int, ...]]]:
    """(P, seeds) from (P, seed), so many seeds of one P together at most."""
    sizes: dict[int, list[int]] = {}
    for size, seed in jobs:
        sizes.setdefault(size, []).append(seed)
    return [
        (size, tuple(seeds[start : start + together]))
        for size, seeds in sizes.items()
        for start in range(0, len(seeds), together)
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
    kept = None if store is None else CurveStore(store, task, config, neuron_seed, backend)
    jobs = [(int(size), int(seed)) for size in sorted(set(train_sizes), reverse=True) for seed in sorted(set(seeds))]
    total = sum(size for size, _ in jobs)
    done: dict[tuple[int, int], Finished] = {}

    def finish(job: tuple[int, int], finished: Finished) -> None:
        done[job] = finished
        if finished.stop_reason != "reached":
            warnings.warn(
                f"P = {finished.train_size}, seed {finished.seed}: {finished.stop_reason} after "
                f"{finished.evaluations} evaluations; {len(config.unfit_fractions) - len(finished.stages())} of "
                f"{len(config.unfit_fractions)} records are missing",
                RuntimeWarning,
                stacklevel=4,
            )
        if progress is not None:
            progress(sum(size for size, _ in done) / total, finished)

    if kept is not None:
        for job in jobs:
            if (found := kept.read(*job)) is not None:
                finish(job, found)
    together = _TOGETHER if backend == "cupy" else 1
    groups = _grouped([job for job in jobs if job not in done], together)

    def finish_group(group: tuple[int, tuple[int, ...]], finished: list[Finished]) -> None:
        for seed, one in zip(group[1], finished, strict=True):
            finish((group[0], seed), one)

    calls = {group: (task, *group, config, neuron_seed, backend, kept) for group in groups}
    run_jobs(_simulate, calls, executor, finish_group, one_thread, retries=retries)
    rows = [row for job in sorted(done) for row in done[job].rows]
    if not rows:
        raise InputError("unfit_fractions", config.unfit_fractions, "no trajectory reached any of them")
    return curve_table(rows)
