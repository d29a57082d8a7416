"""Does the test error of one net fall with its R_f as P grows? Curves of nets on tasks that are made by rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from compare.curves.averages import average_over_seeds
from compare.curves.numbers import format_estimate, json_ready, wrapped
from compare.curves.series import Curves, OfSeries
from theory.common.estimate import Estimate

__all__ = ["ErrorFall", "error_falls"]

#: Nets on tasks that are made by rules.
_SOURCES = ("hierarchy-net", "scale-net")


@dataclass(frozen=True, slots=True)
class ErrorFall(OfSeries):
    """R_f and the test error of one net at every P, averaged over seeds as in the figures.

    Attributes
    ----------
    key : of the series
    sizes, seeds : P, and the number of seeds at each
    stability, error : R_f and eps_t at each P
    """

    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    stability: tuple[Estimate, ...]
    error: tuple[Estimate, ...]

    @property
    def together(self) -> bool:
        """Whether both are lower at the largest P than at the smallest, with intervals that leave each other out."""
        return all(values[-1].high < values[0].low for values in (self.stability, self.error))

    def sentence(self) -> str:
        """What happens from the smallest to the largest P."""
        if not self.together:
            return f"{self.key.short}: R_f and the test error do not both decrease significantly with P."
        times = self.stability[0].value / self.stability[-1].value
        return f"{self.key.short}: the test error falls together with R_f, which falls by a factor of {times:.2g}."

    def rows(self) -> list[tuple[str, ...]]:
        """P, n, R_f and eps_t as text."""
        return [
            (str(size), str(n), format_estimate(stability), format_estimate(error))
            for size, n, stability, error in zip(self.sizes, self.seeds, self.stability, self.error, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        names = ("train_size", "relative_stability", "test_error")
        values = zip(self.sizes, self.stability, self.error, strict=True)
        points = [dict(zip(names, point, strict=True)) for point in values]
        return {**json_ready(self, "label", "together"), "points": json_ready(points)}

    def lines(self) -> list[str]:
        """The sentence and the table, in lines of at most 79 columns."""
        table = [("P", "n", "R_f", "eps_t"), *self.rows()]
        return [
            *wrapped(self.sentence(), indent=""), "",
            *(f"{size:<8}{n:<5}{stability:<25}{error}" for size, n, stability, error in table),
        ]  # fmt: skip


def error_falls(table: pd.DataFrame | Curves) -> tuple[ErrorFall, ...]:
    """One for each net trained to the end on a hierarchy or on scale detection, at two P or more.

    Nets that nothing can be moved for, R_f = 0, have none; nor have hidden layers and changed training inputs.

    Raises
    ------
    InputError
        If `table` is no valid curve table.
    """
    found = []
    for key, rows in Curves.of(table).parts.items():
        if key.source not in _SOURCES or key.stage != "trained" or key.layer or key.variant:
            continue
        means = average_over_seeds(rows)
        means = means[means["relative_stability"].notna() & means["test_error"].notna()]
        if len(means) < 2:
            continue
        found.append(
            ErrorFall(
                key,
                tuple(means["train_size"].astype(int)),
                tuple(means["n"].astype(int)),
                _estimates(means, "relative_stability"),
                _estimates(means, "test_error"),
            )
        )
    return tuple(found)


def _estimates(means: pd.DataFrame, name: str) -> tuple[Estimate, ...]:
    columns = (f"{name}{end}" for end in ("", "_low", "_high", "_n"))
    values = zip(*(means[column] for column in columns), strict=True)
    return tuple(Estimate(value, low, high, int(n)) for value, low, high, n in values)
