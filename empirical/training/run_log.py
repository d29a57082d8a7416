"""What a run says of itself while it goes on: a line an epoch, as CSV."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd

__all__ = ["RunLog"]

_PATIENCE = 1.0  # seconds between two writes


class RunLog:
    """Rows of numbers under the same names, kept, and written to a file on the way.

    Parameters
    ----------
    path : CSV file that a person or a program may read at any time, its lines whole; None keeps the rows alone. What
        stands there is written over: it is of a run that was cut, and `rows` holds the part of it that still counts
    rows : those of the run up to the checkpoint that it goes on from
    """

    def __init__(self, path: str | Path | None = None, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self.rows = [dict(row) for row in rows]
        self._path = None if path is None else Path(path)
        self._written, self._last = 0, 0.0
        if self._path is not None:
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text("")

    def add(self, **numbers: float) -> None:
        """One more row; on the disk within a second or at the next one."""
        self.rows.append(numbers)
        if self._path is not None and time.monotonic() - self._last >= _PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Write the rows that the file lacks. Where that cannot be, on a disk that is full, the run goes on."""
        if self._path is None or self._written == len(self.rows):
            return
        with suppress(OSError), self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
            if self._written == 0:
                writer.writeheader()
            writer.writerows(self.rows[self._written :])
        self._written, self._last = len(self.rows), time.monotonic()

    def table(self) -> pd.DataFrame:
        """All rows."""
        return pd.DataFrame(self.rows)
