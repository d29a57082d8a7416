"""The reference kernel: the formulas as they stand, with every P x h array stored."""

from __future__ import annotations

import math

import numpy as np

from theory.model.losses import pull
from theory.model.network import Network

__all__ = ["NumpyField"]


class NumpyField:
    """(F, velocity) of the net at given points, see `theory.kernels`."""

    def __init__(self, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, scale: float, loss: str) -> None:
        self.x, self.y, self.baseline, self.loss = x, y, baseline, loss
        self.scale = x.dtype.type(scale)

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
        chosen = slice(None) if points is None else points
        x, y, baseline = self.x[chosen], self.y[chosen], self.baseline[chosen]
        dtype = x.dtype.type
        root = dtype(math.sqrt(x.shape[1]))
        preactivation = x @ network.weight.T / root + network.bias
        hidden = np.maximum(preactivation, 0)
        predictor = self.scale * (hidden @ network.output / dtype(network.width) - baseline)
        force = y * pull(self.loss, y * predictor) / dtype(len(self.x))
        active = force[:, None] * (preactivation > 0)
        velocity = Network(
            network.output[:, None] * (active.T @ x) / root,
            network.output * active.sum(0),
            hidden.T @ force,
        )
        return predictor, velocity
