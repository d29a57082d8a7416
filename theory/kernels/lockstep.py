"""Computations that ask a kernel again and again, served together: one launch for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from theory.kernels import BatchField, Field
from theory.model.network import Network

__all__ = ["in_step"]

T = TypeVar("T")


def in_step(
    batch: BatchField, runs: Sequence[Callable[[Field], T]], settle: Callable[[int, T | BaseException], None]
) -> None:
    """Do all `runs`, number i with a field that is slot i of `batch`; return when the last has ended.

    Each has a thread of its own and computes until it asks its field, and then sleeps until all that still run have
    asked: this thread serves them together, and gives the result of one that has ended, or its exception, to `settle`.
    No two threads compute at the same time. An exception of `batch` or `settle` ends all and is raised here.
    """
    meeting: _Meeting[T] = _Meeting(batch, len(runs))
    threads = [threading.Thread(target=meeting.attend, args=(i, run), daemon=True) for i, run in enumerate(runs)]
    for thread in threads:
        thread.start()
    try:
        meeting.serve(settle)
    finally:
        meeting.close()
        for thread in threads:
            thread.join()


class _Closed(BaseException):
    """Ends a thread whose meeting is over."""


class _Meeting(Generic[T]):
    """Where threads wait for their answers. Whoever computes holds the lock; to wait is to let it go."""

    def __init__(self, batch: BatchField, running: int) -> None:
        self._batch, self._running = batch, running
        self._turn = threading.Condition()
        self._asked: dict[int, tuple[Network, np.ndarray | None]] = {}
        self._answers: dict[int, tuple[np.ndarray, Network]] = {}
        self._ended: list[tuple[int, T | BaseException]] = []
        self._open = True

    def attend(self, slot: int, run: Callable[[Field], T]) -> None:
        """In a thread: the run, from beginning to end."""

        def field(network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
            self._asked[slot] = (network, points)
            self._turn.notify_all()
            self._turn.wait_for(lambda: slot in self._answers or not self._open)
            if not self._open:
                raise _Closed
            return self._answers.pop(slot)

        with self._turn:
            if not self._open:
                return
            try:
                outcome: T | BaseException = run(field)
            except _Closed:
                return
            except BaseException as error:
                outcome = error
            self._ended.append((slot, outcome))
            self._turn.notify_all()

    def serve(self, settle: Callable[[int, T | BaseException], None]) -> None:
        """Answer whenever all that run have asked, until none runs."""
        with self._turn:
            while self._running:
                self._turn.wait_for(lambda: len(self._asked) + len(self._ended) == self._running)
                for slot, outcome in sorted(self._ended, key=lambda end: end[0]):
                    settle(slot, outcome)
                self._running -= len(self._ended)
                self._ended.clear()
                slots = sorted(self._asked)
                if slots:
                    networks, points = zip(*(self._asked[slot] for slot in slots), strict=True)
                    self._answers.update(zip(slots, self._batch(networks, points, slots), strict=True))
                    self._asked.clear()
                    self._turn.notify_all()

    def close(self) -> None:
        """Wake who still waits: no answer will come."""
        with self._turn:
            self._open = False
            self._turn.notify_all()
