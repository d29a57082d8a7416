"""What is measured of a one-hidden-layer net on fresh points: R_f, Lambda and the test error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theory.network import Network
from theory.tasks import Task

__all__ = ["Observables", "gradient", "observe", "outputs", "small_noise_ratio"]

_CHUNK = 1000  # points whose pre-activations are in memory together


@dataclass(frozen=True, slots=True)
class Observables:
    """R_f in the limit of small noise, compression Lambda, and the fraction of test points misclassified."""

    relative_stability: float
    compression: float
    test_error: float


def _double(network: Network) -> Network:
    return Network(*(part.astype(np.float64) for part in (network.weight, network.bias, network.output)))


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """f at points of shape (N, d), in double precision, shape (N,)."""
    net = _double(network)
    parts = [
        np.maximum(part @ net.weight.T / math.sqrt(net.dim) + net.bias, 0) @ net.output
        for part in np.split(x, range(_CHUNK, len(x), _CHUNK))
    ]
    return np.concatenate(parts) / net.width


def gradient(network: Network, x: np.ndarray) -> np.ndarray:
    """df/dx at points of shape (N, d), in double precision, shape (N, d).

    df/dx = (1/h) sum_n beta_n 1[w_n . x / sqrt(d) + b_n > 0] w_n / sqrt(d).
    """
    net = _double(network)
    slopes = net.output[:, None] * net.weight / (net.width * math.sqrt(net.dim))
    parts = [
        (part @ net.weight.T / math.sqrt(net.dim) + net.bias > 0).astype(np.float64) @ slopes
        for part in np.split(x, range(_CHUNK, len(x), _CHUNK))
    ]
    return np.concatenate(parts)


def small_noise_ratio(slope: np.ndarray, informative_dim: int) -> float:
    """R = (d / d_perp) E|grad_perp F|^2 / E|grad F|^2 from gradients of shape (N, d).

    The ratio <|f(x + nu) - f(x)|^2> / <|f(x + eta) - f(x)|^2> in the limit of small norms, with nu isotropic
    in the d_perp = d - d_par irrelevant directions and eta isotropic in all d, of equal norm (arXiv
    2105.02468, section 5). It is 1 for an isotropic net; NaN where the function is constant.
    """
    squares = (slope**2).mean(0)
    total = squares.sum()
    dim = slope.shape[1]
    if total == 0:
        return math.nan
    return float(dim / (dim - informative_dim) * squares[informative_dim:].sum() / total)


def observe(task: Task, network: Network, start: Network, x: np.ndarray, y: np.ndarray) -> Observables:
    """Observables of F = alpha (f - f_0) on test points x, shape (N, d), with labels y; alpha cancels."""
    predictor = outputs(network, x) - outputs(start, x)
    slope = gradient(network, x) - gradient(start, x)
    return Observables(
        small_noise_ratio(slope, task.informative_dim),
        network.compression(task.informative_dim),
        float(np.mean(y * predictor <= 0)),
    )
