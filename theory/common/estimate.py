"""A number with its interval and sample size, printed with the digits that its error allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Estimate", "exponential", "geometric_mean", "mean"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with a confidence interval [low, high] from n samples.

    `low` and `high` are NaN where no interval is known (n = 1, say). Prints as ``1.020 ± 0.030 (n=12)``,
    or ``1.02 [0.9, 1.3] (n=12)`` where the interval is lopsided by more than a quarter.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 1
    confidence: float = 0.95

    @property
    def error(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def summary(self) -> dict[str, Any]:
        """The fields as a JSON-ready dictionary (NaN becomes None)."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {
            **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
            "n": self.n,
            "confidence": self.confidence,
        }

    @property
    def short(self) -> str:
        """As printed, without the sample size: for tables that have a column for it."""
        return repr(self).removesuffix(f" (n={self.n})")

    def __repr__(self) -> str:
        error = self.error
        if not math.isfinite(error) or error <= 0:
            return f"{self.value:.3g} (n={self.n})"
        if abs(self.high + self.low - 2 * self.value) > 0.5 * error:
            body = f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"
        else:
            # Two digits of the error are worth printing, and two of the value if that is smaller.
            smallest = min(error, max(abs(self.value), error / 10))
            digits = max(0, 1 - math.floor(math.log10(smallest)))
            body = f"{self.value:.{digits}f} ± {error:.{digits}f}"
        return f"{body} (n={self.n})"


def mean(samples: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Estimate:
    """Mean of independent samples with Student's t interval; no interval for one sample."""
    x = np.asarray(samples, dtype=float)
    centre = float(x.mean())
    if x.size < 2:
        return Estimate(centre, n=x.size, confidence=confidence)
    from scipy import stats  # slow to load, and a number alone needs none of it

    half = stats.t.ppf((1 + confidence) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size)
    return Estimate(centre, centre - half, centre + half, x.size, confidence)


def geometric_mean(samples: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Estimate:
    """Geometric mean of positive samples, its interval that of `mean` on the logarithms."""
    logs = mean(np.log(np.asarray(samples, dtype=float)), confidence)
    return exponential(logs)


def exponential(logarithm: Estimate) -> Estimate:
    """exp of a value and of the ends of its interval, infinite where that overflows."""

    def exp(number: float) -> float:
        return math.inf if number > 709 else math.exp(number)

    value, low, high = (exp(number) for number in (logarithm.value, logarithm.low, logarithm.high))
    return Estimate(value, low, high, logarithm.n, logarithm.confidence)
