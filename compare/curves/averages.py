"""Averages of a series over seeds, one row for each training-set size."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from theory.common.estimate import Estimate, geometric_mean, mean

__all__ = ["MEASURES", "average_over_seeds"]

#: Averaged columns. Stabilities are ratios, so their geometric mean is taken; an error is a fraction.
MEASURES = ("relative_stability", "diffeo_stability", "test_error")


def average_over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each P of a series: train_size, n, each of `MEASURES` with ``_low``, ``_high``, ``_n``.

    Stabilities: geometric mean, Student's t interval (95 %) of the logarithms. Test error: arithmetic mean with
    Student's t interval, cut at 0 and 1 (test errors of 0 have no logarithm). Where n = 1 the interval is
    the row's own (bootstrap over images) if it has one, else NaN. Values of 0 of a stability are left out,
    and counted by ``_n`` falling short of n.
    """
    records = []
    for train_size, group in rows.groupby("train_size", sort=True):
        record: dict[str, float] = {"train_size": float(str(train_size)), "n": float(len(group))}
        for name in MEASURES:
            estimate = _average(group, name)
            record |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            record[f"{name}_n"] = float(estimate.n)
        records.append(record)
    columns = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high", "_n")]
    return pd.DataFrame(records, columns=["train_size", "n", *columns])


def _average(group: pd.DataFrame, name: str) -> Estimate:
    values = group[name].to_numpy(dtype=float)
    stability = name != "test_error"
    kept = np.isfinite(values) & (values > 0 if stability else True)
    if not kept.any():
        return Estimate(math.nan, n=0)
    if kept.sum() > 1:
        if stability:
            return geometric_mean(values[kept])
        error = mean(values[kept])
        return Estimate(error.value, max(error.low, 0.0), min(error.high, 1.0), error.n)
    row, value = group[kept].iloc[0], float(values[kept][0])
    low, high = (float(row.get(f"{name}_{end}", math.nan)) for end in ("low", "high"))
    whole = math.isfinite(low) and math.isfinite(high)
    return Estimate(value, low, high) if whole else Estimate(value)
