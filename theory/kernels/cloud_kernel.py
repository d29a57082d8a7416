"""What neurons make of Gaussian clouds of points, compiled by numba, on one thread.

Neuron n sees cloud k through m + sigma xi, with m = w . X_k + sqrt(d) b at the cloud's centre, sigma^2 = w . C_k w its
covariance along w, and xi ~ N(0, 1). With u = m / sigma the chance that a point makes it active is Phi(u), the density
at its kink phi(u) / sigma, its mean activation a = (m Phi(u) + sigma phi(u)) / sqrt(d). A cloud of one point has
sigma = 0: Phi is 0 or 1, the density 0, and a the activation itself.
"""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled

__all__ = ["cloud_activations", "cloud_forces"]

_FAR = 8.3  # u beyond which Phi is 0 or 1 in double precision
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)


@compiled()
def cloud_activations(level, variance, root):  # type: ignore[no-untyped-def]
    """(Phi, phi / sigma, a), each of shape (h, K), from m and sigma^2 of the same shape; root = sqrt(d)."""
    neurons, clouds = level.shape
    chance = np.empty((neurons, clouds))
    density = np.empty((neurons, clouds))
    mean = np.empty((neurons, clouds))
    for n in range(neurons):
        for k in range(clouds):
            m, square = level[n, k], variance[n, k]
            if m * m >= _FAR * _FAR * square:
                density[n, k] = 0.0
                chance[n, k] = 1.0 if m > 0 else 0.0
                mean[n, k] = m / root if m > 0 else 0.0
            else:
                sigma = math.sqrt(square)
                u = m / sigma
                chance[n, k] = 0.5 * math.erfc(-u * _SQRT_HALF)
                bell = _DENSITY * math.exp(-0.5 * u * u)
                density[n, k] = bell / sigma
                mean[n, k] = (m * chance[n, k] + sigma * bell) / root
    return chance, density, mean


@compiled()
def cloud_forces(level, variance, chance, density, turned, force, felt):  # type: ignore[no-untyped-def]
    """(B, E), each of shape (h, K), with t = w . C G of shape (h, K), c = mass y A and q = mass kappa of shape (K,).

    B = c Phi - q t phi / sigma multiplies the centre, E = (c + q t m / sigma^2) phi / sigma the covariance along w.
    """
    neurons, clouds = level.shape
    pushed = np.empty((neurons, clouds))
    kinked = np.zeros((neurons, clouds))
    for n in range(neurons):
        for k in range(clouds):
            pushed[n, k] = force[k] * chance[n, k]
            if density[n, k] > 0:
                bent = felt[k] * turned[n, k]
                pushed[n, k] -= bent * density[n, k]
                kinked[n, k] = (force[k] + bent * level[n, k] / variance[n, k]) * density[n, k]
    return pushed, kinked
