"""A grid of runs, in this process, in several, or on a cluster: a store of what is finished, one curve table.

A sweep that is cut goes on where it stopped when it is called again: finished runs are not done again, and one that was
cut goes on from its last checkpoint. Several sweeps may share a store at the same time.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from empirical.data.named_sets import FOLDER_VARIABLE
from empirical.runs.experiments import Experiment, located
from empirical.runs.kinds import check, kind_of, run
from empirical.runs.slurm_sweep import SlurmTask, submit_sweep
from empirical.runs.store import Failure, RunStore
from empirical.training.config import Config, config_to_dict
from empirical.training.devices import require_device, visible_gpus
from empirical.training.run import RunOptions
from theory.common.errors import Incomplete, InputError, require_integer, require_real
from theory.common.table import curve_table, validate_table
from theory.jobs.executors import Executor, Processes, RayCluster, as_executor
from theory.jobs.slurm import Slurm, job_has_ended
from theory.kernels.threads import get_threads, set_threads
from theory.runs.engine import Finished, Group, Runs, RunsState

__all__ = [
    "Experiment", "RunStore", "SweepIncomplete", "SweepProgress", "SweepState", "SweepWatch",
    "all_configs", "check_all", "named", "names_apart", "require_distinct_rows", "sweep",
]  # fmt: skip

_LOOK = 5.0  # seconds between looks at a job of Slurm that is waited for

#: Called after every run with (runs done or failed, runs in all, the run's configuration).
SweepProgress = Callable[[int, int, Config], None]


SweepState = RunsState
SweepWatch = Callable[[SweepState], None]


class SweepIncomplete(Incomplete):
    """Runs failed. `table` holds the others, `failures` why each of those is missing."""

    def __init__(self, table: pd.DataFrame, failures: dict[Config, Failure], runs: int) -> None:
        self.table, self.failures, self.runs = table, failures, runs
        config, failure = next(iter(failures.items()))
        name = names_apart(failures)[config]
        more = "" if len(failures) == 1 else f", and {len(failures) - 1} more"
        super().__init__(
            f"{len(failures)} of {runs} runs missing: {name}: {failure}{more}; finished ones are kept"
        )


def named(config: Config) -> str:
    """A run in a few words."""
    return ", ".join([*kind_of(config).words(config), f"P = {config.train_size}", f"seed {config.seed}"])


def names_apart(configs: Iterable[Config]) -> dict[Config, str]:
    """`named`, and for those of one name also the settings in which they differ."""
    alike: dict[str, list[Config]] = {}
    for config in configs:
        alike.setdefault(named(config), []).append(config)
    found: dict[Config, str] = {}
    for name, group in alike.items():
        values = [config_to_dict(config) for config in group]
        keys = [key for key in values[0] if len({repr(one.get(key)) for one in values}) > 1]
        for config, one in zip(group, values, strict=True):
            found[config] = ", ".join([name, *(f"{key} = {one.get(key)}" for key in keys)])
    return found


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """CPU threads set to `count` inside; sums of torch and of matrix libraries depend on how they are divided, and
    clusters set these in the environment.
    """
    before, kernels = torch.get_num_threads(), get_threads()
    torch.set_num_threads(count)
    set_threads(count)
    try:
        with threadpool_limits(count, "blas"):
            yield
    finally:
        torch.set_num_threads(before)
        set_threads(kernels)


@dataclass(frozen=True, slots=True)
class _Options:
    """What all runs of a sweep share."""

    data_folder: str | None
    download: bool
    device: str
    threads: int
    keep_weights: bool
    checkpoint_seconds: float


def _run(group: Group, store: RunStore | None, options: _Options, data: str | None) -> dict[Config, Finished]:
    """Train on as many threads as are asked for, whoever the caller: the same table from one process as from many."""
    (config,) = group
    _require_here(config, options, data)
    here = RunOptions(
        options.data_folder, options.download, options.device,
        checkpoint=None if store is None else store.checkpoint(config),
        checkpoint_seconds=options.checkpoint_seconds,
        keep_checkpoint=True,
        log=None if store is None else store.log(config),
    )  # fmt: skip
    with _threads(options.threads):
        done = run(config, here)
        if store is not None:
            store.write(done, options.device, options.keep_weights)
    return {config: Finished(done.table, done.shortfall)}


def _require_here(config: Config, options: _Options, data: str | None) -> None:
    """What the first process has looked at is on this machine, too, and the same: if not, another try may do."""
    try:
        here = check(config, options.data_folder, options.download)
        require_device(options.device)
    except InputError as error:
        raise RuntimeError(f"{platform.node()}: {error}") from error
    if here != data:
        raise RuntimeError(f"{platform.node()}: the images are not those of the machine that the sweep began on")


def _unreached(config: Config, table: pd.DataFrame) -> list[float]:
    """Unfit fractions, of a kind that is recorded at some, that the run did not come to."""
    stages = set(table["stage"])
    return [fraction for fraction in getattr(config, "unfit_fractions", ()) if f"q={fraction:g}" not in stages]


def require_distinct_rows(configs: list[Config], data_folder: str | Path | None = None) -> None:
    """InputError if two runs would fill the same rows of the curve table, which does not hold every setting."""
    options = RunOptions(data_folder)
    seen: dict[tuple[object, ...], Config] = {}
    for config in configs:
        key = (config.kind, *kind_of(config).told(config, options))
        if key in seen:
            raise InputError(
                "experiments", f"{len(configs)} runs",
                "two differ only in settings that the curve table does not hold: sweep them into tables of their own",
            )  # fmt: skip
        seen[key] = config


def check_all(
    experiments: Iterable[Experiment], data_folder: str | Path | None = None, download: bool = False
) -> dict[Config, str | None]:
    """`check` of every run, with the line of an experiment's file in its error, and `require_distinct_rows`."""
    found: dict[Config, str | None] = {}
    for grid in experiments:
        try:
            found |= {config: check(config, data_folder, download) for config in grid.configs() if config not in found}
        except InputError as error:
            raise located(grid, error) from error
    require_distinct_rows(list(found), data_folder)
    return found


def sweep(
    experiments: Experiment | Iterable[Experiment],
    store: str | Path | RunStore | None = None,
    executor: int | Executor | Slurm = 1,
    *,
    threads: int = 1,
    data_folder: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    keep_weights: bool = True,
    retries: int = 1,
    retry_failed: bool = False,
    checkpoint_seconds: float = 60.0,
    take_free: bool = False,
    progress: SweepProgress | None = None,
    watch: SweepWatch | None = None,
) -> pd.DataFrame:
    """Run every configuration of `experiments` that the store does not hold; the curve table of them all.

    Parameters
    ----------
    store : folder (or `RunStore`) of finished runs, read and added to; None keeps nothing
    executor : number of worker processes, 1 being this one, or an executor: `theory.InProcess`, `theory.Processes`,
        `theory.RayCluster`, or `theory.Slurm`, which submits an array job and waits for its end. The table is the same
        from each, to the bit on one kind of machine. Several processes with device "cuda" have the GPUs dealt out to
        them
    threads : of a run; sums depend on it, so that tables made with other numbers differ by rounding and its growth
    data_folder, download : see `empirical.load_data`
    keep_weights : whether the store also keeps the trained nets, as weights.safetensors; a run that was finished
        without, or whose weights were deleted, is not done again for them
    device : where image nets are trained; the stripe's are on the CPU
    retries : how often a run is tried again whose process died or that met an error of the system
    retry_failed : also try what failed in an earlier sweep for a reason that would come again, such as a loss that is
        not finite; by default those count as missing
    checkpoint_seconds : image nets leave their state in the store so often, and go on from there
    take_free : do what nobody is at, and do not wait for what others are doing: the table then lacks these runs
    watch : called when a run starts, ends or fails

    Raises
    ------
    InputError
        Before anything runs, if a configuration cannot be run (see `empirical.check`).
    SweepIncomplete
        At the end, if runs failed. The others are done, kept, and in the error's table.
    Stopped
        If the process was asked to stop (`theory.jobs.stopping`) and runs are left, whose states are kept.
    """
    if isinstance(executor, Slurm):
        return _on_slurm(experiments, store, executor, SlurmTask(
            data_folder, download, device, threads, keep_weights, retries, retry_failed
        ))  # fmt: skip
    workers = as_executor(executor)
    require_integer("threads", threads, 1)
    require_integer("retries", retries, 0)
    require_real("checkpoint_seconds", checkpoint_seconds, minimum=0)
    grids = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    configs = all_configs(grids)
    if isinstance(workers, RayCluster):  # its machines have the device, this one need not
        if device.startswith("cuda") and not workers.gpus:
            raise InputError("gpus", workers.gpus, "must be above 0 for runs on the cluster's GPUs")
    else:
        require_device(device)
    given = data_folder if data_folder is not None else os.environ.get(FOLDER_VARIABLE)
    # Absolute, and here: runs may be done by processes that work elsewhere and know other variables.
    folder = None if given is None else str(Path(given).absolute())
    data = check_all(grids, folder, download)
    keep = RunStore(store) if isinstance(store, str | Path) else store
    if keep is not None:
        keep.make()  # here alone: on a machine of a cluster that does not see the folder a run must fail
    options = _Options(folder, download, device, threads, keep_weights, checkpoint_seconds)
    if isinstance(workers, Processes) and device == "cuda" and not workers.gpus:
        workers = Processes(workers.workers, visible_gpus())

    def ended(config: Config) -> None:
        if progress is not None:
            progress(len(work.finished) + len(work.failures), len(configs), config)

    work = Runs(configs, keep, retry_failed=retry_failed, ended=ended, watch=watch)
    work.look()
    if keep is not None:
        for config in work.finished:
            keep.require_data(config, data[config])
    work.complete(
        _run, workers, arguments=lambda group: (options, data[group[0]]), retries=retries, take_free=take_free
    )
    tables = {config: done.table for config, done in work.finished.items()}
    for config, rows in tables.items():
        if (rows["converged"] == 0).any():
            warnings.warn(f"{named(config)}: not converged", RuntimeWarning, stacklevel=2)
        if missed := _unreached(config, rows):
            listed = ", ".join(f"{fraction:g}" for fraction in missed)
            warnings.warn(f"{named(config)}: unfit fraction not reached: {listed}", RuntimeWarning, stacklevel=2)
    table = curve_table([])
    if tables:
        table = validate_table(pd.concat([tables[config] for config in configs if config in tables], ignore_index=True))
    if work.failures:
        raise SweepIncomplete(table, work.failures, len(configs))
    return table


def _on_slurm(
    experiments: Experiment | Iterable[Experiment], store: str | Path | RunStore | None, array: Slurm, task: SlurmTask
) -> pd.DataFrame:
    """Submit, wait until the array has ended, and gather what it left in the store."""
    if store is None:
        raise InputError("store", store, "must be a folder that the cluster's machines share")
    keep = RunStore(store) if isinstance(store, str | Path) else store
    grids = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    configs = list(check_all(grids, task.data_folder, task.download))
    to_do = [config for config in configs if keep.state(config) != "done"]
    if to_do:
        _, submitted = submit_sweep(grids, keep.folder, array, task, len(to_do))
        assert submitted is not None
        while not job_has_ended(submitted.job):
            time.sleep(_LOOK)
    tables = {config: keep.read(config) for config in configs}
    gone = Failure("Slurm", f"no task did it; see the logs in {keep.folder / '.slurm'}", 0, False)
    failures = {config: keep.failure(config) or gone for config, table in tables.items() if table is None}
    found = [table for table in tables.values() if table is not None]
    table = validate_table(pd.concat(found, ignore_index=True)) if found else curve_table([])
    if failures:
        raise SweepIncomplete(table, failures, len(configs))
    return table


def all_configs(experiments: Experiment | Iterable[Experiment]) -> list[Config]:
    """Those of all experiments, each once, in order."""
    grids = [experiments] if isinstance(experiments, Experiment) else experiments
    return list(dict.fromkeys(config for grid in grids for config in grid.configs()))
