"""How well a law fits: information criteria, and lack of fit against the scatter between seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import stats

from compare.curves.numbers import json_ready

__all__ = ["LEVEL", "Goodness", "goodness"]

#: A law whose lack of fit has a smaller p-value fails; one good law in twenty does.
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Goodness:
    r"""How well a law fits one series: information criteria, and the test of lack of fit; see `fit_law`.

    With N values, k parameters and the sum of squares S of the whitened residuals (the variance is one parameter more):

    .. math::

        \mathrm{AIC} &= N \log(S / N) + 2 (k + 1) \\
        \mathrm{AICc} &= \mathrm{AIC} + \frac{2 (k + 1)(k + 2)}{N - k - 2} \\
        \mathrm{BIC} &= N \log(S / N) + (k + 1) \log N

    AICc is infinite where N <= k + 2. They compare laws of one series, and of no other. The test compares what the law
    misses of the means at the m distinct P, M, with the scatter of the seeds about these means, S - M:

    .. math:: F = \frac{M / (m - k)}{(S - M) / (N - m)}

    Sources: Burnham and Anderson, *Model Selection and Multimodel Inference* (2002), section 2.4, for AICc; Schwarz,
    Annals of Statistics 6, 461 (1978), for BIC.

    Attributes
    ----------
    sum_of_squares : S, of log R_f
    n : N
    parameters : k
    aic, aicc, bic : the criteria, smaller is better
    lack_of_fit : p-value of the F test; None without replicates
    """

    sum_of_squares: float
    n: int
    parameters: int
    aic: float
    aicc: float
    bic: float
    lack_of_fit: float | None

    @property
    def passes(self) -> bool | None:
        """Whether the law passes the test of lack of fit (p >= 0.05); None if it cannot be made."""
        return None if self.lack_of_fit is None else self.lack_of_fit >= LEVEL

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        found = json_ready(self, "sum_of_squares", "n", "parameters", "aic", "aicc", "bic", "passes")
        return {**found, "lack_of_fit_p": self.lack_of_fit}


def goodness(missed: float, parameters: int, means: int, pure: float, pure_freedom: int, rounding: float) -> Goodness:
    """From the sum of squares that the law misses of the means, and that between seeds about them, `pure`."""
    n = means + pure_freedom
    total = max(missed + pure, n * rounding**2)
    fitted = parameters + 1  # with the variance
    aic = n * math.log(total / n) + 2 * fitted
    correction = 2 * fitted * (fitted + 1) / (n - fitted - 1) if n > fitted + 1 else math.inf
    bic = n * math.log(total / n) + math.log(n) * fitted
    freedom, lack = means - parameters, None
    if pure_freedom > 0 and freedom > 0 and pure > n * rounding**2:
        lack = float(stats.f.sf((missed / freedom) / (pure / pure_freedom), freedom, pure_freedom))
    return Goodness(total, n, parameters, aic, aic + correction, bic, lack)
