"""Independent jobs, and what an executor must do with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from theory.jobs.stopping import asked_to_stop

__all__ = ["Executor", "Work", "WorkerDied", "attempt"]


class WorkerDied(RuntimeError):
    """A worker process ended in the middle of a job: killed, out of memory, crashed in compiled code, machine lost."""


@dataclass(frozen=True, slots=True)
class Work:
    """Jobs to be done: `function` on each of `arguments`, after `initializer` has been called in that process.

    `waiting` holds (key, number of this try). An executor takes from its left, calls `start`, and gives what came of
    it, a result or an exception, to `settle`, which may put the job back at the right. Both are called in the first
    process, one at a time.
    """

    function: Callable[..., Any]
    arguments: Mapping[Any, tuple[Any, ...]]
    waiting: deque[tuple[Any, int]]
    settle: Callable[[Any, int, Any], None]
    start: Callable[[Any], None]
    initializer: Callable[[], None] | None

    def here(self) -> None:
        """Do it all in this process, in order, unless it is asked to stop."""
        while self.waiting and not asked_to_stop():
            key, tries = self.waiting.popleft()
            self.start(key)
            self.settle(key, tries, attempt(self.function, self.arguments[key]))


class Executor(Protocol):
    """A place where jobs run. Whichever it is, a job's result is the same."""

    def distribute(self, work: Work) -> None:
        """Do all that waits; return when nothing runs, and nothing waits or this process is asked to stop."""


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The result, or the exception."""
    try:
        return function(*arguments)
    except Exception as error:
        return error
