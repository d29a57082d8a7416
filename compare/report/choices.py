"""Which series a reader of the report may show and hide together: by source, task, architecture, variant, stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compare.curves.series import Curves, SeriesKey, stage_order

__all__ = ["Choices", "Facet", "series_choices"]

_FACETS = ("source", "task", "architecture", "variant", "stage")
#: Beyond this many series, the stages inside training start hidden: they would bury the others.
_MANY = 24


@dataclass(frozen=True, slots=True)
class Facet:
    """A column, its values in order, and for each whether its series are seen at first."""

    name: str
    boxes: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """The facets that differ between series, each series' values in them, and its number by its key."""

    facets: tuple[Facet, ...]
    series: tuple[Mapping[str, str], ...]
    numbers: Mapping[SeriesKey, int]


def series_choices(curves: Curves) -> Choices:
    """The choices of a curve table; facets in which all series agree are left out."""
    values = [{name: str(getattr(key, name)) for name in _FACETS} for key in curves.parts]
    facets = []
    for name in _FACETS:
        found = list(dict.fromkeys(one[name] for one in values))
        if name == "stage":
            found.sort(key=lambda stage: (*stage_order(stage)[:2], _trailing_number(stage), stage))
        if len(found) > 1:
            hidden = [name == "stage" and len(values) > _MANY and stage_order(value)[0] == 3 for value in found]
            if all(hidden):
                hidden = [False] * len(hidden)
            facets.append(Facet(name, tuple((value, not h) for value, h in zip(found, hidden, strict=True))))
    return Choices(tuple(facets), tuple(values), {key: i for i, key in enumerate(curves.parts)})


def _trailing_number(stage: str) -> float:
    """epoch=16 stands behind epoch=3."""
    try:
        return float(stage.rpartition("=")[2])
    except ValueError:
        return 0.0
