"""One helper that holds any sampler of displacement fields to the maximum-entropy statistics.

The coefficients are read off the fields by a discrete sine transform, so the sampler is a black box. Every
check takes them, shape (fields, 2, n - 2, n - 2), and gives a p-value that is exact, or a normal limit at
thousands of samples; `LEVEL` is its false-alarm rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from theory import MaxEntropyEnsemble

__all__ = ["CHECKS", "LEVEL", "failures", "sine_coefficients"]

#: False-alarm rate of one check; of all that the suite makes together, below 1e-4.
LEVEL = 1e-6


def sine_coefficients(fields: np.ndarray) -> np.ndarray:
    """C[.., i - 1, j - 1] for i, j = 1 .. n - 2 of fields [.., y, x] in pixels; exact on the grid of n points."""
    size = fields.shape[-1]
    k = np.arange(1, size - 1)
    modes = np.sin(np.pi * k[:, None] * np.linspace(0, 1, size)[None, :])
    transform = modes * (2 / (size - 1))
    return (transform @ fields @ transform.T).swapaxes(-1, -2) / size


def _standard(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> np.ndarray:
    """r C / sqrt(T) of all modes below the cutoff: independent N(0, 1), shape (fields, 2 N_modes)."""
    below = ensemble.mode_std > 0
    c = ensemble.cutoff
    z = found[..., :c, :c][..., below] / ensemble.mode_std[below]
    return z.reshape(len(found), -1)


def zero_mean(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """The sum of squared mean coefficients is chi-square with 2 N_modes degrees of freedom."""
    z = _standard(found, ensemble)
    return float(stats.chi2.sf(len(z) * (z.mean(0) ** 2).sum(), z.shape[1]))


def equipartition(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """Each mode's energy over T, summed over N fields, is chi-square with N degrees of freedom (Bonferroni)."""
    z = _standard(found, ensemble)
    energy = (z**2).sum(0)
    tails = 2 * np.minimum(stats.chi2.sf(energy, len(z)), stats.chi2.cdf(energy, len(z)))
    return float(min(1.0, tails.min() * z.shape[1]))


def total_energy(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """A field's energy over T is chi-square with 2 N_modes degrees of freedom (Kolmogorov-Smirnov)."""
    z = _standard(found, ensemble)
    return float(stats.kstest((z**2).sum(1), stats.chi2(z.shape[1]).cdf).pvalue)


def gaussianity(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """All standardised coefficients together are N(0, 1) (Kolmogorov-Smirnov)."""
    return float(stats.kstest(_standard(found, ensemble).ravel(), "norm").pvalue)


def independence_of_modes(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """The largest correlation of two coefficients, both components among them (Bonferroni)."""
    z = _standard(found, ensemble)
    correlation = np.corrcoef(z, rowvar=False)[np.triu_indices(z.shape[1], 1)]
    largest = np.abs(correlation).max() * math.sqrt(len(z))
    return float(min(1.0, 2 * stats.norm.sf(largest) * len(correlation)))


def independence_of_fields(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """The mean product of each field's coefficients with the next one's is N(0, 1 / count)."""
    z = _standard(found, ensemble)
    products = (z[1:] * z[:-1]).ravel()
    return float(2 * stats.norm.sf(abs(products.sum()) / math.sqrt(len(products))))


def exchange_symmetry(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """x <-> y: energies of modes i > j and of modes i < j have the same law (F test)."""
    c = ensemble.cutoff
    z = found[..., :c, :c] / np.where(ensemble.mode_std > 0, ensemble.mode_std, np.inf)
    upper, lower = ((z[..., i, j] ** 2) for i, j in (np.triu_indices(c, 1), np.tril_indices(c, -1)))
    count = int((ensemble.mode_std[np.triu_indices(c, 1)] > 0).sum()) * 2 * len(found)
    ratio = stats.f(count, count)
    value = upper.sum() / lower.sum()
    return float(2 * min(ratio.sf(value), ratio.cdf(value)))


def reflection_symmetry(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """Reflections flip signs of modes, so odd moments vanish: the third one's mean is N(0, 15 / count)."""
    cubes = _standard(found, ensemble).ravel() ** 3
    return float(2 * stats.norm.sf(abs(cubes.sum()) / math.sqrt(15 * len(cubes))))


def nothing_above_the_cutoff(found: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """1 if the modes above the cutoff hold less than 1e-10 of the energy (rounding of float32), else 0."""
    k = np.arange(1, found.shape[-1] + 1)
    radius2 = k[:, None] ** 2 + k[None, :] ** 2
    energy = (radius2 * found**2).sum((0, 1))
    above = np.sqrt(radius2) >= ensemble.cutoff + 0.5
    return float(energy[above].sum() < 1e-10 * energy.sum())


CHECKS: dict[str, Callable[[np.ndarray, MaxEntropyEnsemble], float]] = {
    check.__name__: check
    for check in (
        zero_mean, equipartition, total_energy, gaussianity, independence_of_modes, independence_of_fields,
        exchange_symmetry, reflection_symmetry, nothing_above_the_cutoff,
    )
}  # fmt: skip


def failures(fields: np.ndarray, ensemble: MaxEntropyEnsemble) -> set[str]:
    """Names of the checks that fields of shape (count, 2, n, n), in pixels, do not pass."""
    found = sine_coefficients(np.asarray(fields, dtype=np.float64))
    return {name for name, check in CHECKS.items() if check(found, ensemble) < LEVEL}
