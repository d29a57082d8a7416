"""The flow at P = infinity and its response for a cylinder, where F depends on the radius alone.

Directions w_par of the neurons are spread evenly over the sphere and do not turn, so that a neuron is (w, r, b,
beta) with w = |w_par|. What the sample's noise does to it depends on its direction, in one spherical harmonic as in
another of the same degree (equations 24 to 27 of `theory/prediction/README.md`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from theory.kernels.radial_kernel import radial_sums
from theory.model.losses import reach
from theory.model.network import Network
from theory.prediction.harmonics import Angles
from theory.prediction.population import Snapshot, least_spread, split
from theory.prediction.quadrature import Cells, Slack
from theory.prediction.response import Perpendicular

__all__ = ["RadialPopulation", "RadialResponse", "RadialSnapshot"]

_ANGLES, _DEGREES = 48, 20  # cells of the angle, and degrees of harmonics from 0 on


@dataclass(frozen=True, slots=True, eq=False)
class RadialSnapshot(Snapshot):
    """As a `Snapshot`, whose `active` is the mean over the angle; `degrees` has the degrees, shape (L, h, K)."""

    degrees: np.ndarray

    def of_degree(self, degree: int) -> Snapshot:
        """The same with <Phi P_l> over the angle in place of <Phi>."""
        return Snapshot(
            self.parameters, self.predictor, self.slack, self.degrees[degree], self.growth, self.margins, self.velocity,
            self.unfit_fraction,
        )  # fmt: skip


class RadialPopulation:
    """The flow of h given neurons on infinitely many points of a cylinder, see `theory.prediction.population`."""

    def __init__(self, start: Network, cells: Cells, informative_dim: int, loss: str, scale: float) -> None:
        self.cells, self.loss, self.scale = cells, loss, scale
        self.angles = Angles.of(informative_dim, _ANGLES, _DEGREES)
        self.dim, self.width, self.informative_dim = start.dim, start.width, informative_dim
        self.root = math.sqrt(start.dim)
        self._cap = 1 + reach(loss, np.float64)
        weight = start.weight.astype(np.float64)
        self.perpendicular_start = weight[:, informative_dim:]
        lengths = [np.linalg.norm(part, axis=1) for part in (weight[:, :informative_dim], self.perpendicular_start)]
        self.start = np.concatenate([*lengths, start.bias.astype(float), start.output.astype(float)])
        w, r, b, beta = split(self.start)
        self._baseline = beta @ self._averages(w, r, b)[2]
        self.evaluations = 0

    def _averages(self, w: np.ndarray, r: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return radial_sums(w, r, b, self.cells.edges, self.angles.cosines, self.angles.weights, self.root)

    def __call__(self, parameters: np.ndarray) -> RadialSnapshot:
        """F and the velocity at these parameters."""
        self.evaluations += 1
        w, r, b, beta = split(parameters)
        signs, r = least_spread(r)
        chance, density, mean = self._averages(w, r, b)
        predictor = self.scale / self.width * (beta @ mean - self._baseline)
        slack = Slack.of(self.cells, self.loss, predictor)
        force = self.cells.mass * self.cells.label * slack.pull
        degrees, kinks, outputs = ((part[..., :-1] + part[..., 1:]) / 2 for part in (chance, density, mean))
        inner = beta / self.root
        growth = inner * (kinks @ force)
        # cos(theta) is the harmonic of degree 1.
        velocity = np.concatenate([
            inner * (degrees[1] @ (force * self.cells.centre)), growth * r * signs, beta * (degrees[0] @ force),
            outputs @ force,
        ])  # fmt: skip
        margins = np.minimum(slack.margin, self._cap)
        unfit = min(1.0, float(self.cells.mass @ slack.unfit))
        return RadialSnapshot(
            parameters, predictor, slack, degrees[0], growth, margins, velocity, unfit, degrees
        )  # fmt: skip

    def slope(self, snapshot: Snapshot) -> np.ndarray:
        """dF / d rho averaged over each shell, shape (K,)."""
        return np.diff(snapshot.predictor) / self.cells.width


class RadialResponse:
    """`Perpendicular` for each degree of harmonics, summed with their multiplicities.

    The start's weights point anywhere, whatever the neuron's informative direction, so that they are in every harmonic
    as strong as in the first.
    """

    def __init__(self, population: RadialPopulation, at: RadialSnapshot) -> None:
        self._counts = population.angles.multiplicity
        self._degrees = [Perpendicular(population, at.of_degree(degree)) for degree in range(len(self._counts))]

    def advance(self, before: RadialSnapshot, after: RadialSnapshot, step: float) -> None:
        """Follow the population from one snapshot to the next."""
        for degree, response in enumerate(self._degrees):
            response.advance(before.of_degree(degree), after.of_degree(degree), step)

    def slope_variance(self, at: RadialSnapshot) -> np.ndarray:
        """P <G^2> at each shell, shape (K,), of one irrelevant direction."""
        return self._sum([one.slope_variance(then) for one, then in self._each(at)])

    def start_slope_variance(self, at: RadialSnapshot) -> np.ndarray:
        """|G|^2 at each shell, shape (K,), of all irrelevant directions together, as the start's weights make it."""
        return self._sum([one.start_slope_variance(then) for one, then in self._each(at)])

    def prefactor(self, at: RadialSnapshot) -> float:
        """P R_f, what the noise contributes; NaN where F is constant."""
        return float(self._sum([one.prefactor(then) for one, then in self._each(at)]))

    def floor(self, at: RadialSnapshot) -> float:
        """What the start's weights contribute to R_f whatever P."""
        return float(self._sum([one.floor(then) for one, then in self._each(at)]))

    def weight_variance(self) -> float:
        """P <dw_perp^2> of what the noise drives, averaged over neurons."""
        return float(self._sum([one.weight_variance() for one in self._degrees]))

    def start_weight_variance(self) -> float:
        """<w_perp^2> per direction of what the start has left, averaged over neurons."""
        return self._degrees[0].start_weight_variance()

    def _each(self, at: RadialSnapshot) -> list[tuple[Perpendicular, Snapshot]]:
        return [(one, at.of_degree(degree)) for degree, one in enumerate(self._degrees)]

    def _sum(self, values: Sequence[float | np.ndarray]) -> np.ndarray:
        return np.asarray(np.tensordot(self._counts, np.array(values), 1))
