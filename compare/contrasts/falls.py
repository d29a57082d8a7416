"""How far R_f of trained nets lies below its value at initialisation, in decades."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from compare.curves.series import Curves, OfSeries, SeriesKey
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate, geometric_mean

__all__ = ["Fall", "stability_falls"]


@dataclass(frozen=True, slots=True)
class Fall(OfSeries):
    r"""R_f of one net at one P before and after training, see `stability_falls`.

    .. math:: \text{decades} = \log_{10} \frac{R_f(\text{initial})}{R_f(\text{trained})}

    Attributes
    ----------
    key : what the trained net is
    train_size : P
    initial, trained : R_f, geometric means over seeds
    ratio : trained over initial, seed by seed
    decades : how far R_f has fallen; below 0 where it has risen
    """

    train_size: int
    initial: Estimate
    trained: Estimate
    ratio: Estimate
    _told = ("label", "train_size", "initial", "trained", "ratio", "decades")

    @property
    def decades(self) -> Estimate:
        """How far R_f has fallen."""
        value, low, high = (-math.log10(end) for end in (self.ratio.value, self.ratio.high, self.ratio.low))
        return Estimate(value, low, high, self.ratio.n, self.ratio.confidence)


def stability_falls(table: pd.DataFrame | Curves, *, confidence: float = 0.95) -> list[Fall]:
    """Every trained net and P of a curve table that holds the same net before training, too.

    The ratio is the geometric mean over seeds of trained over initial R_f, with Student's t interval. Of one seed the
    interval is the quadrature of the two over images, where both are given: it says nothing on other seeds, and is too
    wide where both were measured on the same images.

    Parameters
    ----------
    table : a curve table with rows of stages ``initial`` and ``trained``
    confidence : of the intervals over seeds, between 0 and 1; those over images stand as they are given

    Raises
    ------
    InputError
        If no net has rows of both stages with R_f above 0.

    Example
    -------
    >>> from compare import stability_falls
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "train_size": 1024, "seed": 0}
    >>> rows = [{**net, "stage": "initial", "relative_stability": 1.0, "relative_stability_low": 0.9,
    ...          "relative_stability_high": 1.1},
    ...         {**net, "stage": "trained", "relative_stability": 0.1, "relative_stability_low": 0.08,
    ...          "relative_stability_high": 0.12}]
    >>> fall = stability_falls(curve_table(rows))[0]
    >>> round(fall.decades.low, 2), round(fall.decades.high, 2)
    (0.91, 1.11)
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "train_size": 1024}
    >>> table = curve_table(
    ...     {**net, "seed": seed, "stage": stage, "relative_stability": r * 1.1**seed}
    ...     for seed in range(3) for stage, r in (("initial", 1.0), ("trained", 0.01))
    ... )
    >>> fall = stability_falls(table)[0]
    >>> round(fall.decades.value, 6), fall.decades.n
    (2.0, 3)
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    curves = Curves.of(table)
    starts = {_bare(key): rows for key, rows in curves.parts.items() if key.stage == "initial"}
    found = []
    for key, rows in curves.parts.items():
        start = starts.get(_bare(key))
        if key.stage != "trained" or start is None:
            continue
        both = rows.merge(start, on=["train_size", "seed"], suffixes=("", "_start"), validate="one_to_one")
        both = both[(both["relative_stability"] > 0) & (both["relative_stability_start"] > 0)]
        for size, own in both.groupby("train_size", sort=True):
            found.append(_fall(key, int(str(size)), own, confidence))
    if not found:
        raise InputError("table", f"{len(curves.table)} rows", "must hold nets before and after training")
    return found


def _bare(key: SeriesKey) -> SeriesKey:
    """What a net before training shares with the trained one."""
    return replace(key, stage="", written=())


def _fall(key: SeriesKey, size: int, rows: pd.DataFrame, confidence: float) -> Fall:
    trained, initial = (rows[f"relative_stability{end}"].to_numpy(dtype=float) for end in ("", "_start"))
    if len(rows) > 1:
        means = (geometric_mean(values, confidence) for values in (initial, trained, trained / initial))
        return Fall(key, size, *means)
    row = rows.iloc[0]
    first, last = (_own_interval(row, end, confidence) for end in ("_start", ""))
    ratio = last.value / first.value
    reach = [
        math.exp(math.hypot(*(math.log(end / one.value) for end, one in pair)))
        for pair in (((last.low, last), (first.high, first)), ((last.high, last), (first.low, first)))
    ]
    return Fall(key, size, first, last, Estimate(ratio, ratio / reach[0], ratio * reach[1], 1, confidence))


def _own_interval(row: pd.Series, end: str, confidence: float) -> Estimate:
    """R_f of one row with its interval over images, NaN where it has none or one that begins at 0."""
    value, low, high = (float(row[f"relative_stability{part}{end}"]) for part in ("", "_low", "_high"))
    whole = low > 0 and np.isfinite(high)
    return Estimate(value, low, high, 1, confidence) if whole else Estimate(value, n=1, confidence=confidence)
