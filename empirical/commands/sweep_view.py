"""The live view of a sweep: how many runs are done, which are at work, how far they are, and what is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from empirical.runs.kinds import kind_of
from empirical.training.config import Config
from theory.common.terminal import duration

if TYPE_CHECKING:
    from empirical.runs.store import RunStore
    from empirical.runs.sweeps import SweepState

__all__ = ["SweepView"]

_LINES = 12  # runs at work that are shown by name
_COLUMNS = ("data", "net", "P", "seed", "time", "at", "loss", "unfit")


class SweepView:
    """What `sweep`'s `watch` is told, as a table for `theory.common.terminal.Terminal.live`.

    The time left is that of the runs so far, each as long as the mean of those done here. Epoch and loss of a run are
    read from its log in the store, which works for runs in other processes, and on other machines.
    """

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.began = time.monotonic()
        self.first: int | None = None
        self.state: SweepState | None = None
        self.since: dict[Config, float] = {}

    def __call__(self, state: SweepState) -> None:
        now = time.monotonic()
        self.first = state.done if self.first is None else self.first
        self.since = {config: self.since.get(config, now) for config in state.running}
        self.state = state

    def left(self) -> str:
        """The time left in words, nothing before a run has ended."""
        if self.state is None or self.first is None or self.state.done == self.first:
            return ""
        to_do = self.state.runs - self.state.done - self.state.failed
        each = (time.monotonic() - self.began) / (self.state.done - self.first)
        return f"about {duration(each * to_do)}" if to_do else "nothing"

    def render(self) -> Group:
        """The counts, and a line for each run at work."""
        if self.state is None:
            return Group(Text("sweep: looking at the store"))
        state = self.state
        counts = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("done", "running", "failed", "to do", "time so far", "time left"):
            counts.add_column(name, justify="right")
        waiting = state.runs - state.done - state.failed - len(state.running)
        so_far = duration(time.monotonic() - self.began)
        counts.add_row(*map(str, (state.done, len(state.running), state.failed, waiting)), so_far, self.left())
        parts: list[Table | Text] = [counts]
        if state.running:
            parts += [Text(), self._lines(state.running[:_LINES])]
        if len(state.running) > _LINES:
            parts.append(Text(f"and {len(state.running) - _LINES} more"))
        return Group(*parts)

    def _lines(self, running: Sequence[Config]) -> Table:
        """A line for each run, without the columns that none has anything in."""
        cells = zip(_COLUMNS, zip(*map(self._run, running), strict=True), strict=True)
        filled = {name: column for name, column in cells if any(column)}
        lines = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
        for name in filled:
            # The first alone gives way where the terminal is too narrow: a data set's name may be a folder's path.
            text = name in _COLUMNS[:2]
            lines.add_column(name, justify="left" if text else "right", no_wrap=name != _COLUMNS[0])
        for row in zip(*filled.values(), strict=True):
            lines.add_row(Text(row[0], no_wrap=True, overflow="ellipsis"), *row[1:])
        return lines

    def _run(self, config: Config) -> tuple[str, ...]:
        now = time.monotonic()  # drawn by another thread than the one that is told: a run may just have ended
        so_far = duration(now - self.since.get(config, now))
        words = (*kind_of(config).words(config), str(config.train_size), str(config.seed))
        return *words, so_far, *_last(self.store.log(config))


def _last(log: Path) -> tuple[str, str, str]:
    """Epoch or step, loss and unfit fraction in the last line of a run's log; empty where there are none yet."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
        row = dict(zip(lines[0].split(","), map(float, lines[-1].split(",")), strict=True))
    except (OSError, IndexError, ValueError):
        return "", "", ""
    at = [f"{name} {row[name]:.0f}" for name in ("epoch", "step") if name in row]
    loss, unfit = (f"{row[name]:.3g}" if name in row else "" for name in ("loss", "unfit_fraction"))
    return " ".join(at), loss, unfit
