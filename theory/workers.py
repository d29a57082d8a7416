"""Independent jobs in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

from theory.errors import require_integer

__all__ = ["one_thread", "run_jobs"]

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def one_thread() -> None:
    """In a worker: one thread, the other workers have the other cores. Results do not depend on it."""
    import numba

    numba.set_num_threads(1)


def run_jobs(
    function: Callable[..., Result],
    jobs: Mapping[Key, tuple[Any, ...]],
    workers: int,
    finish: Callable[[Key, Result], None],
    initializer: Callable[[], None] | None = None,
) -> None:
    """Call `function` on the arguments of every job, and `finish` in this process as each one ends.

    With one worker, or one job, everything runs here and in order. Otherwise jobs start in order in at most
    `workers` fresh processes (threads of compiled code and forks do not mix), each after `initializer`. The
    first error ends it: jobs that have not started are dropped, those that have are waited for, and the error is
    raised here.
    """
    require_integer("workers", workers, 1)
    if workers == 1 or len(jobs) < 2:
        for key, arguments in jobs.items():
            finish(key, function(*arguments))
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), initializer) as pool:
        futures = {pool.submit(function, *arguments): key for key, arguments in jobs.items()}
        try:
            for future in as_completed(futures):
                finish(futures[future], future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
