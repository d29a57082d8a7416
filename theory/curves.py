"""R_f against the training-set size: trajectories over P and seeds, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from theory.errors import MAXIMUM_SEED, InputError, require_integer
from theory.flow import FlowConfig, simulate
from theory.kernels import get_kernel
from theory.table import curve_table
from theory.tasks import Task
from theory.trajectory import Trajectory
from theory.workers import run_jobs

__all__ = ["CurveProgress", "curve"]

#: Called with the part of the work done, in [0, 1], and the trajectory just finished.
CurveProgress = Callable[[float, Trajectory], None]


def _one_thread() -> None:
    """In a worker: one thread, the other workers have the other cores. Results do not depend on it."""
    import numba

    numba.set_num_threads(1)


def _simulate(
    task: Task, train_size: int, seed: int, config: FlowConfig, neuron_seed: int | None, backend: str
) -> Trajectory:
    return simulate(task, train_size, config, seed=seed, neuron_seed=neuron_seed, backend=backend)


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
    for name, values, minimum, maximum in (("train_sizes", train_sizes, 1, None), ("seeds", seeds, 0, MAXIMUM_SEED)):
        if not len(values):
            raise InputError(name, list(values), "must hold at least one")
        for value in values:
            require_integer(name, value, minimum, maximum)
    require_integer("workers", workers, 1)
    get_kernel(backend)
    jobs = [(size, seed) for size in sorted(set(train_sizes), reverse=True) for seed in sorted(set(seeds))]
    total = sum(size for size, _ in jobs)
    done: dict[tuple[int, int], Trajectory] = {}

    def finish(job: tuple[int, int], trajectory: Trajectory) -> None:
        done[job] = trajectory
        if progress is not None:
            progress(sum(size for size, _ in done) / total, trajectory)

    run_jobs(_simulate, {job: (task, *job, config, neuron_seed, backend) for job in jobs}, workers, finish, _one_thread)
    rows = [row for job in sorted(done) for row in done[job].rows()]
    if not rows:
        raise InputError("unfit_fractions", config.unfit_fractions, "no trajectory reached any of them")
    return curve_table(rows)
