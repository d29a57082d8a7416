"""The live view of a sweep: how many runs are done, which are at work, how far they are, and what is left."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from empirical.config import ImageConfig
from theory.terminal import duration

if TYPE_CHECKING:
    from empirical.experiments import Config
    from empirical.store import RunStore
    from empirical.sweeps import SweepState

__all__ = ["SweepView"]

_LINES = 12  # runs at work that are shown by name


class SweepView:
    """What `sweep`'s `watch` is told, as a table for `theory.terminal.Terminal.live`.

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
        lines = Table(box=None, pad_edge=False, show_header=False)
        for config in list(state.running)[:_LINES]:
            lines.add_row(*self._run(config))
        if len(state.running) > _LINES:
            lines.add_row(f"and {len(state.running) - _LINES} more")
        return Group(counts, lines)

    def _run(self, config: Config) -> tuple[str, ...]:
        what = config.architecture if isinstance(config, ImageConfig) else f"{config.kind}, d = {config.dim}"
        where = f"{config.dataset} " if isinstance(config, ImageConfig) else ""
        at = f"P = {config.train_size}, seed {config.seed}"
        now = time.monotonic()  # drawn by another thread than the one that is told: a run may just have ended
        return f"{where}{what}", at, duration(now - self.since.get(config, now)), _last(self.store.log(config))


def _last(log: Path) -> str:
    """The last whole line of a run's log in a few words; nothing where there is none yet."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
        row = dict(zip(lines[0].split(","), map(float, lines[-1].split(",")), strict=True))
    except (OSError, IndexError, ValueError):
        return ""
    shown = ("epoch", "step", "loss", "unfit_fraction")
    words = [f"{name} {value:.3g}" for name, value in row.items() if name in shown]
    return ", ".join(words) if all(map(math.isfinite, row.values())) else "not finite"
