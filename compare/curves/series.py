"""Series of a curve table: the rows that share everything but train_size and seed, by a key; a table parsed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import pandas as pd

from compare.curves.numbers import Summarised
from theory.common.errors import InputError
from theory.common.table import KEY, validate_table

__all__ = ["SERIES_KEY", "Curves", "OfSeries", "Results", "SeriesKey", "key_of", "reasons", "series", "stage_order"]

#: The columns whose values one series shares.
SERIES_KEY = tuple(name for name in KEY if name not in ("train_size", "seed"))
_SOURCES = ("theory", "stripe-net", "hierarchy-net", "scale-net", "images", "published")
#: Written out, in this order, only where two series of one table would otherwise read alike.
_SETTINGS = ("architecture", "average", "cutoff", "displacement", "temperature")
_PREFIX = {"cutoff": "c=", "displacement": "delta=", "temperature": "T="}


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What one series is of. Displacement and temperature are equal that agree to three significant digits.

    Printed as ``theory stripe-d30 q=0.3`` or ``images fashion-mnist lenet trained``, with layer and variant behind it.

    Attributes
    ----------
    source, task, architecture, stage, variant, layer, average : columns of the curve table
    cutoff : c, largest mode number of the diffeomorphisms
    displacement : delta in pixels of images, the size of nu for stripes
    temperature : T of the diffeomorphisms, dimensionless
    written : the settings that are printed too, where two series of a table would read alike; no part of what keys are
        compared by

    Example
    -------
    >>> from compare import SeriesKey
    >>> key = SeriesKey("images", "digits", "lenet", "trained", cutoff=3, displacement=1.0)
    >>> str(key), key.short
    ('images digits lenet trained', 'images digits lenet')
    """

    source: str
    task: str
    architecture: str
    stage: str
    variant: str = ""
    layer: str = ""
    average: str = ""
    cutoff: float | None = None
    displacement: float | None = None
    temperature: float | None = None
    written: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        net = () if self.source == "theory" else (self.architecture,)
        names = (self.source, self.task, *net, self.stage, self.layer, self.variant)
        return " ".join([*filter(None, names), *self._settings()])

    @property
    def short(self) -> str:
        """Without the stage of nets trained to the end, as most are."""
        return str(replace(self, stage="")) if self.stage == "trained" else str(self)

    def _settings(self) -> Iterator[str]:
        for name in self.written:
            value = getattr(self, name)
            if value is None or value == "":
                yield f"({name} not given)"
            else:
                yield f"{_PREFIX.get(name, '')}{value if isinstance(value, str) else f'{value:.3g}'}"

    def order(self) -> tuple[Hashable, ...]:
        """Sorts the theory first, then along training."""
        rank = _SOURCES.index(self.source) if self.source in _SOURCES else len(_SOURCES)
        rest = (self.layer, *(str(getattr(self, name)) for name in _SETTINGS[1:]))
        return (rank, self.source, self.task, self.architecture, self.variant, stage_order(self.stage), rest)


def key_of(row: Mapping[str, Any] | pd.Series) -> SeriesKey:
    """The key of the series that a row of a valid curve table belongs to."""

    def number(name: str) -> float | None:
        return None if pd.isna(row[name]) else float(f"{row[name]:.3g}")

    return SeriesKey(
        source=str(row["source"]),
        task=str(row["task"]),
        architecture=str(row["architecture"]),
        stage=str(row["stage"]),
        variant=str(row["variant"]),
        layer=str(row["layer"]),
        average=str(row["average"]),
        cutoff=number("cutoff"),
        displacement=number("displacement"),
        temperature=number("temperature"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """A valid curve table and its series, theory first, each sorted by train_size and seed."""

    table: pd.DataFrame
    parts: Mapping[SeriesKey, pd.DataFrame]

    @staticmethod
    def of(table: pd.DataFrame | Curves, origin: str = "table") -> Curves:
        """Validate and split a table; one that is parsed already is returned as it is.

        Raises
        ------
        InputError
            If `table` is no valid curve table.
        """
        if isinstance(table, Curves):
            return table
        valid = validate_table(table, origin)
        return Curves(valid, series(valid))

    def pick(self, keep: Callable[[SeriesKey], bool]) -> Curves:
        """The series whose key is kept."""
        parts = {key: rows for key, rows in self.parts.items() if keep(key)}
        whole = len(parts) == len(self.parts)
        return self if whole else Curves(pd.concat([self.table.iloc[:0], *parts.values()], ignore_index=True), parts)

    @property
    def theory(self) -> Curves:
        return self.pick(lambda key: key.source == "theory")

    @property
    def measured(self) -> Curves:
        return self.pick(lambda key: key.source != "theory")

    def named(self, label: str) -> SeriesKey:
        """The key of the series that prints as `label`; InputError if there is none."""
        for key in self.parts:
            if str(key) == label:
                return key
        listed = ", ".join(map(str, list(self.parts)[:8]))
        raise InputError("theory", label, f"must be the label of a series: {listed}")


def series(table: pd.DataFrame) -> dict[SeriesKey, pd.DataFrame]:
    """The series of a valid curve table by key, theory first, each sorted by train_size and seed.

    A series is the rows that share all columns of the table's key but train_size and seed. Neither the keys nor their
    order depend on the order of the rows.

    Parameters
    ----------
    table : a valid curve table, as `theory.curve_table` and `theory.read_table` give it

    Example
    -------
    >>> from compare import series
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> table = curve_table({**net, "train_size": p, "relative_stability": 8 / p} for p in (64, 128, 256, 512))
    >>> [(str(key), len(rows)) for key, rows in series(table).items()]
    [('images digits mlp trained', 4)]
    """
    if table.empty:
        return {}
    numbers = table.groupby(list(SERIES_KEY), dropna=False, sort=False).ngroup().to_numpy()
    found: dict[SeriesKey, list[pd.DataFrame]] = {}
    for i in range(numbers.max() + 1):
        rows = table.loc[numbers == i]
        found.setdefault(key_of(rows.iloc[0]), []).append(rows)
    return {
        key: pd.concat(found[key]).sort_values(["train_size", "seed"]).reset_index(drop=True)
        for key in _written(sorted(found, key=SeriesKey.order))
    }


def _written(keys: list[SeriesKey]) -> list[SeriesKey]:
    """The keys, those that would read alike with the settings in which they differ."""
    for name in _SETTINGS:
        alike: dict[str, list[int]] = {}
        for i, key in enumerate(keys):
            alike.setdefault(str(key), []).append(i)
        for members in alike.values():
            if len({getattr(keys[i], name) for i in members}) > 1:
                for i in members:
                    keys[i] = replace(keys[i], written=(*keys[i].written, name))
    return keys


def stage_order(stage: str) -> tuple[int, float, str]:
    """Sorts stages along training: initial, falling unfit fraction q, trained, others by name."""
    if stage == "initial":
        return 0, 0.0, ""
    if stage.startswith("q="):
        try:
            return 1, -float(stage[2:]), ""
        except ValueError:
            return 3, 0.0, stage
    return (2, 0.0, "") if stage == "trained" else (3, 0.0, stage)


@dataclass(frozen=True, slots=True)
class OfSeries(Summarised):
    """What was found for one series."""

    key: SeriesKey

    @property
    def label(self) -> str:
        """The series as it is printed."""
        return str(self.key)


Item = TypeVar("Item", bound=OfSeries)


@dataclass(frozen=True, slots=True)
class Results(Generic[Item]):
    """What was found for the series of a table, and the reason for each that has none."""

    found: tuple[Item, ...]
    skipped: tuple[tuple[SeriesKey, str], ...]
    #: What the summary calls them.
    _plural: ClassVar[str] = "found"

    def __iter__(self) -> Iterator[Item]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, name: SeriesKey | str) -> Item:
        """By key or printed name; KeyError if there is none."""
        for item in self.found:
            if name in (item.key, str(item.key)):
                return item
        raise KeyError(name)

    def summary(self) -> dict[str, Any]:
        """JSON-ready: what was found, and what was skipped and why."""
        return {self._plural: [item.summary() for item in self.found], "skipped": reasons(self.skipped)}


def reasons(skipped: tuple[tuple[SeriesKey, str], ...]) -> list[dict[str, str]]:
    """JSON-ready: series that were skipped, and why."""
    return [{"label": str(key), "reason": reason} for key, reason in skipped]
