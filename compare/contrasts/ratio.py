"""Measured over predicted R_f on the same task, stage and training-set sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.numbers import format_estimate, json_ready
from theory.common.estimate import Estimate, exponential, mean

__all__ = ["LEAST_PAIRS", "Ratio", "measured_over_theory"]

#: Seeds that two series must share to be compared seed by seed, where each has others besides.
LEAST_PAIRS = 3


@dataclass(frozen=True, slots=True)
class Ratio:
    """Measured over predicted R_f, see `measured_over_theory`.

    Attributes
    ----------
    estimate : geometric mean of R_f(measured) / R_f(theory) over the shared P, dimensionless; its n is the number of
        seeds that are paired, if they are
    interval_method : where the interval comes from
    train_sizes : the shared P
    """

    estimate: Estimate
    interval_method: str
    train_sizes: tuple[int, ...]

    def words(self) -> str:
        """``1.52 ± 0.11``, or ``1.52 (no interval)``."""
        bare = " (no interval)" * (not math.isfinite(self.estimate.error))
        return format_estimate(self.estimate) + bare

    @property
    def agrees(self) -> bool:
        """Whether the interval holds 1 (to rounding); False where there is no interval."""
        return self.estimate.low <= 1 + 1e-9 and self.estimate.high >= 1 - 1e-9

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**self.estimate.summary(), **json_ready(self, "interval_method", "train_sizes")}


def measured_over_theory(measured: pd.DataFrame, theory: pd.DataFrame, confidence: float = 0.95) -> Ratio | None:
    r"""Ratio of two series of a curve table, or None if they share no P with positive R_f.

    .. math::

        \log \text{ratio} = \left\langle \langle \log R_f^{\text{measured}}(P, s) \rangle_s
            - \langle \log R_f^{\text{theory}}(P, s) \rangle_s \right\rangle_P

    means over seeds s, then over the shared P. Its interval rests on seeds as the independent units, since the P of one
    seed share data:

    - ``paired seeds``: three seeds or more, or all of two, are in both series at each shared P (a seed draws the
      same data for both): the mean of these seeds' log ratios, others left out, and Student's t over them.
    - ``seeds of both``: two or more seeds each, not enough of them the same: Welch's t (Biometrika 34, 28, 1947).
    - ``seeds of the measured``: one row of theory at each P, taken as exact: Student's t over seeds.
    - ``over P``: otherwise, Student's t over the log ratios at the P, as if these were independent; no
      interval for a single P.

    Parameters
    ----------
    measured, theory : rows of one series each, of valid curve tables
    confidence : of the interval, between 0 and 1

    Example
    -------
    >>> from compare import measured_over_theory
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3"}
    >>> columns = [{"train_size": p, "seed": seed} for p in (64, 128, 256) for seed in range(3)]
    >>> theory = curve_table({**model, **row, "relative_stability": 8 / row["train_size"]} for row in columns)
    >>> net = {**model, "source": "stripe-net"}
    >>> measured = curve_table({**net, **row, "relative_stability": 12 / row["train_size"]} for row in columns[:6])
    >>> round(measured_over_theory(measured, theory).estimate.value, 6)
    1.5
    >>> measured_over_theory(measured, theory.tail(1)) is None
    True
    >>> ratio = measured_over_theory(measured, theory)
    >>> ratio.train_sizes, ratio.interval_method, ratio.agrees
    ((64, 128), 'paired seeds', False)
    """
    ours, theirs = _logs(measured), _logs(theory)
    shared = ours.index.intersection(theirs.index).sort_values()
    if shared.empty:
        return None
    ours, theirs = ours.loc[shared].dropna(axis=1, how="all"), theirs.loc[shared].dropna(axis=1, how="all")
    whole_ours, whole_theirs = not ours.isna().any(axis=None), not theirs.isna().any(axis=None)
    n_ours, n_theirs = ours.shape[1], theirs.shape[1]
    pairs = (ours - theirs).dropna(axis=1)  # the seeds that both have at each shared P
    if pairs.shape[1] >= LEAST_PAIRS or 2 == pairs.shape[1] == n_ours == n_theirs:
        logs, method = mean(pairs.mean().to_numpy(), confidence), "paired seeds"
    elif whole_ours and whole_theirs and n_ours >= 2 and n_theirs >= 2:
        logs, method = _welch(ours.mean().to_numpy(), theirs.mean().to_numpy(), confidence), "seeds of both"
    elif whole_ours and whole_theirs and n_ours >= 2 and n_theirs == 1:
        exact = theirs.mean(axis=1)
        logs, method = mean(ours.sub(exact, axis=0).mean().to_numpy(), confidence), "seeds of the measured"
    else:
        by_size = ours.mean(axis=1) - theirs.mean(axis=1)
        logs, method = mean(by_size.to_numpy(), confidence), "over P"
    return Ratio(exponential(logs), method, tuple(int(size) for size in shared))


def _logs(rows: pd.DataFrame) -> pd.DataFrame:
    """log R_f as P x seeds; NaN where a seed has no such P; rows with R_f = 0 are left out."""
    kept = rows[rows["relative_stability"] > 0]
    frame = pd.DataFrame(
        {
            "train_size": kept["train_size"].astype("int64"),
            "seed": kept["seed"].astype("int64"),
            "log": np.log(kept["relative_stability"]),
        }
    )
    return frame.pivot_table(index="train_size", columns="seed", values="log", aggfunc="mean")


def _welch(ours: np.ndarray, theirs: np.ndarray, confidence: float) -> Estimate:
    """Difference of means of two samples of unequal variance."""
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(confidence)
    value = float(ours.mean() - theirs.mean())
    return Estimate(value, float(interval.low), float(interval.high), ours.size + theirs.size, confidence)
