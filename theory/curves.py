"""R_f against the training-set size: trajectories over P and seeds, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import pandas as pd

from theory.errors import InputError, require_integer
from theory.flow import FlowConfig, simulate
from theory.kernels import get_kernel
from theory.table import curve_table
from theory.tasks import Task
from theory.trajectory import Trajectory

__all__ = ["CurveProgress", "curve"]

#: Called with the part of the work done, in [0, 1], and the trajectory just finished.
CurveProgress = Callable[[float, Trajectory], None]


def _limit_threads() -> None:
    """In a worker: one thread, the other workers have the other cores. Results do not depend on it."""
    import numba

    numba.set_num_threads(1)


def curve(
    task: Task,
    train_sizes: Sequence[int],
    seeds: Sequence[int],
    config: FlowConfig | None = None,
    *,
    neuron_seed: int | None = None,
    backend: str = "auto",
    workers: int = 1,
    progress: CurveProgress | None = None,
) -> pd.DataFrame:
    """The curve table of `simulate` at every P and seed, ordered by P, then seed, then stage.

    A seed's training sets are nested and its neurons the same at every P, so points of one seed are
    correlated along P: fit seed by seed. `workers` processes share the trajectories, largest P first; the
    table does not depend on their number.

    Raises
    ------
    InputError
        Before anything runs if an argument is not allowed; and if no trajectory reached any record.
    """
    config = FlowConfig() if config is None else config
    for name, values, minimum in (("train_sizes", train_sizes, 1), ("seeds", seeds, 0)):
        if not len(values):
            raise InputError(name, list(values), "must hold at least one")
        for value in values:
            require_integer(name, value, minimum)
    require_integer("workers", workers, 1)
    get_kernel(backend)
    jobs = [(size, seed) for size in sorted(set(train_sizes), reverse=True) for seed in sorted(set(seeds))]
    total = sum(size for size, _ in jobs)
    done: dict[tuple[int, int], Trajectory] = {}
    arguments = {"neuron_seed": neuron_seed, "backend": backend}

    def finish(job: tuple[int, int], trajectory: Trajectory) -> None:
        done[job] = trajectory
        if progress is not None:
            progress(sum(size for size, _ in done) / total, trajectory)

    if workers == 1 or len(jobs) == 1:
        for size, seed in jobs:
            finish((size, seed), simulate(task, size, config, seed=seed, **arguments))  # type: ignore[arg-type]
    else:
        context = get_context("spawn")  # fork and compiled threads do not mix
        with ProcessPoolExecutor(min(workers, len(jobs)), context, _limit_threads) as pool:
            futures = {
                pool.submit(simulate, task, size, config, seed=seed, **arguments): (size, seed)  # type: ignore[arg-type]
                for size, seed in jobs
            }
            try:
                for future in as_completed(futures):
                    finish(futures[future], future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    rows = [row for job in sorted(done) for row in done[job].rows()]
    if not rows:
        raise InputError("unfit_fractions", config.unfit_fractions, "no trajectory reached any of them")
    return curve_table(rows)
