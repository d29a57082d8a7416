"""The net's tangent at a few points: how their pulls move the parameters, and how that moves the points' margins."""

from __future__ import annotations

import math

import numpy as np

from theory.model.network import Network

__all__ = ["Tangent"]


class Tangent:
    r"""At a net and n chosen points, with :math:`g_p = y_p h \nabla_\theta f(x_p)`.

    Pulls :math:`A_p` of these points alone give the velocity :math:`(1/P) \sum_p A_p g_p`, and z = y F of point p then
    grows at the rate :math:`\sum_q K_{pq} A_q`,

    .. math::

        K_{pq} = \frac{\alpha}{h P} \, g_p \cdot g_q = \frac{\alpha \, y_p y_q}{h P} \sum_n \left[
            \beta_n^2 1_{np} 1_{nq} \left(\frac{x_p \cdot x_q}{d} + 1\right) + \rho_{np} \rho_{nq} \right],

    where :math:`\rho_{np}` is what neuron n puts out at point p, and :math:`1_{np}` whether it is active there.

    Parameters
    ----------
    network : at which the net is taken to be linear
    x, y : the chosen points and labels, shapes (n, d) and (n,)
    train_size : P
    scale : alpha
    """

    def __init__(self, network: Network, x: np.ndarray, y: np.ndarray, train_size: int, scale: float) -> None:
        self._x, self._sign, self._train_size = x, y, train_size
        self._shape = (network.width, network.dim)
        self._root = x.dtype.type(math.sqrt(network.dim))
        self._factor = scale / network.width
        inputs = x @ network.weight.T / self._root + network.bias
        self._gates = (inputs > 0) * network.output
        self._outputs = np.maximum(inputs, 0)

    def kernel(self, among: np.ndarray | slice = slice(None)) -> np.ndarray:
        """K between the points chosen `among` them, all by default; float64."""
        x, gates, outputs = self._x[among], self._gates[among], self._outputs[among]
        products = (gates @ gates.T) * (x @ x.T / self._root**2 + 1) + outputs @ outputs.T
        sign = self._sign[among].astype(np.float64)
        return (self._factor / self._train_size) * sign[:, None] * sign * products

    def velocity(self, pulls: np.ndarray) -> np.ndarray:
        """(1/P) sum_p A_p g_p, as one vector in the order of `Network.flat`."""
        each = (pulls / self._train_size).astype(self._x.dtype) * self._sign
        gated = self._gates * each[:, None]
        return np.concatenate([(gated.T @ self._x / self._root).ravel(), gated.sum(0), each @ self._outputs])

    def rate(self, velocity: np.ndarray) -> np.ndarray:
        """dz/dt at the chosen points while the parameters move at this velocity, shape (n,), float64."""
        moving = Network.from_flat(velocity, *self._shape)
        inner = ((self._x @ moving.weight.T / self._root + moving.bias) * self._gates).sum(1, dtype=np.float64)
        return self._factor * self._sign * (inner + self._outputs @ moving.output)
