"""The ensemble of maximum-entropy diffeomorphisms, in numbers: no images, no torch.

A displacement field tau = (tau_u, tau_v) on the unit square, zero on its border,

    tau_u(u, v) = sum_{i,j >= 1, r < c + 1/2} C_ij sin(i pi u) sin(j pi v),   r^2 = i^2 + j^2,

with independent Gaussian coefficients of mean 0 and variance T / r^2, and likewise tau_v. Among all laws of
given mean ||grad tau||^2 this one has the largest entropy. Source: Petrini, Favero, Geiger and Wyart,
NeurIPS 2021, arXiv 2105.02468, section 2 and appendix A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from theory.common.errors import InputError, require_choice, require_integer, require_real

__all__ = ["Calibration", "MaxEntropyEnsemble"]

Calibration = Literal["paper", "exact"]


@dataclass(frozen=True, slots=True)
class MaxEntropyEnsemble:
    r"""Fields on a grid of `size` x `size` pixels with modes up to `cutoff` c at `temperature` T.

    .. math::

        \tau_u(u, v) = \sum_{i, j \ge 1, \; r < c + 1/2} C_{ij} \sin(i \pi u) \sin(j \pi v), \qquad
        r^2 = i^2 + j^2, \qquad C_{ij} \sim N(0, T / r^2),

    on the unit square, and likewise tau_v with coefficients of its own: of all laws with a given mean of the squared
    gradient, the one of largest entropy. Displacements in pixels are `size` times tau, as in the authors' code
    (although the grid ``linspace(0, 1, size)`` has size - 1 intervals). Source: arXiv 2105.02468, section 2 and
    appendix A.

    Parameters
    ----------
    size : n, pixels along a side, 2 or more
    cutoff : c, largest mode number, 2 or more
    temperature : T, dimensionless, above 0

    Raises
    ------
    InputError
        If size < 2, cutoff < 2 (the paper's calibration divides by ln c), or temperature <= 0.
    """

    size: int
    cutoff: int
    temperature: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", require_integer("size", self.size, 2))
        object.__setattr__(self, "cutoff", require_integer("cutoff", self.cutoff, 2))
        object.__setattr__(self, "temperature", require_real("temperature", self.temperature, above=0))

    @classmethod
    def from_displacement(
        cls, size: int, cutoff: int, displacement: float, calibration: Calibration = "paper"
    ) -> MaxEntropyEnsemble:
        r"""The ensemble whose typical displacement is `displacement` pixels.

        ``paper`` (default): :math:`\delta = \frac{n}{2} \sqrt{\pi T \ln c}`, arXiv 2105.02468, a large-c approximation
        of the root-mean-square displacement. ``exact``: the root-mean-square displacement over the square itself.
        """
        require_choice("calibration", calibration, ("paper", "exact"))
        delta = require_real("displacement", displacement, above=0)
        unit = cls(size, cutoff, 1.0)  # displacements scale with sqrt(T)
        reference = unit.paper_displacement if calibration == "paper" else unit.rms_displacement
        return cls(size, cutoff, require_real("displacement", (delta / reference) * (delta / reference), above=0))

    @property
    def mode_radius(self) -> np.ndarray:
        r""":math:`r = \sqrt{i^2 + j^2}`, shape (c, c), entry [i - 1, j - 1]."""
        k = np.arange(1, self.cutoff + 1)
        return np.hypot(k[:, None], k[None, :])

    @property
    def mode_std(self) -> np.ndarray:
        r"""Standard deviation of C_ij, shape (c, c): :math:`\sqrt{T} / r` below the cutoff, 0 above."""
        r = self.mode_radius
        return np.where(r < self.cutoff + 0.5, math.sqrt(self.temperature) / r, 0.0)

    @property
    def mode_count(self) -> int:
        """Number of modes of one component."""
        return int(np.count_nonzero(self.mode_std))

    @property
    def mean_gradient_energy(self) -> float:
        r"""Mean of the squared gradient over the square and the ensemble.

        .. math:: \langle \lVert \nabla \tau \rVert^2 \rangle = \frac{\pi^2}{2} T N_{\text{modes}}
        """
        return math.pi**2 / 2 * self.temperature * self.mode_count

    @property
    def rms_displacement(self) -> float:
        r"""Exact root-mean-square displacement over the square in pixels, :math:`n \sqrt{\frac{T}{2} \sum 1 / r^2}`."""
        return self.size * math.sqrt(float((self.mode_std**2).sum()) / 2)

    @property
    def paper_displacement(self) -> float:
        r"""The paper's typical displacement in pixels, :math:`\frac{n}{2} \sqrt{\pi T \ln c}`."""
        return self.size / 2 * math.sqrt(math.pi * self.temperature * math.log(self.cutoff))

    @property
    def temperature_range(self) -> tuple[float, float]:
        r"""(T_min, T_max): half a pixel of displacement, and the paper's bound against folding.

        .. math:: T_{\min} = \frac{1}{\pi n^2 \ln c}, \qquad T_{\max} = \frac{4}{\pi^3 c^2 \ln c}

        T_min < T_max only if c < 2 n / pi. Below T_max folds are rarer but not absent: `empirical.folded` tells of each
        field.
        """
        log_c = math.log(self.cutoff)
        return (
            1 / (math.pi * self.size**2 * log_c),
            4 / (math.pi**3 * self.cutoff**2 * log_c),
        )

    def require_below_folding(self, parameter: str, value: Any) -> None:
        """InputError for `parameter` if T > T_max, saying up to which temperature and displacement it may go."""
        highest = self.temperature_range[1]
        if self.temperature <= highest * (1 + 1e-12):
            return
        widest = self.size / (math.pi * self.cutoff)  # the paper's displacement at T_max
        raise InputError(
            parameter,
            value,
            f"folds: at cutoff {self.cutoff} and {self.size} pixels the temperature must be at most "
            f"{highest:.4g} (displacement {widest:.3g} pixels)",
        )

    def summary(self) -> dict[str, Any]:
        """The ensemble's exact statistics as a JSON-ready dictionary."""
        lowest, highest = self.temperature_range
        return {
            "size": self.size,
            "cutoff": self.cutoff,
            "temperature": self.temperature,
            "temperature_min": lowest,
            "temperature_max": highest,
            "mode_count": self.mode_count,
            "paper_displacement": self.paper_displacement,
            "rms_displacement": self.rms_displacement,
            "mean_gradient_energy": self.mean_gradient_energy,
        }
