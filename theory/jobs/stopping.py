"""A polite end: a signal asks a process to stop, long jobs look when it suits them, and leave their state behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["GRACE", "SIGNALS", "Stopped", "asked_to_stop", "stop_politely"]

#: Seconds that a job has to come to a point where it can stop.
GRACE = 60.0
#: What a scheduler sends before a time limit, and when a job is cancelled or its machine is needed.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name))

_asked = threading.Event()


class Stopped(BaseException):
    """The process was asked to stop, and what was being done is not finished. Not an error, and caught as none."""


def asked_to_stop() -> bool:
    """Whether a signal has come; a job that can go on later writes its state and raises `Stopped`."""
    return _asked.is_set()


@contextmanager
def stop_politely(grace: float = GRACE) -> Iterator[list[int]]:
    """Inside, a first signal of `SIGNALS` is noted, in the list that is given and for `asked_to_stop`.

    A job that has not stopped by itself after `grace` seconds is ended by `Stopped`, wherever it is. Only the main
    thread may receive signals, and only it may call this.
    """
    received: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if not _asked.is_set():
            _asked.set()
            signal.setitimer(signal.ITIMER_REAL, grace)

    def end(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, end)
    try:
        yield received
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _asked.clear()
