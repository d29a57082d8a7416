"""Runs by their configurations: what a store holds is read, the rest is done, here or elsewhere, and kept.

A call that is cut goes on where it stopped when it is made again. Any number of calls may share a store at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pandas as pd

from theory.common.errors import InputError
from theory.jobs.executors import Executor, run_jobs
from theory.runs.run_config import Config, config_hash
from theory.runs.store import Failure, RunStore

__all__ = ["Do", "Finished", "Group", "Runs", "RunsState", "alone"]

#: Runs that are done by one call.
Group = tuple[Config, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Rows of a finished run, and in words why it ended before its goal, if it did and somebody wrote it down."""

    table: pd.DataFrame
    shortfall: str = ""


#: Called as do(group, store, *arguments) in whatever process; it keeps each run as it ends.
Do = Callable[..., dict[Config, Finished]]


@dataclass(frozen=True, slots=True)
class RunsState:
    """How it stands: of `runs` how many are done and have failed, and which are at work for it."""

    runs: int
    done: int
    failed: int
    running: tuple[Config, ...]


def alone(configs: Sequence[Config]) -> Iterable[Group]:
    """Each run by itself."""
    return ((config,) for config in configs)


class Runs:
    """Runs on their way to completion: `look` at the store, then `complete` what it lacks.

    Parameters
    ----------
    configs : of the runs, each once; they are begun in this order
    store : where finished ones are; None keeps nothing
    retry_failed : also try what failed before for a reason that would come again; by default those count as failed
    ended : called with the configuration of every run that ended well or failed, after it was kept
    watch : called with `RunsState` when a run starts, ends or fails

    Attributes
    ----------
    finished : by configuration
    failures : why others are missing
    """

    def __init__(
        self,
        configs: Sequence[Config],
        store: RunStore | None = None,
        *,
        retry_failed: bool = False,
        ended: Callable[[Config], None] | None = None,
        watch: Callable[[RunsState], None] | None = None,
    ) -> None:
        self.configs, self.store, self.retry_failed = configs, store, retry_failed
        self.finished: dict[Config, Finished] = {}
        self.failures: dict[Config, Failure] = {}
        self._ended, self._watch = ended, watch
        self._running: dict[Config, None] = {}
        self._elsewhere: list[Config] = []

    def look(self) -> None:
        """Take what the store holds, and what is known to fail."""
        if self.store is None:
            return
        for config in self.configs:
            try:
                held = self.store.read(config)
            except OSError as error:  # it may be whole: neither done again nor in the others' way
                told = f"it is kept, and cannot be read: {error}"
                self.failures[config] = Failure(type(error).__name__, told, 0, False)
                continue
            known = self.store.failure(config) if held is None and not self.retry_failed else None
            if held is not None:
                self.store.tidy(config)
                self.finished[config] = Finished(held, self.store.shortfall(config))
            elif known is not None and known.final:  # it would fail again
                self.failures[config] = known

    def complete(
        self,
        do: Do,
        executor: int | Executor,
        *,
        arguments: Callable[[Group], tuple[Any, ...]] = lambda group: (),
        together: Callable[[Sequence[Config]], Iterable[Group]] = alone,
        retries: int = 1,
        fail_fast: bool = False,
        take_free: bool = False,
        initializer: Callable[[], None] | None = None,
    ) -> None:
        """Do what is neither in `finished` nor in `failures`.

        Parameters
        ----------
        arguments : further ones of `do`, for a group
        together : groups, for a `do` that serves several runs at once
        retries : how often a group is tried again whose process died or that met an error of the system
        fail_fast : raise the first error when what has begun has ended, and keep no note of it
        take_free : leave alone what other processes are at, instead of waiting for them in the end
        """
        waiting = [config for config in self.configs if config not in self.finished and config not in self.failures]
        self._show()
        # What other processes are at comes last, when they may be done with it. Then each alone: nobody may wait for
        # one run while he holds another.
        for wait in (False,) if take_free else (False, True):
            groups = alone(waiting) if wait else together(waiting)
            jobs = {group: (group, do, self.store, self.retry_failed, wait, *arguments(group)) for group in groups}
            run_jobs(
                _work, jobs, executor, self._finish, initializer, retries=retries,
                fail=None if fail_fast else self._fail, start=self._start,
            )  # fmt: skip
            waiting, self._elsewhere = self._elsewhere, []

    def _start(self, group: Group) -> None:
        self._running.update(dict.fromkeys(group))
        self._show()

    def _finish(self, group: Group, outcomes: dict[Config, Finished | Failure | None]) -> None:
        for config in group:
            self._running.pop(config, None)
            outcome = outcomes[config]
            if outcome is None:
                self._elsewhere.append(config)
                self._show()
                continue
            if isinstance(outcome, Failure):
                self.failures[config] = outcome
            else:
                self.finished[config] = outcome
            self._report(config)

    def _fail(self, group: Group, error: Exception, tries: int) -> None:
        message = " ".join(str(error).split()) or type(error).__name__
        for config in group:
            self.failures[config] = Failure(type(error).__name__, message, tries, isinstance(error, InputError))
            if self.store is not None:
                self.store.keep_failure(config, self.failures[config])
            self._report(config)

    def _show(self) -> None:
        if self._watch is not None:
            running = tuple(self._running)
            self._watch(RunsState(len(self.configs), len(self.finished), len(self.failures), running))

    def _report(self, config: Config) -> None:
        self._running.pop(config, None)
        self._show()
        if self._ended is not None:
            self._ended(config)


def _work(
    group: Group, do: Do, store: RunStore | None, retry_failed: bool, wait: bool, *arguments: Any
) -> dict[Config, Finished | Failure | None]:
    """In whatever process: do those of the group that nobody else is at, and that nobody has ended meanwhile.

    None for a run that another process is at; why it failed, if that was found out meanwhile.
    """
    if store is None:
        return dict(do(group, store, *arguments))
    found: dict[Config, Finished | Failure | None] = dict.fromkeys(group)
    with ExitStack() as locks:
        to_do = []
        for config in sorted(group, key=config_hash):
            if not locks.enter_context(store.lock(config, wait=wait)):
                continue
            held = store.read(config)
            known = store.failure(config) if held is None and not retry_failed else None
            if held is not None:
                found[config] = Finished(held, store.shortfall(config))
            elif known is not None and known.final:
                found[config] = known
            else:
                to_do.append(config)
        if to_do:
            found.update(do(tuple(config for config in group if config in to_do), store, *arguments))
    return found
