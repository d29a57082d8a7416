"""Threads for compiled kernels: they sleep while they wait, and a fork, or a second thread of Python's, breaks nothing.

Compiled kernels (`theory.kernels.compiled`) run without the interpreter's lock, and Python's own threads share their
parts, `share`. numba's own (OpenMP's, most often) wait busily, which beside other work on a machine makes each of them
wait for one that is not running; they also end a process that is forked after their first use.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from theory.common.errors import require_integer

__all__ = ["get_threads", "one_thread", "set_threads", "share"]


def _cores() -> int:
    """Processors that this process may use, or NUMBA_NUM_THREADS where that is set."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _cores()


def get_threads() -> int:
    """Threads that share a kernel's parts, the caller's among them."""
    return _threads


def set_threads(count: int) -> None:
    """Let this process's kernels run on so many threads from now on. No result depends on it."""
    global _threads
    _threads = require_integer("threads", count, 1)


def one_thread() -> None:
    """In a worker: one thread, the other workers have the other cores."""
    set_threads(1)


def share(function: Callable[[int], Any], parts: int, threads: int | None = None) -> None:
    """Call function(part) for part = 0 ... parts - 1, on `threads` threads (None: `get_threads()`); return at the end.

    The caller takes parts, too, and threads that come late find none: nothing waits for a thread that has no processor,
    beyond the part that it is at. Parts must not depend on each other. The first exception of a part is raised here.
    """
    helpers = min(_threads if threads is None else threads, parts) - 1
    if helpers < 1:
        for part in range(parts):
            function(part)
        return
    job = _Job(function, parts)
    _crew.call(job, helpers)
    job.work()
    job.wait()


class _Job:
    """Parts that several threads take in turn."""

    def __init__(self, function: Callable[[int], Any], parts: int) -> None:
        self._function, self._parts = function, parts
        self._next = itertools.count()
        self._left = parts
        self._counting = threading.Lock()
        self._unfinished = threading.Lock()
        self._unfinished.acquire()
        self._error: BaseException | None = None

    def work(self) -> None:
        """Take parts until there are none."""
        done = 0
        for part in self._next:
            if part >= self._parts:
                break
            if self._error is None:
                try:
                    self._function(part)
                except BaseException as error:
                    self._error = error
            done += 1
        if done:
            with self._counting:
                self._left -= done
                if self._left == 0:
                    self._unfinished.release()

    def wait(self) -> None:
        """Sleep until all parts are done."""
        self._unfinished.acquire()
        if self._error is not None:
            raise self._error


class _Crew:
    """The process's helpers, which sleep at a queue of jobs."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._count = 0
        self._starting = threading.Lock()

    def call(self, job: _Job, helpers: int) -> None:
        """Wake so many to the job; they are started when first needed."""
        with self._starting:
            while self._count < helpers:
                threading.Thread(target=self._serve, name="kernel", daemon=True).start()
                self._count += 1
        for _ in range(helpers):
            self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            self._jobs.get().work()


_crew = _Crew()


def _renew() -> None:
    """A fork has none of the threads of the process it came from."""
    global _crew
    _crew = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
