"""What the commands show: tables and progress, for a person at a terminal or for a machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleRenderable
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["Report", "Terminal", "duration"]

#: Called with the part done, in [0, 1], and a word on what was done last.
Report = Callable[[float, str], None]


def duration(seconds: float) -> str:
    """In the unit that one would say it in."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


class Terminal:
    """Prints to standard output, progress to standard error; prints nothing but JSON if `json`.

    A progress bar is drawn on a terminal; into a file goes one line at every tenth.
    """

    def __init__(self, json: bool = False) -> None:
        self.json = json
        out = Console(highlight=False)
        self._out = Console(highlight=False, width=min(out.width, 100), soft_wrap=not out.is_terminal)

    def line(self, text: str = "") -> None:
        """One line of text, as it is."""
        if not self.json:
            self._out.print(text, markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, numbers to the right."""
        if self.json:
            return
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    @contextmanager
    def live(self, render: Callable[[], ConsoleRenderable]) -> Iterator[bool]:
        """On a terminal, what `render` gives, drawn anew twice a second; whether this is one."""
        console = Console(stderr=True, highlight=False)
        if not console.is_terminal:
            yield False
            return
        with Live(get_renderable=render, console=console, refresh_per_second=2):
            yield True

    @contextmanager
    def progress(self, label: str) -> Iterator[Report]:
        """A bar for one long job; the function it gives takes the part done and a word."""
        console = Console(stderr=True, highlight=False)
        if not console.is_terminal:
            reported = -1

            def write(part: float, word: str) -> None:
                nonlocal reported
                if int(part * 10) > reported:
                    reported = int(part * 10)
                    print(f"{label}: {part:4.0%} {word}", file=sys.stderr, flush=True)

            yield write
            return
        layout = (
            TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(), TextColumn("{task.fields[word]}"),
        )  # fmt: skip
        with Progress(*layout, console=console) as bar:
            task = bar.add_task(label, total=1.0, word="")
            # A bar never runs back, even if an estimate of the part done does.
            highest = 0.0

            def draw(part: float, word: str) -> None:
                nonlocal highest
                highest = max(highest, min(part, 1.0))
                bar.update(task, completed=highest, word=word[: max(console.width - 58, 0)])

            yield draw
            bar.update(task, completed=1.0, word="")
