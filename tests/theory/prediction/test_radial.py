"""The mean prediction of the cylinder: harmonics, averages over the angle, the closed form, and one direction alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from theory import Cylinder, FlowConfig, InputError, predict
from theory.kernels.radial_kernel import radial_sums
from theory.model.network import Network
from theory.prediction.harmonics import Angles
from theory.prediction.quadrature import Cells
from theory.prediction.radial import RadialPopulation, RadialResponse, RadialSnapshot
from theory.prediction.sobol import sobol_network


def _directions(count: int, informative_dim: int, rng: np.random.Generator) -> np.ndarray:
    found = rng.standard_normal((count, informative_dim))
    return found / np.linalg.norm(found, axis=1)[:, None]


@pytest.mark.parametrize("informative_dim", [2, 3, 5])
def test_zonal_harmonics_are_orthogonal_with_their_multiplicity(informative_dim: int) -> None:
    """<P_l P_m> = delta_lm / multiplicity, and P_l(1) = 1; by cells so fine that they are points."""
    angles = Angles.of(informative_dim, 4000, 5)
    law = angles.weights[0]
    assert law.sum() == pytest.approx(1)
    assert law @ ((angles.cosines[1:] + angles.cosines[:-1]) / 2) ** 2 == pytest.approx(1 / informative_dim, rel=1e-4)
    kept = law > 0
    values = angles.weights[:, kept] / law[kept]
    assert (values * law[kept]) @ values.T == pytest.approx(np.diag(1 / angles.multiplicity), abs=1e-4)
    assert values[:, -1] == pytest.approx(np.ones(5), abs=1e-2)


@pytest.mark.parametrize("informative_dim", [2, 3])
def test_sums_over_the_angle_are_those_of_drawn_points(informative_dim: int) -> None:
    """400,000 points on the sphere, within 5 standard errors; a smooth neuron, a sharp kink, one far from its kink."""
    w, r, b = np.array([0.8, 2.0, 0.1]), np.array([1.0, 1e-6, 0.2]), np.array([0.1, -0.15, 0.8])
    root, radius = math.sqrt(20), 1.3
    angles = Angles.of(informative_dim, 200, 3)
    chance, density, mean = radial_sums(w, r, b, np.array([radius]), angles.cosines, angles.weights, root)
    cosine = _directions(400_000, informative_dim, np.random.default_rng(0))[:, 0]
    zonal = [np.ones_like(cosine), cosine, (informative_dim * cosine**2 - 1) / (informative_dim - 1)]
    for n in range(3):
        level = w[n] * radius * cosine + root * b[n]
        active = ndtr(level / r[n])
        bell = np.exp(-((level / r[n]) ** 2) / 2) / math.sqrt(2 * math.pi)
        pairs = [(chance[k, n, 0], active * zonal[k]) for k in range(3)]
        pairs.append((mean[n, 0], (level * active + r[n] * bell) / root))
        if r[n] > 1e-3:
            pairs.append((density[n, 0], bell / r[n]))
        for found, drawn in pairs:
            assert found == pytest.approx(drawn.mean(), abs=5 * drawn.std() / math.sqrt(len(cosine)) + 1e-3)


@pytest.mark.parametrize("informative_dim", [2, 3])
def test_the_population_moves_as_drawn_points_move_it(informative_dim: int) -> None:
    """F and the velocity against 40,000 points and 300 directions for each of four neurons: a symmetric net."""
    rng = np.random.default_rng(1)
    dim, scale, copies = 8, 2.0, 300
    task = Cylinder(dim, informative_dim)
    start = sobol_network(4, dim, rng, informative_dim)
    population = RadialPopulation(start, Cells.of(task, 200), informative_dim, "squaredhinge", scale)
    place = population.start + 0.2 * rng.standard_normal(16)
    found = population(place)
    w, r, b, beta = (np.repeat(part, copies) for part in place.reshape(4, 4))
    first = [np.repeat(part, copies) for part in population.start.reshape(4, 4)]
    around, across = _directions(4 * copies, informative_dim, rng), _directions(4 * copies, dim - informative_dim, rng)

    def net(values: list[np.ndarray]) -> Network:
        weight = np.hstack([values[0][:, None] * around, values[1][:, None] * across])
        return Network(weight, values[2], values[3])

    x, y = task.sample(40_000, rng)
    root = math.sqrt(dim)
    level, before = (x @ one.weight.T / root + one.bias for one in (net([w, r, b, beta]), net(first)))
    predictor = scale / (4 * copies) * (np.maximum(level, 0) @ beta - np.maximum(before, 0) @ first[3])
    radius = np.linalg.norm(x[:, :informative_dim], axis=1)
    expected = np.interp(radius, population.cells.edges, found.predictor)
    assert np.mean(predictor - expected) == pytest.approx(0, abs=0.01)
    force = y * np.maximum(1 - y * np.interp(radius, population.cells.edges, found.predictor), 0) / len(x)
    on = (level > 0) * force[:, None]
    moved = beta[:, None] * (on.T @ x) / root
    along = np.sum(moved[:, :informative_dim] * around, axis=1)
    sideways = np.sum(moved[:, informative_dim:] * across, axis=1)
    velocity = np.concatenate([
        part.reshape(4, copies).mean(1)
        for part in (along, sideways, beta * on.sum(0), np.maximum(level, 0).T @ force)
    ])  # fmt: skip
    assert np.abs(velocity - found.velocity).max() < 0.03 * np.abs(velocity).max()


def test_the_response_is_that_of_neurons_and_points_all_around() -> None:
    """One step on a circle with 96 directions of two neurons and of the points of each shell, without harmonics."""
    task, count, scale = Cylinder(6, 2), 96, 20.0
    start = sobol_network(2, 6, np.random.default_rng(2), 2)
    population = RadialPopulation(start, Cells.of(task, 20), 2, "squaredhinge", scale)
    before = population(population.start)
    step = 0.02
    after = population(population.start + step * before.velocity)
    response = RadialResponse(population, before)
    response.advance(before, after, step)
    shells, angle = population.cells, np.arange(count) * 2 * math.pi / count

    def outward(snapshot: RadialSnapshot) -> np.ndarray:
        """beta Phi / sqrt(d): a row for each neuron and its direction, a column for each shell and its points'."""
        series = snapshot.degrees * population.angles.multiplicity[:, None, None]
        values = np.polynomial.chebyshev.chebval(np.cos(angle[:, None] - angle), series)
        values = snapshot.parameters.reshape(4, -1)[3][:, None, None, None] * values / population.root
        return np.moveaxis(values, 2, 1).reshape(2 * count, -1)

    # Columns: unit noise at every point; its mean over the circle has the variance 1 / count.
    ends = [
        step / 2 * outward(one) * np.repeat(shells.label * one.slack.pull * np.sqrt(shells.mass / count), count)
        for one in (before, after)
    ]
    growth = np.repeat(np.exp(step / 2 * (before.growth + after.growth)), count)
    driven = growth[:, None] * ends[0] + ends[1]
    out = outward(after)
    felt = np.repeat(shells.mass * after.slack.curvature / count, count)
    feedback = scale * step / (2 * count) * (out * felt) @ out.T

    def variance(weight: np.ndarray) -> np.ndarray:
        slopes = scale / (2 * count) * out.T @ weight
        return np.sum(slopes**2, axis=1).reshape(shells.count, count).mean(1)

    found = response.slope_variance(after)
    assert found == pytest.approx(variance(np.linalg.solve(np.eye(2 * count) + feedback, driven)), rel=2e-3)
    assert np.abs(found / variance(driven) - 1).max() > 0.02  # without the feedback it is another


@pytest.mark.slow
def test_it_begins_at_the_closed_form_of_the_sphere() -> None:
    """P R_f at q = 0.99 and alpha = 1e-12 within 5 % of equation (17); one direction alone would be 39 % lower."""
    config = FlowConfig(width=64, scale=1e-12, unfit_fractions=(0.99,))
    found = predict(Cylinder(30, 2), config, sobol=True)
    closed = found.fixed_points[0]
    assert closed.ring_prefactor is not None
    assert found.prefactor[0] == pytest.approx(closed.ring_prefactor, rel=0.05)
    assert abs(closed.prefactor / closed.ring_prefactor - 1) > 0.3
    assert found.positions[0] == 0
    assert found.relative_stability_at([1])[0, 0] < 30 / 28


def test_refuses_a_radius_that_no_cell_reaches() -> None:
    with pytest.raises(InputError, match=r"radius = 9\.0: must lie below"):
        predict(Cylinder(6, 2, radius=9.0), FlowConfig(width=32))
