"""Independent jobs in this process or in several, which may die."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from theory.errors import InputError, require_integer

__all__ = ["Fail", "WorkerDied", "one_thread", "run_jobs"]

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
#: Called with a job's key, its last error and how often it was tried.
Fail = Callable[[Any, Exception, int], None]


class WorkerDied(RuntimeError):
    """A worker process ended in the middle of a job: killed, out of memory, or crashed in compiled code."""


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
    *,
    retries: int = 0,
    fail: Fail | None = None,
    start: Callable[[Key], None] | None = None,
) -> None:
    """Call `function` on the arguments of every job, and `finish` in this process as each one ends.

    With one worker, or one job, everything runs here and in order. Otherwise jobs start in order in at most
    `workers` fresh processes (threads of compiled code and forks do not mix), each after `initializer`. A process that
    dies is replaced; none outlives this one, however this one ends.

    A job that fails is tried again up to `retries` times, after all others, unless its error is an `InputError`, which
    would come again. Then `fail` is called and the others go on; without `fail` the first such error ends it: jobs that
    have not started are dropped, those that have are waited for and finished, and the error is raised here.

    Parameters
    ----------
    start : called in this process before each try
    """
    require_integer("workers", workers, 1)
    require_integer("retries", retries, 0)
    waiting: deque[tuple[Key, int]] = deque((key, 1) for key in jobs)
    raised: list[Exception] = []

    def settle(key: Key, tries: int, outcome: Result | Exception) -> None:
        if not isinstance(outcome, Exception):
            finish(key, outcome)
        elif tries <= retries and not isinstance(outcome, InputError):
            waiting.append((key, tries + 1))
        elif fail is not None:
            fail(key, outcome, tries)
        else:
            raised.append(outcome)
            waiting.clear()

    if workers == 1 or len(jobs) < 2:
        while waiting:
            key, tries = waiting.popleft()
            if start is not None:
                start(key)
            settle(key, tries, _attempt(function, jobs[key]))
    else:
        _distribute(function, jobs, min(workers, len(jobs)), waiting, settle, initializer, start)
    if raised:
        raise raised[0]


def _attempt(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | Exception:
    try:
        return function(*arguments)
    except Exception as error:
        return error


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    key: Any
    tries: int


def _distribute(
    function: Callable[..., Any],
    jobs: Mapping[Any, tuple[Any, ...]],
    workers: int,
    waiting: deque[tuple[Any, int]],
    settle: Callable[[Any, int, Any], None],
    initializer: Callable[[], None] | None,
    start: Callable[[Any], None] | None,
) -> None:
    """Hand out what waits, one job to a process at a time, and settle what comes back."""
    context = get_context("spawn")
    busy: list[_Worker] = []
    idle: list[_Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                key, tries = waiting.popleft()
                if idle:
                    worker = idle.pop()
                else:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(theirs, function, initializer), daemon=True)
                    process.start()
                    theirs.close()
                    worker = _Worker(process, ours, key, tries)
                worker.key, worker.tries = key, tries
                if start is not None:
                    start(key)
                try:
                    worker.connection.send(jobs[key])
                except OSError:  # it died while it had nothing to do: that is no try of this job
                    worker.process.join()
                    waiting.appendleft((key, tries))
                    continue
                busy.append(worker)
            ready = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in ready]:
                busy.remove(worker)
                try:
                    outcome = worker.connection.recv()
                    idle.append(worker)
                except (EOFError, OSError):
                    worker.process.join()
                    outcome = WorkerDied(f"its process ended with status {worker.process.exitcode}")
                settle(worker.key, worker.tries, outcome)
    finally:
        for worker in (*busy, *idle):
            worker.process.terminate()
            worker.process.join()
            worker.connection.close()


def _serve(connection: Connection, function: Callable[..., Any], initializer: Callable[[], None] | None) -> None:
    """In a worker: job after job, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's to handle
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if initializer is not None:
        initializer()
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        outcome = _attempt(function, arguments)
        if isinstance(outcome, Exception):
            outcome.add_note("".join(traceback.format_exception(outcome)))
        try:
            connection.send(outcome)
        except Exception as error:  # what cannot be pickled
            connection.send(RuntimeError(f"{type(outcome).__name__} could not be sent back: {error}"))


def _end_with(sentinel: int) -> None:
    """A worker whose first process was killed has nobody to work for."""
    wait([sentinel])
    os._exit(1)
