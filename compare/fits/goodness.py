"""How well a law fits: information criteria, lack of fit against the seeds' scatter, and residuals along P."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.integrate import quad

__all__ = ["Goodness", "durbin_watson", "runs_probability"]

#: A residual test below this p-value is failed; one good law in twenty fails each.
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Goodness:
    """The criteria and tests of one fit.

    With N values, k parameters (and the variance, itself one more) and the sum of squares S of the whitened
    residuals: AIC = N log(S/N) + 2 (k + 1), AICc = AIC + 2 (k + 1)(k + 2)/(N - k - 2) (infinite where N is too
    small for it), BIC with log N in place of 2. They compare laws of one series, and of no other.

    `lack_of_fit` is the p-value of the F test of what the law misses of the means against the scatter between
    seeds (None without replicates). `durbin_watson` is the statistic of the means' residuals along P, about 2
    if they are independent and less if they hang together; `hanging_together` its one-sided p-value, exact for
    a law linear in its parameters (None with fewer than two degrees of freedom). `runs` is the exact
    probability of as few runs of signs, for whom it convinces more (None if all have one sign).
    """

    sum_of_squares: float
    n: int
    parameters: int
    aic: float
    aicc: float
    bic: float
    lack_of_fit: float | None
    durbin_watson: float | None
    hanging_together: float | None
    runs: float | None

    @property
    def passes(self) -> bool | None:
        """Whether no residual test is failed (p < 0.05); None if there is none to fail."""
        tests = [p for p in (self.lack_of_fit, self.hanging_together) if p is not None]
        return None if not tests else min(tests) >= LEVEL

    def failures(self) -> list[str]:
        """The failed tests in words."""
        words = []
        if self.lack_of_fit is not None and self.lack_of_fit < LEVEL:
            words.append(f"misses the means by more than the seeds scatter (p = {self.lack_of_fit:.2g})")
        if self.hanging_together is not None and self.hanging_together < LEVEL:
            words.append(f"residuals hang together along P (p = {self.hanging_together:.2g})")
        return words

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "sum_of_squares": self.sum_of_squares,
            "n": self.n,
            "parameters": self.parameters,
            "aic": self.aic,
            "aicc": self.aicc if math.isfinite(self.aicc) else None,
            "bic": self.bic,
            "lack_of_fit_p": self.lack_of_fit,
            "durbin_watson": self.durbin_watson,
            "durbin_watson_p": self.hanging_together,
            "runs_p": self.runs,
            "passes": self.passes,
        }


def goodness(
    residuals: np.ndarray, jacobian: np.ndarray, pure: float, pure_freedom: int, n: int, rounding: float
) -> Goodness:
    """From the means' whitened residuals (m), their derivatives (m x k), and the sum of squares between seeds."""
    k = jacobian.shape[1]
    missed = float(residuals @ residuals)
    total = max(missed + pure, n * rounding**2)
    fitted = k + 1  # with the variance
    aic = n * math.log(total / n) + 2 * fitted
    correction = 2 * fitted * (fitted + 1) / (n - fitted - 1) if n > fitted + 1 else math.inf
    bic = n * math.log(total / n) + math.log(n) * fitted
    freedom = residuals.size - k
    lack = None
    if pure_freedom > 0 and freedom > 0 and pure > n * rounding**2:
        lack = float(stats.f.sf((missed / freedom) / (pure / pure_freedom), freedom, pure_freedom))
    statistic, p_value = (None, None)
    if freedom >= 2 and missed > n * rounding**2:
        statistic, p_value = durbin_watson(residuals, jacobian)
    return Goodness(
        *(total, n, k, aic, aic + correction, bic, lack, statistic, p_value),
        runs_probability(residuals) if missed > n * rounding**2 else None,
    )


def durbin_watson(residuals: np.ndarray, jacobian: np.ndarray) -> tuple[float, float]:
    """The statistic d = sum (e_i+1 - e_i)^2 / sum e_i^2, and the probability of a smaller one.

    e = M z with z independent and M the projector off the columns of `jacobian`: P(d < d_0) is that of a
    quadratic form in normal variables, sum (l_i - d_0) z_i^2 < 0, l the eigenvalues of M A M
    (Durbin and Watson 1950), computed by Imhof's integral (Biometrika 48, 1961).
    """
    m = residuals.size
    difference = np.diff(np.eye(m), axis=0)
    basis = np.linalg.svd(jacobian, full_matrices=True)[0][:, np.linalg.matrix_rank(jacobian) :]
    statistic = float(np.sum(np.diff(residuals) ** 2) / np.sum(residuals**2))
    weights = np.linalg.eigvalsh(basis.T @ difference.T @ difference @ basis) - statistic

    def integrand(u: float) -> float:
        angle = 0.5 * float(np.arctan(weights * u).sum())
        return math.sin(angle) / (u * math.exp(0.25 * float(np.log1p((weights * u) ** 2).sum())))

    integral = quad(integrand, 0, np.inf, limit=200)[0]
    return statistic, float(np.clip(0.5 - integral / math.pi, 0, 1))


def runs_probability(residuals: np.ndarray) -> float | None:
    """The probability of as few or fewer runs of signs, all orders being equally likely; None for one sign."""
    signs = residuals > 0
    plus, minus = int(signs.sum()), int((~signs).sum())
    if plus == 0 or minus == 0:
        return None
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    ways = 0
    for count in range(2, runs + 1):
        half, odd = divmod(count, 2)
        if odd:
            ways += math.comb(plus - 1, half) * math.comb(minus - 1, half - 1)
            ways += math.comb(plus - 1, half - 1) * math.comb(minus - 1, half)
        else:
            ways += 2 * math.comb(plus - 1, half - 1) * math.comb(minus - 1, half - 1)
    return ways / math.comb(plus + minus, plus)
