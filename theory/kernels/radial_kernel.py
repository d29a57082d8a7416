"""Sums over the angle for the population flow with several informative directions, compiled by numba.

A neuron sees a point of radius rho at the angle theta from its own direction through the level m = w rho cos(theta) +
sqrt(d) b, and the irrelevant directions add r xi, xi ~ N(0, 1); see `theory.kernels.population_kernel`. Averages over a
cell of the angle are taken as if m were spread evenly over it, and then exact, however sharp the kink: that of Phi is
sqrt(d) da / dm, that of phi dPhi r / dm.
"""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share

__all__ = ["radial_sums"]

_BLOCKS = 8  # of neurons
_SOFT = 1e-2  # change of m across a cell, over r, below which differences would round off
_FAR = 8.3  # u beyond which Phi is 0 or 1 in double precision
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)


@compiled()
def _radial_sums(w, r, b, radii, cosines, weights, root, chance, density, mean):  # type: ignore[no-untyped-def]
    """Of some neurons."""
    degrees, cells = weights.shape
    for n in range(len(w)):
        spread, shift = r[n], root * b[n]
        for i in range(len(radii)):
            speed = w[n] * radii[i]
            last_m = last_part = last_bell = last_a = 0.0
            for j in range(cells + 1):
                m = speed * cosines[j] + shift
                u = m / spread
                if u > _FAR:
                    part, bell = 1.0, 0.0
                elif u < -_FAR:
                    part, bell = 0.0, 0.0
                else:
                    part = 0.5 * math.erfc(-u * _SQRT_HALF)
                    bell = _DENSITY * math.exp(-0.5 * u * u)
                a = (m * part + spread * bell) / root
                if j > 0:
                    change = m - last_m
                    if -_SOFT * spread < change < _SOFT * spread:
                        active = 0.5 * (part + last_part)
                        kinks = 0.5 * (bell + last_bell) / spread
                    else:
                        active = root * (a - last_a) / change
                        kinks = (part - last_part) / change
                    for degree in range(degrees):
                        chance[degree, n, i] += weights[degree, j - 1] * active
                    density[n, i] += weights[0, j - 1] * kinks
                    mean[n, i] += weights[0, j - 1] * 0.5 * (a + last_a)
                last_m, last_part, last_bell, last_a = m, part, bell, a


def radial_sums(
    w: np.ndarray, r: np.ndarray, b: np.ndarray, radii: np.ndarray, cosines: np.ndarray, weights: np.ndarray,
    root: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(<Phi P_l>, <phi> / r, <a>) over the angle, of shapes (L, h, K), (h, K), (h, K), at K radii; root = sqrt(d)."""
    shape = len(w), len(radii)
    chance, density, mean = np.zeros((len(weights), *shape)), np.zeros(shape), np.zeros(shape)
    size = math.ceil(len(w) / _BLOCKS)

    def block(index: int) -> None:
        some = slice(index * size, (index + 1) * size)
        _radial_sums(
            w[some], r[some], b[some], radii, cosines, weights, root, chance[:, some], density[some], mean[some]
        )

    share(block, _BLOCKS)
    return chance, density, mean
