"""Jobs in fresh processes of this machine, which may die; its GPUs divided between them."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from theory.common.errors import require_integer
from theory.jobs.stopping import STOP, Stopped, asked_to_stop, stop_politely, tell_to_stop
from theory.jobs.work import Work, WorkerDied, attempt

__all__ = ["Processes"]

_LOOK = 1.0  # seconds between looks at whether the sweep is to stop


@dataclass(frozen=True, slots=True)
class Processes:
    """At most `workers` fresh processes (threads of compiled code and forks do not mix), each at one job at a time.

    A process that dies is replaced; none outlives the first one, however that one ends. A single job runs in this
    process, unless there are `gpus`: their names or numbers, as in CUDA_VISIBLE_DEVICES, dealt out in turn, one to a
    worker, which sees no other.

    Raises
    ------
    InputError
        If workers is no whole number from 1 on.
    """

    workers: int
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_integer("workers", self.workers, 1)
        object.__setattr__(self, "gpus", tuple(map(str, self.gpus)))

    def distribute(self, work: Work) -> None:
        """Hand out what waits, one job to a process at a time, and settle what comes back."""
        if len(work.waiting) < 2 and not self.gpus:
            work.here()
            return
        workers = min(self.workers, len(work.waiting))
        seats = list(range(workers))[::-1]  # the next one is taken from the end
        busy: list[_Worker] = []
        idle: list[_Worker] = []
        told = False
        try:
            while busy or (work.waiting and not asked_to_stop()):
                if asked_to_stop() and not told:
                    told = True
                    for worker in busy:
                        tell_to_stop(worker.process.pid)
                while work.waiting and len(busy) < workers and not asked_to_stop():
                    key, tries = work.waiting.popleft()
                    worker = idle.pop() if idle else self._started(work, seats.pop())
                    worker.key, worker.tries = key, tries
                    work.start(key)
                    try:
                        worker.connection.send(work.arguments[key])
                    except OSError:  # it died while it had nothing to do: that is no try of this job
                        worker.process.join()
                        seats.append(worker.seat)
                        work.waiting.appendleft((key, tries))
                        continue
                    busy.append(worker)
                ready = wait([worker.connection for worker in busy], _LOOK)
                for worker in [worker for worker in busy if worker.connection in ready]:
                    busy.remove(worker)
                    try:
                        outcome = worker.connection.recv()
                        idle.append(worker)
                    except (EOFError, OSError):
                        worker.process.join()
                        seats.append(worker.seat)
                        if told:  # what it was at goes on another time
                            continue
                        outcome = WorkerDied(f"its process ended with status {worker.process.exitcode}")
                    except Exception as error:  # what can be pickled and not be unpickled
                        idle.append(worker)
                        outcome = RuntimeError(f"its result could not be read: {type(error).__name__}: {error}")
                    work.settle(worker.key, worker.tries, outcome)
        finally:
            for worker in (*busy, *idle):
                worker.process.terminate()
                worker.process.join()
                worker.connection.close()

    def _started(self, work: Work, seat: int) -> _Worker:
        context = get_context("spawn")
        gpu = self.gpus[seat % len(self.gpus)] if self.gpus else None
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work.function, work.initializer, gpu), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        return _Worker(process, ours, seat)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    seat: int
    key: Any = None
    tries: int = 0


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started inside ignores interrupts from its first moment on; handlers belong to the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)  # None: not one of Python's


def _serve(
    connection: Connection, function: Callable[..., Any], initializer: Callable[[], None] | None, gpu: str | None
) -> None:
    """In a worker: until the first process has no more to do, or ends, or is asked to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's to handle
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if gpu is not None:  # read when CUDA is first used, which importing torch does not do
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if initializer is not None:
        initializer()
    with suppress(Stopped), stop_politely(signals=STOP):
        _work(connection, function)


def _work(connection: Connection, function: Callable[..., Any]) -> None:
    """Job after job, until there are no more."""
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        outcome = attempt(function, arguments)
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
