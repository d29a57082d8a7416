"""Run independent jobs, here or elsewhere, with retries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from theory.common.errors import InputError, require_integer
from theory.jobs.processes import Processes
from theory.jobs.ray_cluster import RayCluster
from theory.jobs.stopping import Stopped, asked_to_stop
from theory.jobs.work import Executor, Work

__all__ = ["Executor", "Fail", "InProcess", "Processes", "RayCluster", "as_executor", "chosen_executor", "run_jobs"]

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
#: Called with a job's key, its last error and how often it was tried.
Fail = Callable[[Any, Exception, int], None]


@dataclass(frozen=True, slots=True)
class InProcess:
    """All in this process, one after the other; `initializer` is for workers and not called."""

    def distribute(self, work: Work) -> None:
        work.here()


def as_executor(executor: int | Executor, parameter: str = "executor") -> Executor:
    """An executor as it is; a number of worker processes as one, 1 being this process.

    Raises
    ------
    InputError
        If it is neither.
    """
    if callable(getattr(executor, "distribute", None)):
        return executor  # type: ignore[return-value]
    workers = require_integer(parameter, executor, 1)
    return InProcess() if workers == 1 else Processes(workers)


def chosen_executor(
    workers: int, ray: str | None, gpus: tuple[str, ...] = (), *, cpus_each: int = 1, gpus_each: float = 0.0
) -> Executor:
    """What a command's options ask for: a Ray cluster at an address ("local": one made here), else processes.

    On a cluster one worker, the usual number, stands for as many jobs at a time as there is room for.
    """
    if ray is not None:
        address = None if ray == "local" else ray
        most = None if workers == 1 else workers
        return RayCluster(address, most, cpus_each, gpus_each)
    return Processes(workers, gpus) if gpus else as_executor(workers, "workers")


def run_jobs(
    function: Callable[..., Result],
    jobs: Mapping[Key, tuple[Any, ...]],
    executor: int | Executor,
    finish: Callable[[Key, Result], None],
    initializer: Callable[[], None] | None = None,
    *,
    retries: int = 0,
    fail: Fail | None = None,
    start: Callable[[Key], None] | None = None,
) -> None:
    """Call `function` on the arguments of every job, and `finish` in this process as each one ends.

    Jobs start in order: here with `InProcess` (1), in fresh processes with `Processes` (a number above 1), on the
    machines of a Ray cluster with `RayCluster`.

    A job that fails is tried again up to `retries` times, after all others, unless its error is an `InputError`, which
    would come again. Then `fail` is called and the others go on; without `fail` the first such error ends it: jobs that
    have not started are dropped, those that have are waited for and finished, and the error is raised here.

    Raises
    ------
    Stopped
        If the process was asked to stop (`theory.jobs.stopping`) and jobs are left; those that had started were given
        time to keep their state.

    Parameters
    ----------
    initializer : called once in every worker process
    start : called in this process before each try
    """
    runner = as_executor(executor, "workers")
    require_integer("retries", retries, 0)
    waiting: deque[tuple[Key, int]] = deque((key, 1) for key in jobs)
    raised: list[Exception] = []
    ended: set[Key] = set()

    def settle(key: Key, tries: int, outcome: Result | Exception) -> None:
        ended.add(key)
        if not isinstance(outcome, Exception):
            finish(key, outcome)
        elif tries <= retries and not isinstance(outcome, InputError):
            ended.discard(key)
            waiting.append((key, tries + 1))
        elif fail is not None:
            fail(key, outcome, tries)
        else:
            raised.append(outcome)
            waiting.clear()

    work = Work(function, jobs, waiting, settle, start if start is not None else lambda key: None, initializer)
    if jobs:
        runner.distribute(work)
    if raised:
        raise raised[0]
    if asked_to_stop() and len(ended) < len(jobs):
        raise Stopped
