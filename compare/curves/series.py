"""Series of a curve table: the rows that share everything but train_size and seed, and their names."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from theory.common.table import KEY

__all__ = ["SERIES_KEY", "series", "stage_order"]

#: The columns whose values one series shares.
SERIES_KEY = tuple(name for name in KEY if name not in ("train_size", "seed"))

_SOURCES = ("theory", "stripe-net", "hierarchy-net", "scale-net", "images", "published")
#: Added to a label, in this order, where labels would otherwise be the same.
_FURTHER = ("layer", "variant", "architecture", "average", "cutoff", "displacement", "temperature")
_PREFIX = {"cutoff": "c=", "displacement": "delta=", "temperature": "T="}


def series(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The series of a valid curve table by label, theory first, each sorted by train_size and seed.

    A label is short: ``theory stripe-d30 q=0.3``, ``images fashion-mnist lenet trained``. Only where two
    series would have the same label are their differences added (architecture of a theory, average, c,
    delta, T). Displacement and temperature count as equal when they agree to three significant digits.
    Neither the labels nor the order depend on the order of the rows.
    """
    if table.empty:
        return {}
    keys = table[list(SERIES_KEY)].copy()
    for name in ("displacement", "temperature"):
        keys[name] = keys[name].map(_three_digits)
    numbers = keys.groupby(list(SERIES_KEY), dropna=False, sort=False).ngroup().to_numpy()
    parts = [(keys.loc[numbers == i].iloc[0], table.loc[numbers == i]) for i in range(numbers.max() + 1)]
    parts.sort(key=lambda part: _order(part[0]))
    labels = _labels([key for key, _ in parts])
    sort_by = ["train_size", "seed"]
    return {
        label: rows.sort_values(sort_by).reset_index(drop=True)
        for label, (_, rows) in zip(labels, parts, strict=True)
    }


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


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}") if np.isfinite(value) else np.nan


def _order(key: pd.Series) -> tuple[Hashable, ...]:
    source = str(key["source"])
    rank = _SOURCES.index(source) if source in _SOURCES else len(_SOURCES)
    stage = stage_order(str(key["stage"]))
    rest = tuple(str(key[name]) for name in ("layer", "average", "cutoff", "displacement", "temperature"))
    return (rank, source, str(key["task"]), str(key["architecture"]), str(key["variant"]), stage, rest)


def _labels(keys: list[pd.Series]) -> list[str]:
    """One label for each key, all different."""
    shown: list[list[str]] = [[_base(key)] for key in keys]
    for name in _FURTHER:
        groups: dict[str, list[int]] = {}
        for i, parts in enumerate(shown):
            groups.setdefault(" ".join(parts), []).append(i)
        for members in groups.values():
            values = [_further(keys[i], name) for i in members]
            if len(set(values)) > 1:
                for i, value in zip(members, values, strict=True):
                    shown[i] += [value] if value else []
    labels: list[str] = []
    for parts in shown:
        label, twin = " ".join(parts), 1
        while label in labels:  # texts that hold spaces can still read alike
            twin += 1
            label = f"{' '.join(parts)} #{twin}"
        labels.append(label)
    return labels


def _base(key: pd.Series) -> str:
    names = (
        ("source", "task", "stage")
        if key["source"] == "theory"
        else ("source", "task", "architecture", "stage")
    )
    return " ".join(str(key[name]) for name in names)


def _further(key: pd.Series, name: str) -> str:
    value = key[name]
    if name in ("layer", "variant"):
        return str(value)  # none is the usual one, or the output
    if pd.isna(value) or value == "":
        return f"({name} not given)"
    text = f"{float(value):.3g}" if name in ("cutoff", "displacement", "temperature") else str(value)
    return f"{_PREFIX.get(name, '')}{text}"
