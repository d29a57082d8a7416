"""The maximum-entropy battery: does a sampler of displacement fields draw from the ensemble that it says?

The coefficients are read off the fields by a discrete sine transform, so the sampler is a black box. Every check
takes them, shape (fields, 2, n - 2, n - 2), and gives a p-value that is exact, or a normal limit at thousands of
fields. The report corrects for their number by Holm's step-down procedure (S. Holm, Scand. J. Statist. 6 (1979) 65).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from theory.common.errors import InputError, require_integer, require_real
from theory.ensemble.diffeomorphisms import MaxEntropyEnsemble

__all__ = ["CHECKS", "Check", "MaxEntropyReport", "Sampler", "check_fields", "check_sampler", "sine_coefficients"]

#: Draws so many fields of an ensemble, shape (count, 2, n, n), in pixels: component 0 along x, then y.
Sampler = Callable[[MaxEntropyEnsemble, int, np.random.Generator], Any]

_FEWEST = 500  # fields below which the normal limits are not to be trusted


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


_STATISTICAL: tuple[Callable[[np.ndarray, MaxEntropyEnsemble], float], ...] = (
    zero_mean, equipartition, total_energy, gaussianity, independence_of_modes, independence_of_fields,
    exchange_symmetry, reflection_symmetry,
)  # fmt: skip
#: Names of all checks, in the order of the report.
CHECKS = (
    *(check.__name__ for check in _STATISTICAL), "nothing_above_the_cutoff", "zero_border", "scaling_with_temperature",
)  # fmt: skip
_MEANING = {
    "zero_mean": "every coefficient has mean 0",
    "equipartition": "every mode has the same mean gradient energy",
    "total_energy": "a field's energy over T is chi-square with 2 N_modes degrees of freedom",
    "gaussianity": "coefficients are Gaussian",
    "independence_of_modes": "modes and components are not correlated",
    "independence_of_fields": "one field says nothing of the next",
    "exchange_symmetry": "x and y are alike",
    "reflection_symmetry": "a reflection changes nothing",
    "nothing_above_the_cutoff": "modes above the cutoff hold no energy",
    "zero_border": "the border does not move",
    "scaling_with_temperature": "at 4 T fields are twice as large",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One statistic: its p-value, and that after Holm's correction for the number of checks.

    `nothing_above_the_cutoff` and `zero_border` are no matter of chance: their p-values are 0 or 1.
    """

    name: str
    meaning: str
    p_value: float
    adjusted: float
    passed: bool


@dataclass(frozen=True, slots=True)
class MaxEntropyReport:
    """The battery's result: `consistent` if no adjusted p-value is below `level`, the family-wise false-alarm rate."""

    ensemble: MaxEntropyEnsemble
    fields: int
    level: float
    checks: tuple[Check, ...]

    @property
    def consistent(self) -> bool:
        """The verdict."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> frozenset[str]:
        """Names of the checks that did not pass."""
        return frozenset(check.name for check in self.checks if not check.passed)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "size": self.ensemble.size,
            "cutoff": self.ensemble.cutoff,
            "temperature": self.ensemble.temperature,
            "fields": self.fields,
            "level": self.level,
            "consistent": self.consistent,
            "checks": [
                {"name": c.name, "meaning": c.meaning, "p_value": c.p_value, "adjusted": c.adjusted, "passed": c.passed}
                for c in self.checks
            ],
        }

    def __repr__(self) -> str:
        e = self.ensemble
        setting = f"n={e.size}, c={e.cutoff}, T={e.temperature:.3g}, {self.fields} fields"
        if self.consistent:
            return f"MaxEntropyReport({setting}: consistent at level {self.level:g})"
        return f"MaxEntropyReport({setting}: fails {', '.join(sorted(self.failed))})"


def _no_energy_above(found: np.ndarray, ensemble: MaxEntropyEnsemble, rounding: float) -> float:
    """1 if the modes above the cutoff hold no more of the energy than rounding puts there, else 0."""
    k = np.arange(1, found.shape[-1] + 1)
    radius2 = k[:, None] ** 2 + k[None, :] ** 2
    energy = (radius2 * found**2).sum((0, 1))
    above = np.sqrt(radius2) >= ensemble.cutoff + 0.5
    # Rounding is white, so that its gradient energy grows with the square of the modes.
    allowed = max((3 * rounding * found.shape[-1]) ** 2, 1e-24)
    return float(energy[above].sum() <= allowed * energy.sum())


def _still_border(fields: np.ndarray, rounding: float) -> float:
    """1 if the outermost pixels do not move, to rounding of the largest displacement, else 0."""
    largest = max(
        float(np.max(np.abs(edge))) for edge in (fields[..., [0, -1], :], fields[..., :, [0, -1]])
    )
    return float(largest <= 10 * rounding * float(np.max(np.abs(fields))))


def _scaling(found: np.ndarray, hotter: np.ndarray, ensemble: MaxEntropyEnsemble) -> float:
    """Energies at 4 T and at T, all modes together, have the ratio 4 (F test)."""
    energies = [float((_standard(one, ensemble) ** 2).sum()) for one in (found, hotter)]
    counts = [2 * ensemble.mode_count * len(one) for one in (found, hotter)]
    if energies[0] == 0:
        return 0.0
    ratio = stats.f(counts[1], counts[0])
    value = (energies[1] / counts[1]) / (4 * energies[0] / counts[0])
    return float(2 * min(ratio.sf(value), ratio.cdf(value)))


def _fields(drawn: Any, ensemble: MaxEntropyEnsemble, count: int | None = None) -> tuple[np.ndarray, float]:
    """The fields in double precision and the rounding of the type in which they came; InputError if they are none."""
    if hasattr(drawn, "detach"):  # a torch tensor, which this package does not import
        drawn = drawn.detach().cpu()
        drawn = drawn.numpy() if drawn.element_size() > 2 else drawn.float().numpy().astype(np.float16)
    fields = np.asarray(drawn)
    wanted = (len(fields) if count is None and fields.ndim else count, 2, ensemble.size, ensemble.size)
    if fields.shape != wanted:
        raise InputError("fields.shape", fields.shape, f"must be {wanted}: (fields, 2, n, n)")
    if not np.issubdtype(fields.dtype, np.floating):
        raise InputError("fields.dtype", str(fields.dtype), "must be a floating-point type")
    if not np.all(np.isfinite(fields)):
        raise InputError("fields", "NaN or infinity", "must be finite")
    return fields.astype(np.float64), float(np.finfo(fields.dtype).eps)


def check_fields(
    fields: Any, ensemble: MaxEntropyEnsemble, *, hotter: Any = None, level: float = 0.01
) -> MaxEntropyReport:
    """Hold fields of shape (count, 2, n, n), in pixels, to the statistics of `ensemble`.

    Parameters
    ----------
    fields : at least 500, a NumPy array or a torch tensor, indexed [field, component x or y, row y, column x]
    ensemble : the law that they are said to come from
    hotter : further fields drawn at 4 T, for the scaling with sqrt(T); without them that check is left out
    level : family-wise false-alarm rate; at 5 % the right law was rejected in 3.5 and 3.8 % of 400 batteries (500
        fields with c = 2, 2000 with c = 4): some of the checks bound their chance, and so does Holm's procedure

    Raises
    ------
    InputError
        On other shapes, fewer fields, a level outside (0, 1), or a cutoff that n pixels cannot tell from lower
        modes (the transform knows n - 2).
    """
    level = require_real("level", level, above=0, maximum=0.5)
    if ensemble.cutoff > ensemble.size - 2:
        raise InputError("cutoff", ensemble.cutoff, f"must be at most {ensemble.size - 2} on {ensemble.size} pixels")
    given, rounding = _fields(fields, ensemble)
    require_integer("fields", len(given), _FEWEST)
    found = sine_coefficients(given)
    with np.errstate(divide="ignore", invalid="ignore"):  # of fields that do not move
        values = {check.__name__: check(found, ensemble) for check in _STATISTICAL}
    values["nothing_above_the_cutoff"] = _no_energy_above(found, ensemble, rounding)
    values["zero_border"] = _still_border(given, rounding)
    if hotter is not None:
        values["scaling_with_temperature"] = _scaling(found, sine_coefficients(_fields(hotter, ensemble)[0]), ensemble)
    # A statistic that cannot be computed, of fields that do not move say, is no evidence for the ensemble.
    values = {name: value if math.isfinite(value) else 0.0 for name, value in values.items()}
    adjusted = _holm(values)
    return MaxEntropyReport(
        ensemble,
        len(given),
        level,
        tuple(
            Check(name, _MEANING[name], values[name], adjusted[name], adjusted[name] >= level)
            for name in CHECKS
            if name in values
        ),
    )


def _holm(values: dict[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: the k-th smallest of m times m - k + 1, made monotone, at most 1."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        largest = max(largest, min(1.0, values[name] * (len(values) - rank)))
        adjusted[name] = largest
    return adjusted


def check_sampler(
    sampler: Sampler,
    ensemble: MaxEntropyEnsemble,
    *,
    count: int = 4000,
    level: float = 0.01,
    rng: int | np.random.Generator = 0,
) -> MaxEntropyReport:
    """Draw `count` fields at T and as many at 4 T from a sampler, and hold them to the ensemble's statistics.

    `sampler(ensemble, count, rng)` returns fields as `check_fields` takes them. All ensembles that it is asked for
    have the same size and cutoff.

    Raises
    ------
    InputError
        As `check_fields`, and if the sampler returns another number of fields.
    """
    count = require_integer("count", count, _FEWEST)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    hot = MaxEntropyEnsemble(ensemble.size, ensemble.cutoff, 4 * ensemble.temperature)
    drawn = [sampler(one, count, rng) for one in (ensemble, hot)]
    for fields, one in zip(drawn, (ensemble, hot), strict=True):
        _fields(fields, one, count)
    return check_fields(drawn[0], ensemble, hotter=drawn[1], level=level)
