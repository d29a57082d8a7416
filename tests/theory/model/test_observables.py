"""R_f, Lambda and gradients against direct formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory import Cylinder, Network, Stripe
from theory.model.observables import Observer, gradient, outputs, random_directions, small_noise_ratio


def test_gradient_is_the_slope_of_the_outputs() -> None:
    """Central differences of 1e-6, at points whose kinks are further away: error below 1e-8 of the scale."""
    rng = np.random.default_rng(0)
    net = Network.initial(40, 6, rng)
    x = rng.standard_normal((200, 6))
    preactivation = x @ net.weight.T / math.sqrt(6) + net.bias
    x = x[np.abs(preactivation).min(1) > 1e-5]
    assert len(x) > 100
    step = 1e-6 * np.eye(6)
    slope = np.stack([(outputs(net, x + e) - outputs(net, x - e)) / 2e-6 for e in step], axis=1)
    np.testing.assert_allclose(gradient(net, x), slope, atol=1e-8)


def test_ratio_of_an_isotropic_gradient_is_one_and_of_an_aligned_one_is_zero() -> None:
    """Isotropic: mean squares of 10^5 x 4 normals; 5 standard errors of their ratio are 0.03."""
    slope = np.random.default_rng(1).standard_normal((100_000, 4))
    assert abs(small_noise_ratio(slope, 1) - 1) < 0.03
    slope[:, 1:] = 0
    assert small_noise_ratio(slope, 1) == 0
    slope[:, 0], slope[:, 1:] = 0, 1
    assert math.isclose(small_noise_ratio(slope, 1), 4 / 3)
    assert math.isnan(small_noise_ratio(np.zeros((3, 4)), 1))


def test_ratio_is_the_small_noise_limit_of_finite_noise() -> None:
    """Noise of norm 1e-4 on 20000 points: the ratio of squares agrees within 5 standard errors (5 %)."""
    rng = np.random.default_rng(2)
    net = Network.initial(50, 5, rng)
    net.weight[:, 1:] *= 0.1
    x = rng.standard_normal((20_000, 5))

    def moved(first: int) -> float:
        noise = np.zeros_like(x)
        noise[:, first:] = rng.standard_normal((len(x), 5 - first))
        noise *= 1e-4 / np.linalg.norm(noise, axis=1, keepdims=True)
        return float(((outputs(net, x + noise) - outputs(net, x)) ** 2).mean())

    direct = moved(1) / moved(0)
    assert abs(direct / small_noise_ratio(gradient(net, x), 1) - 1) < 0.05
    assert direct < 0.5  # and not the isotropic value


def test_observe_counts_errors_and_subtracts_the_start() -> None:
    task = Stripe(3)
    rng = np.random.default_rng(3)
    x, y = task.sample(500, rng)
    start = Network.initial(30, 3, rng)
    moved = Network(start.weight * 1.1, start.bias, start.output)
    observe = Observer(task, start, x, y)
    seen = observe(moved)
    difference = outputs(moved, x) - outputs(start, x)
    assert seen.test_error == np.mean(np.sign(difference) != y)
    squares = (moved.weight**2).mean(0)
    assert math.isclose(seen.compression, math.sqrt(squares[0] / squares[1:].mean()))
    assert math.isnan(observe(start).relative_stability)
    assert seen.finite_noise == ()


def test_finite_noise_is_what_its_definition_says() -> None:
    """D, G and R at two norms, from outputs on noisy points; the pairs' distance by a sum over all pairs."""
    task = Cylinder(5, 2)
    rng = np.random.default_rng(4)
    x, y = task.sample(300, rng)
    start, net = (Network.initial(30, 5, rng) for _ in range(2))
    seen = Observer(task, start, x, y, (0.5, 3.0), np.random.default_rng(7))(net)

    def predictor(points: np.ndarray) -> np.ndarray:
        return outputs(net, points) - outputs(start, points)

    pairs = predictor(x)[:, None] - predictor(x)
    directions = np.random.default_rng(7)
    nu, eta = random_directions(300, 5, 2, directions), random_directions(300, 5, 0, directions)
    assert np.all(nu[:, :2] == 0)
    np.testing.assert_allclose(np.linalg.norm(nu, axis=1), 1)
    for finite, norm in zip(seen.finite_noise, (0.5, 3.0), strict=True):
        assert finite.norm == norm
        diffeo, noise = (((predictor(x + norm * e) - predictor(x)) ** 2).mean() / (pairs**2).mean() for e in (nu, eta))
        assert math.isclose(finite.diffeo, diffeo, rel_tol=1e-12)
        assert math.isclose(finite.noise, noise, rel_tol=1e-12)
        assert math.isclose(finite.relative, diffeo / noise, rel_tol=1e-12)
    with pytest.raises(ValueError, match="needs a generator"):
        Observer(task, start, x, y, (0.5,))


def test_finite_noise_tends_to_the_small_noise_limit() -> None:
    """Norm 1e-3 on 20000 points: within 5 standard errors, 5 %; at norm 3 it is another number."""
    task, rng = Stripe(5), np.random.default_rng(5)
    x, y = task.sample(20_000, rng)
    start, net = (Network.initial(50, 5, rng) for _ in range(2))
    net.weight[:, 1:] *= 0.1
    start.weight[:, 1:] *= 0.1
    seen = Observer(task, start, x, y, (1e-3, 3.0), rng)(net)
    small, large = (finite.relative for finite in seen.finite_noise)
    assert abs(small / seen.relative_stability - 1) < 0.05
    assert abs(large / seen.relative_stability - 1) > 0.05
