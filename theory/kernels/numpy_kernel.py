"""The reference kernel: the formulas as they stand, with every P x h array stored."""

from __future__ import annotations

import math

import numpy as np

from theory.losses import pull
from theory.network import Network

__all__ = ["field"]


def field(
    x: np.ndarray, y: np.ndarray, network: Network, baseline: np.ndarray, scale: float, loss: str
) -> tuple[np.ndarray, Network]:
    """(F, velocity), see `theory.kernels`."""
    dtype = x.dtype.type
    points, dim = x.shape
    root = dtype(math.sqrt(dim))
    preactivation = x @ network.weight.T / root + network.bias
    hidden = np.maximum(preactivation, 0)
    predictor = dtype(scale) * (hidden @ network.output / dtype(network.width) - baseline)
    force = y * pull(loss, y * predictor) / dtype(points)
    active = force[:, None] * (preactivation > 0)
    velocity = Network(
        network.output[:, None] * (active.T @ x) / root,
        network.output * active.sum(0),
        hidden.T @ force,
    )
    return predictor, velocity
