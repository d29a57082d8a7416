"""The flow of a net on clouds of points (equations 19 to 21 of `theory/prediction/README.md`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from theory.kernels.cloud_kernel import cloud_activations, cloud_forces
from theory.model.losses import SHARPNESS, reach
from theory.model.network import Network
from theory.prediction.clouds import Clouds

__all__ = ["CloudFlow", "CloudState", "leading_frame", "smeared"]

_LEAST = 1e-12  # spread of F below which a cloud counts as one value of F


def smeared(loss: str, margin: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A, kappa, unfit part) averaged over z ~ N(margin, spread^2), elementwise; kappa is -dA / d margin.

    hinge: A = Phi(g / s), kappa = phi(g / s) / s with g = 1 - margin. squaredhinge: A = g Phi(g / s) + s phi(g / s),
    kappa = Phi(g / s). softhinge: a logistic function averaged over a Gaussian is nearly a wider one (D. MacKay,
    Neural Computation 4 (1992) 720): sharpness 20 / sqrt(1 + pi (20 s)^2 / 8), within 0.02 of A.
    """
    gap, wide = 1 - margin, np.maximum(spread, _LEAST)
    u = gap / wide
    below = ndtr(u)
    if loss == "softhinge":
        sharp = SHARPNESS / np.sqrt(1 + math.pi / 8 * (SHARPNESS * spread) ** 2)
        pull = 0.5 * (1 + np.tanh(sharp / 2 * gap))
        return pull, sharp * pull * (1 - pull), below
    bell = np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
    if loss == "hinge":
        return below, bell / wide, below
    return gap * below + wide * bell, below, below


@dataclass(frozen=True, slots=True, eq=False)
class CloudState:
    """The flow on clouds at one moment, a `theory.flow.state.Evaluation`; `slope` is dF/dx in each, shape (K, d)."""

    margins: np.ndarray
    velocity: np.ndarray
    unfit_fraction: float
    slope: np.ndarray


def leading_frame(slope: np.ndarray, mass: np.ndarray, informative_dim: int, directions: int) -> np.ndarray:
    """The informative axes and the r irrelevant directions in which F changes most, shape (d, d_par + r).

    These are the leading eigenvectors of sum_k mass_k G_k G_k^T, G_k being dF/dx in cloud k, rows of `slope`.
    """
    across = slope[:, informative_dim:]
    leading = np.linalg.eigh((across.T * mass) @ across)[1][:, ::-1][:, :directions]
    frame = np.zeros((slope.shape[1], informative_dim + leading.shape[1]))
    frame[:informative_dim, :informative_dim] = np.eye(informative_dim)
    frame[informative_dim:, informative_dim:] = leading
    return frame


class CloudFlow:
    """The field of the flow when points are known as clouds only.

    `start` is the net, in double precision; F = alpha (f - f_0). Of a cloud's covariance along a weight, w . C w, all
    is kept within `frame`, an orthonormal matrix of shape (d, p), and beyond it the mean variance: w . C w itself would
    cost d times as much.
    """

    def __init__(self, start: Network, clouds: Clouds, frame: np.ndarray, loss: str, scale: float) -> None:
        self.clouds, self.loss, self.scale, self.frame = clouds, loss, scale, frame
        self.width, self.dim = start.width, start.dim
        self.root = math.sqrt(start.dim)
        self._cap = 1 + reach(loss, np.float64)
        within = frame.T @ clouds.covariance @ frame
        self._within = within.reshape(len(clouds.count), -1)
        beyond = np.trace(clouds.covariance, axis1=1, axis2=2) - np.trace(within, axis1=1, axis2=2)
        self._beyond = np.maximum(beyond, 0) / max(self.dim - frame.shape[1], 1)
        self.evaluations = 0
        chance, _, mean = cloud_activations(*self._seen(start), self.root)
        self._baseline = start.output @ mean
        self._first_slope = self._slope(start, chance)

    def _seen(self, net: Network) -> tuple[np.ndarray, np.ndarray]:
        """m and sigma^2 of every neuron in every cloud, shape (h, K)."""
        along = net.weight @ self.frame
        level = net.weight @ self.clouds.centre.T + self.root * net.bias[:, None]
        products = (along[:, :, None] * along[:, None, :]).reshape(self.width, -1)
        across = net.weight - along @ self.frame.T
        variance = products @ self._within.T
        variance += np.outer(np.einsum("ni,ni->n", across, across), self._beyond)
        return level, np.maximum(variance, 0)

    def _slope(self, net: Network, chance: np.ndarray) -> np.ndarray:
        """(alpha / h) sum_n beta_n Phi_nk w_n / sqrt(d), shape (K, d)."""
        return self.scale / self.width / self.root * (chance.T @ (net.output[:, None] * net.weight))

    def __call__(self, parameters: np.ndarray) -> CloudState:
        """F and the velocity at these parameters."""
        self.evaluations += 1
        clouds, mass = self.clouds, self.clouds.mass
        net = Network.from_flat(parameters, self.width, self.dim)
        level, variance = self._seen(net)
        chance, density, mean = cloud_activations(level, variance, self.root)
        predictor = self.scale / self.width * (net.output @ mean - self._baseline)
        slope = self._slope(net, chance) - self._first_slope
        turned = np.einsum("kij,kj->ki", clouds.covariance, slope)
        spread = np.sqrt(np.maximum(np.einsum("ki,ki->k", turned, slope), 0))
        margin = clouds.label * predictor
        pull, curvature, unfit = smeared(self.loss, margin, spread)
        force, felt = mass * clouds.label * pull, mass * curvature
        bent = net.weight @ turned.T
        pushed, kinked = cloud_forces(level, variance, chance, density, bent, force, felt)
        weight = pushed @ clouds.centre - chance @ (felt[:, None] * turned)
        along = net.weight @ self.frame
        kinks = (kinked @ self._within).reshape(self.width, along.shape[1], -1)
        weight += np.einsum("nij,nj->ni", kinks, along) @ self.frame.T
        weight += (kinked @ self._beyond)[:, None] * (net.weight - along @ self.frame.T)
        weight *= (net.output / self.root)[:, None]
        output = mean @ force - np.einsum("nk,nk,k->n", chance, bent, felt) / self.root
        velocity = Network(weight, net.output * pushed.sum(1), output)
        return CloudState(np.minimum(margin, self._cap), velocity.flat, min(1.0, float(mass @ unfit)), slope)
