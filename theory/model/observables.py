"""What is measured of a one-hidden-layer net on fresh points: R_f, Lambda and the test error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theory.model.network import Network
from theory.model.tasks import Task

__all__ = ["FiniteNoise", "Observables", "Observer", "gradient", "outputs", "random_directions", "small_noise_ratio"]

_CHUNK = 100  # points whose pre-activations are kept, few enough for a cache


@dataclass(frozen=True, slots=True)
class FiniteNoise:
    """Stabilities at noise of this norm, each over <|F(x) - F(z)|^2> for independent test points x and z.

    Attributes
    ----------
    norm : |nu| = |eta|
    diffeo : D = <|F(x + nu) - F(x)|^2>, nu isotropic in the irrelevant directions
    noise : G = <|F(x + eta) - F(x)|^2>, eta isotropic in all directions
    """

    norm: float
    diffeo: float
    noise: float

    @property
    def relative(self) -> float:
        """R = D / G."""
        return self.diffeo / self.noise if self.noise > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Observables:
    """R_f in the limit of small noise, compression Lambda, and the fraction of test points misclassified."""

    relative_stability: float
    compression: float
    test_error: float
    finite_noise: tuple[FiniteNoise, ...] = ()


def _evaluate(network: Network, x: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """f at points of shape (N, d) and, if wanted, df/dx, in double precision."""
    net = Network(*(part.astype(np.float64) for part in (network.weight, network.bias, network.output)))
    root = math.sqrt(net.dim)
    directions = net.output[:, None] * net.weight / (net.width * root)
    f = np.empty(len(x))
    gradients = np.empty((len(x), net.dim)) if slopes else None
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        z = x[part] @ net.weight.T / root + net.bias
        if gradients is not None:
            gradients[part] = (z > 0).astype(np.float64) @ directions
        f[part] = np.maximum(z, 0, out=z) @ net.output
    return f / net.width, gradients


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """f at points of shape (N, d), in double precision, shape (N,)."""
    return _evaluate(network, x, slopes=False)[0]


def gradient(network: Network, x: np.ndarray) -> np.ndarray:
    """df/dx at points of shape (N, d), in double precision, shape (N, d).

    df/dx = (1/h) sum_n beta_n 1[w_n . x / sqrt(d) + b_n > 0] w_n / sqrt(d).
    """
    slopes = _evaluate(network, x, slopes=True)[1]
    assert slopes is not None
    return slopes


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


def random_directions(count: int, dim: int, first: int, rng: np.random.Generator) -> np.ndarray:
    """Isotropic unit vectors in the directions from `first` on, shape (count, dim)."""
    noise = np.zeros((count, dim))
    noise[:, first:] = rng.standard_normal((count, dim - first))
    return noise / np.linalg.norm(noise, axis=1, keepdims=True)


class Observer:
    """Measures F = alpha (f - f_0) on test points x, shape (N, d), with labels y; alpha cancels.

    What the net was at the start is computed once. `noise_norms` asks for R_f at finite noise, too, with
    directions that `rng` draws once: the same at every net and at every norm.
    """

    def __init__(
        self,
        task: Task,
        start: Network,
        x: np.ndarray,
        y: np.ndarray,
        noise_norms: tuple[float, ...] = (),
        rng: np.random.Generator | None = None,
    ) -> None:
        self._informative_dim = task.informative_dim
        self._x, self._y = x, y
        self._start_f, self._start_slope = _evaluate(start, x, slopes=True)
        self._noisy: list[tuple[float, list[tuple[np.ndarray, np.ndarray]]]] = []
        if noise_norms:
            if rng is None:
                raise ValueError("rng = None: noise of finite norm needs a generator")
            directions = [random_directions(len(x), task.dim, first, rng) for first in (task.informative_dim, 0)]
            for norm in noise_norms:
                noisy_points = [x + norm * direction for direction in directions]
                self._noisy.append((norm, [(point, outputs(start, point)) for point in noisy_points]))

    def __call__(self, network: Network) -> Observables:
        f, slope = _evaluate(network, self._x, slopes=True)
        assert slope is not None
        assert self._start_slope is not None
        predictor = f - self._start_f
        return Observables(
            small_noise_ratio(slope - self._start_slope, self._informative_dim),
            network.compression(self._informative_dim),
            float(np.mean(self._y * predictor <= 0)),
            tuple(self._finite(network, predictor, norm, noisy_points) for norm, noisy_points in self._noisy),
        )

    def _finite(
        self, network: Network, clean: np.ndarray, norm: float, noisy_points: list[tuple[np.ndarray, np.ndarray]]
    ) -> FiniteNoise:
        # <|F(x) - F(z)|^2> over independent x and z is twice the variance.
        spread = 2 * float(np.var(clean))
        moved = [float(np.mean((outputs(network, x) - at_start - clean) ** 2)) for x, at_start in noisy_points]
        diffeo, noise = (value / spread if spread > 0 else math.nan for value in moved)
        return FiniteNoise(norm, diffeo, noise)
