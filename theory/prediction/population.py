"""The flow at P = infinity: neurons that know only x_1, and the mean over everything else.

By the symmetry of Gaussian points a neuron is (w, r, b, beta), with w = w_par and r = |w_perp| whose direction does
not turn, and F depends on x_1 alone (equations 4 to 7 of `theory/prediction/README.md`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theory.kernels.population_kernel import activations, cell_averages
from theory.model.losses import reach
from theory.model.network import Network
from theory.prediction.quadrature import Cells, Slack

__all__ = ["Population", "Snapshot", "least_spread", "split"]

_LEAST = 1e-100  # r below which a kink is as sharp as can be


def split(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """w, r, b and beta, each of shape (h,), from the vector of all of them; views."""
    w, r, b, beta = parameters.reshape(4, -1)
    return w, r, b, beta


def least_spread(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Its sign, and |r| or the least that kernels divide by.

    A decaying r may end below 0 by a rounding or by the integrator's error; only its square has a meaning.
    """
    return np.sign(r), np.maximum(np.abs(r), _LEAST)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The population at one moment, with all that its response needs; a `theory.flow.state.Evaluation`.

    Attributes
    ----------
    parameters : (w, r, b, beta), shape (4 h,)
    predictor : F at the cells' edges, shape (K + 1,)
    slack : what the loss makes of it
    active : Phi_n averaged over each cell, shape (h, K)
    growth : r'/r of each neuron, shape (h,)
    margins : y F at the cells' middles, capped where the loss sees no further, shape (K,)
    velocity : of the parameters, shape (4 h,)
    unfit_fraction : q, the mass where y F < 1
    """

    parameters: np.ndarray
    predictor: np.ndarray
    slack: Slack
    active: np.ndarray
    growth: np.ndarray
    margins: np.ndarray
    velocity: np.ndarray
    unfit_fraction: float


class Population:
    """The flow of h given neurons on infinitely many points.

    `start` is the net, of input dimension d; F = alpha (f - f_0) with f_0 that of the same neurons.
    """

    def __init__(self, start: Network, cells: Cells, loss: str, scale: float) -> None:
        self.cells, self.loss, self.scale = cells, loss, scale
        self.dim, self.width, self.informative_dim = start.dim, start.width, 1
        self.root = math.sqrt(start.dim)
        self._cap = 1 + reach(loss, np.float64)
        weight = start.weight.astype(np.float64)
        self.perpendicular_start = weight[:, 1:]
        self.start = np.concatenate(
            [weight[:, 0], np.linalg.norm(weight[:, 1:], axis=1), start.bias.astype(float), start.output.astype(float)]
        )
        self._baseline = activations(*split(self.start), cells.edges, self.root)[2]
        self.evaluations = 0

    def __call__(self, parameters: np.ndarray) -> Snapshot:
        """F and the velocity at these parameters."""
        self.evaluations += 1
        w, r, b, beta = split(parameters)
        signs, r = least_spread(r)
        chance, mean, total = activations(w, r, b, beta, self.cells.edges, self.root)
        predictor = self.scale / self.width * (total - self._baseline)
        slack = Slack.of(self.cells, self.loss, predictor)
        force = self.cells.mass * self.cells.label * slack.pull
        edges, centre = self.cells.edges, self.cells.centre
        active, sums = cell_averages(w, r, b, chance, mean, edges, centre, force, self.root)
        inner = beta / self.root
        growth = inner * sums[:, 1]
        velocity = np.concatenate([inner * sums[:, 0], growth * r * signs, beta * sums[:, 2], sums[:, 3]])
        margins = np.minimum(slack.margin, self._cap)
        unfit = min(1.0, float(self.cells.mass @ slack.unfit))  # 1 + a rounding, otherwise
        return Snapshot(parameters, predictor, slack, active, growth, margins, velocity, unfit)

    def slope(self, snapshot: Snapshot) -> np.ndarray:
        """dF/dx_1 averaged over each cell, shape (K,)."""
        return np.diff(snapshot.predictor) / self.cells.width
