"""A polite end: a signal asks a process to stop, long jobs look when it suits them, and leave their state behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["GRACE", "SIGNALS", "STOP", "Stopped", "asked_to_stop", "stop_politely", "tell_to_stop"]

#: Seconds that a job has to come to a point where it can stop.
GRACE = 60.0
#: What a scheduler sends before a time limit, and when a job is cancelled or its machine is needed.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name))

#: What the first process tells its workers.
STOP = SIGNALS[:1]

_asked = threading.Event()


class Stopped(BaseException):
    """The process was asked to stop, and what was being done is not finished. Not an error, and caught as none."""


def asked_to_stop() -> bool:
    """Whether a signal has come; a job that can go on later writes its state and raises `Stopped`."""
    return _asked.is_set()


def tell_to_stop(process: int | None) -> None:
    """Pass it on to a worker inside `stop_politely(signals=STOP)`; one that has ended needs no telling."""
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, STOP[0])


@contextmanager
def stop_politely(grace: float = GRACE, signals: Sequence[int] = SIGNALS) -> Iterator[list[int]]:
    """Inside, the first of these signals is noted, in the list that is given and for `asked_to_stop`.

    A job that has not stopped by itself after `grace` seconds is ended by `Stopped`, wherever it is. Only the main
    thread may receive signals, and only it may call this.
    """
    received: list[int] = []
    if not hasattr(signal, "setitimer"):  # Windows: no scheduler signals there
        yield received
        return

    def ask(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if not _asked.is_set():
            _asked.set()
            signal.setitimer(signal.ITIMER_REAL, grace)

    def end(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, ask) for number in signals}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, end)
    try:
        yield received
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _asked.clear()
