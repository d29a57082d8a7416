"""The lazy limit: the tangent kernel, its flow where that is exactly solvable, and wide nets at large alpha."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory import Cylinder, FlowConfig, InputError, Network, Stripe, curve, simulate
from theory.kernels.lazy_kernel import predictor_and_slope, pulled, tangent_kernel

RNG = np.random.default_rng(0)
X, Z, W = RNG.standard_normal((4, 3)), RNG.standard_normal((5, 3)), RNG.standard_normal(5)


def test_kernel_is_that_of_wide_nets() -> None:
    """h sum_theta df df over 40 nets of 10,000 neurons: 20 numbers, |z| < 5; without the bias's part it is not."""
    draws = []
    for seed in range(40):
        net = Network.initial(10_000, 3, np.random.default_rng(seed))
        one, other = (p @ net.weight.T / math.sqrt(3) + net.bias for p in (X, Z))
        features = np.maximum(one, 0) @ np.maximum(other, 0).T
        inner = ((one > 0) * net.output) @ ((other > 0) * net.output).T
        dots = X @ Z.T / 3
        draws.append([(features + inner * (dots + 1)) / net.width, (features + inner * dots) / net.width])
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1) / math.sqrt(40)
    z = (mean - tangent_kernel(X, Z)) / error
    assert np.max(np.abs(z[0])) < 5
    assert np.max(np.abs(z[1])) > 20


def test_slope_is_the_derivative() -> None:
    values, slopes = predictor_and_slope(X, Z, W)
    assert np.allclose(values, tangent_kernel(X, Z) @ W, rtol=1e-12)
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        difference = (tangent_kernel(X + step, Z) - tangent_kernel(X - step, Z)) @ W / 2e-6
        assert np.allclose(slopes[:, i], difference, atol=1e-8)
    assert np.all(np.isfinite(predictor_and_slope(Z, Z, W)[1]))  # at the points themselves, too


def test_product_leaves_out_what_does_not_pull() -> None:
    kernel = RNG.standard_normal((2100, 2100))
    force = RNG.standard_normal(2100) * (RNG.random(2100) < 0.3)
    assert np.allclose(pulled(kernel, force), force @ kernel, atol=1e-11)


def test_squared_hinge_is_exact_until_the_first_point_is_fit() -> None:
    """F = (1 - exp(-Theta t / P)) y while all y F < 1: the time at which the first reaches 1, first order in steps."""
    task, size = Stripe(3), 12
    x, y = task.sample(size, np.random.default_rng(np.random.SeedSequence(7).spawn(4)[0]))
    rates, axes = np.linalg.eigh(tangent_kernel(x, x) / size)

    def largest(time: float) -> float:
        return float(np.max(y * (axes @ (-np.expm1(-rates * time) * (axes.T @ y)))))

    low, high = 0.0, 1.0
    while largest(high) < 1:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if largest(middle) >= 1 else (middle, high)
    errors = []
    for change in (0.02, 0.01, 0.005):
        config = FlowConfig(
            scale=math.inf, loss="squaredhinge", dtype="float64", output_change=change, unfit_fractions=(1 - 1 / size,)
        )
        errors.append(abs(simulate(task, size, config, seed=7).time[0] / high - 1))
    assert errors[-1] < 0.02
    assert errors[0] / errors[-1] > 2.5


@pytest.mark.slow
def test_wide_nets_at_large_alpha_are_the_limit_at_finite_noise() -> None:
    """h = 16,000, alpha = 1e6: time, test error, and R_f at a noise of norm 3/2, within 10 % of the limit.

    The limit of small noise does not commute with it: where noise moves no kink across a point, R_f of the net stays
    near 1, the control.
    """
    task, noise = Stripe(5), (1.5,)
    config = FlowConfig(scale=math.inf, unfit_fractions=(0.5, 0.1), test_size=3000, noise_norms=noise)
    limit = simulate(task, 200, config, seed=0)
    assert np.array_equal(limit.compression, [1, 1])
    assert limit.network is None
    wide = FlowConfig(
        width=16_000, scale=1e6, unfit_fractions=(0.5, 0.1), dtype="float64", test_size=3000, noise_norms=noise
    )
    path = simulate(task, 200, wide, seed=0)
    assert np.allclose(path.time * wide.scale, limit.time, rtol=0.05)
    assert np.max(np.abs(path.test_error - limit.test_error)) < 0.02
    for one, other in zip(path.records, limit.records, strict=True):
        relative = [record.observables.finite_noise[0].relative for record in (one, other)]
        assert abs(math.log(relative[0] / relative[1])) < 0.1
    assert np.all(path.relative_stability > 5 * limit.relative_stability)


@pytest.mark.slow
def test_the_limit_goes_through_curve_and_tables() -> None:
    config = FlowConfig(scale=math.inf, unfit_fractions=(0.5,), test_size=500, noise_norms=(0.5,))
    table = curve(Cylinder(4, 2), [30, 60], [0, 1], config)
    assert set(table["architecture"]) == {"one-hidden-hinf"}
    assert set(table["variant"]) == {"alpha=inf"}
    assert len(table) == 8
    assert table["relative_stability"].between(0, 2).all()
    assert table.equals(curve(Cylinder(4, 2), [30, 60], [0, 1], config, workers=2))


def test_what_makes_no_sense_there_is_refused() -> None:
    with pytest.raises(InputError, match="neuron_seed = 3: must be None in the lazy limit"):
        simulate(Stripe(3), 10, FlowConfig(scale=math.inf), seed=0, neuron_seed=3)
    with pytest.raises(InputError, match="scale = nan"):
        FlowConfig(scale=math.nan)
    with pytest.warns(RuntimeWarning, match="P = 10, seed 0: max_steps after 3 steps"):
        assert not simulate(Stripe(3), 10, FlowConfig(scale=math.inf, max_steps=3), seed=0).converged
