"""The population flow against quadrature by scipy and against large samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from theory import Cylinder, InputError, Network, Stripe
from theory.kernels import get_kernel
from theory.kernels.population_kernel import activations, cell_averages
from theory.model.losses import LOSSES, loss_value, pull
from theory.prediction.population import Population, split
from theory.prediction.quadrature import Cells, Slack

TASK = Stripe(dim=6)


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def test_cells_hold_the_normal_law_and_no_interface_lies_within_one() -> None:
    cells = Cells.of(TASK, 50)
    assert cells.mass.sum() == pytest.approx(1, abs=1e-14)
    assert cells.mass @ cells.centre == pytest.approx(0, abs=1e-6)
    assert cells.mass @ cells.label == pytest.approx(0, abs=2e-5)  # the labels are equally probable
    assert all(np.min(np.abs(cells.edges - z)) < 1e-15 for z in TASK.interfaces)
    low, high = cells.edges[20], cells.edges[21]
    mean = quad(lambda x: x * _density(x), low, high)[0] / quad(_density, low, high)[0]
    assert cells.centre[20] == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize("task", [Cylinder(radius=9.0), Stripe(interfaces=(-5.0, 1.0)), Stripe(interfaces=(0.0, 4.5))])
def test_cells_refuse_what_has_no_such_direction(task: Stripe | Cylinder) -> None:
    with pytest.raises(InputError, match=r"must lie (below|within -4\.5 and 4\.5)"):
        Cells.of(task, 50)


@given(st.sampled_from(LOSSES), st.floats(-2, 3), st.floats(-2, 3), st.sampled_from([-1.0, 1.0]))
def test_the_loss_is_averaged_over_a_cell_exactly(loss: str, first: float, last: float, label: float) -> None:
    cells = Cells(np.array([0.0, 0.1]), np.array([0.1]), np.array([1.0]), np.array([0.05]), np.array([label]))
    slack = Slack.of(cells, loss, label * np.array([first, last]))
    # Midpoints of many thin slices: exact to their number, whatever the loss' corners.
    places = first + (last - first) * (np.arange(200_000) + 0.5) / 200_000
    assert slack.pull[0] == pytest.approx(float(np.mean(pull(loss, places))), abs=1e-5)
    assert slack.unfit[0] == pytest.approx(float(np.mean(places < 1)), abs=1e-5)
    if abs(last - first) > 1e-3:
        slope = float(np.ptp(pull(loss, np.array([first, last])))) / abs(last - first)
        assert slack.curvature[0] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_a_cell_across_which_f_is_flat_has_the_losses_own_values() -> None:
    cells = Cells.of(TASK, 20)
    slack = Slack.of(cells, "softhinge", np.full(cells.count + 1, 0.97))
    z = 0.97 * cells.label
    assert np.allclose(slack.pull, pull("softhinge", z), rtol=1e-12)
    assert np.allclose(slack.curvature, 20 * pull("softhinge", z) * (1 - pull("softhinge", z)), rtol=1e-5)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 30.0, 1e5])
def test_kernel_averages_sharp_and_smooth_kinks(sharpness: float) -> None:
    """Averages of Phi and phi / r over cells against quadrature; sharpness is w / r."""
    cells = Cells.of(TASK, 40)
    root = math.sqrt(TASK.dim)
    w, b, beta = np.array([1.0, -2.0]), np.array([0.17, -0.4]), np.array([0.5, -1.5])
    r = np.abs(w) / sharpness
    chance, mean, total = activations(w, r, b, beta, cells.edges, root)
    u = (w[:, None] * cells.edges + root * b[:, None]) / r[:, None]
    assert np.allclose(chance, ndtr(u), atol=1e-15)
    assert np.allclose(mean, r[:, None] * (u * ndtr(u) + np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)) / root, 1e-12)
    assert np.allclose(total, beta @ mean, rtol=1e-12)
    force = np.zeros(cells.count)
    for k in (12, 18, 19, 20):  # both kinks, at -0.416 and -0.490, are in cell 18
        force[:] = 0
        force[k] = 1
        active, sums = cell_averages(w, r, b, chance, mean, cells.edges, cells.centre, force, root)
        low, high = cells.edges[k], cells.edges[k + 1]
        for n in range(2):
            kink = -b[n] * root / w[n]
            near = [p for p in (kink - 6 / sharpness, kink, kink + 6 / sharpness) if low < p < high]

            def averaged(f, points=near, low=low, high=high):  # type: ignore[no-untyped-def]
                return quad(f, low, high, points=points or None, limit=200)[0] / (high - low)

            along, across, whole, _ = sums[n]
            level = averaged(lambda x, n=n: float(ndtr((w[n] * x + root * b[n]) / r[n])))
            peak = averaged(lambda x, n=n: _density((w[n] * x + root * b[n]) / r[n]) / r[n])
            assert active[n, k] == pytest.approx(level, rel=1e-4, abs=1e-9)
            assert (whole, along) == (pytest.approx(active[n, k]), pytest.approx(active[n, k] * cells.centre[k]))
            assert across == pytest.approx(peak, rel=1e-4, abs=1e-9)


def _network(width: int, seed: int) -> Network:
    return Network.initial(width, TASK.dim, np.random.default_rng(seed))


def test_velocity_is_the_mean_over_a_large_sample_while_every_point_is_unfit() -> None:
    """hinge, alpha small: A = 1 everywhere. 5 neurons, 400,000 points in 40 batches: |z| < 5 for 20 numbers."""
    start = _network(5, 1)
    population = Population(start, Cells.of(TASK, 2000), "hinge", 1e-9)
    expected = population(population.start).velocity
    rng = np.random.default_rng(2)
    way = start.weight[:, 1:] / np.linalg.norm(start.weight[:, 1:], axis=1, keepdims=True)
    batches = []
    for _ in range(40):
        x, y = TASK.sample(10_000, rng)
        velocity = get_kernel("numpy")(x, y, np.zeros(len(x)), 1e-9, "hinge")(start)[1]
        across = (velocity.weight[:, 1:] * way).sum(1)
        batches.append(np.concatenate([velocity.weight[:, 0], across, velocity.bias, velocity.output]))
    error = np.std(batches, axis=0, ddof=1) / math.sqrt(len(batches))
    z = (np.mean(batches, axis=0) - expected) / error
    assert np.max(np.abs(z)) < 5
    wrong = expected.copy()
    wrong[5:10] = 0  # r left alone: the sample must tell
    assert np.max(np.abs((np.mean(batches, axis=0) - wrong) / error)) > 20


@pytest.mark.parametrize("loss", LOSSES)
def test_velocity_descends_the_loss_with_an_error_that_falls_as_the_square_of_the_cells(loss: str) -> None:
    """d/dt (1/alpha) int rho l(y F) = -|theta'|^2 / h."""
    start = _network(20, 3)
    errors = []
    for count in (200, 400, 800):
        population = Population(start, Cells.of(TASK, count), loss, 20.0)
        rng = np.random.default_rng(4)
        place = population.start + 0.3 * rng.standard_normal(len(population.start))
        velocity = population(place).velocity

        def risk(parameters: np.ndarray, population: Population = population) -> float:
            cells = population.cells
            f = population(parameters).predictor
            parts = np.linspace(0.5 / 64, 1 - 0.5 / 64, 64)
            z = cells.label[:, None] * (f[:-1, None] * (1 - parts) + f[1:, None] * parts)
            return float(cells.mass @ loss_value(loss, z).mean(1)) / population.scale

        step = 1e-4 / np.linalg.norm(velocity)
        slope = (risk(place + step * velocity) - risk(place - step * velocity)) / (2 * step)
        errors.append(abs(slope / (-(velocity @ velocity) / 20) - 1))
    assert errors[-1] < 1e-4
    assert errors[-1] < errors[0] / 6


def test_growth_is_that_of_r_and_a_sign_of_r_means_nothing() -> None:
    population = Population(_network(8, 5), Cells.of(TASK, 60), "softhinge", 1.0)
    there = population(population.start)
    # r' from the velocity, against the flow's growth by a difference of F's risk is tested above; here: r'/r.
    step = 1e-6
    moved = population(population.start + step * there.velocity)
    ratio = np.log(split(moved.parameters)[1] / split(population.start)[1]) / step
    assert np.allclose(there.growth, ratio, rtol=1e-4, atol=1e-9)
    flipped = population.start.copy()
    flipped[8:16] *= -1
    mirrored = population(flipped)
    assert np.array_equal(mirrored.predictor, there.predictor)
    assert np.array_equal(split(mirrored.velocity)[1], -split(there.velocity)[1])
