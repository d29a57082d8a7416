"""The stripe: what is sampled, how it is labelled, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import trapezoid

from theory import Cylinder, FlowConfig, InputError, Stripe, simulate


def test_labels_are_balanced_and_points_are_standard_normal() -> None:
    """100000 points in three dimensions. False-alarm rate 1e-6 a check; the default stripe holds 1/2 to 1e-5.

    Control: a stripe whose upper interface is off by 0.1 is not balanced.
    """
    count = 100_000
    x, y = Stripe(3).sample(count, np.random.default_rng(1))
    low, high = stats.binom(count, 0.5).ppf([5e-7, 1 - 5e-7])
    assert abs(stats.norm.cdf(1.18549) - stats.norm.cdf(-0.3) - 0.5) < 1e-5
    assert low < (y > 0).sum() < high
    assert not low < (Stripe(3, (-0.3, 1.28549)).label(x) > 0).sum() < high
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-6
    assert np.abs(np.corrcoef(x, rowvar=False) - np.eye(3)).max() < stats.norm.isf(5e-7 / 3) / math.sqrt(count)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(dim=st.integers(2, 40), small=st.integers(1, 50), more=st.integers(0, 50), seed=st.integers(0, 1000))
def test_smaller_samples_begin_larger_ones(dim: int, small: int, more: int, seed: int) -> None:
    task = Stripe(dim)
    x, y = task.sample(small, np.random.default_rng(seed))
    longer_x, longer_y = task.sample(small + more, np.random.default_rng(seed))
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((small, dim), (small,), np.float64, np.float64)
    assert np.array_equal(longer_x[:small], x)
    assert np.array_equal(longer_y[:small], y)
    assert not np.array_equal(task.sample(small, np.random.default_rng(seed + 1))[0], x)


def test_only_the_first_coordinate_decides_and_the_interfaces_are_outside() -> None:
    task = Stripe(3, (-1.0, 2.0))
    first = np.array([-1.0, np.nextafter(-1.0, 0), 0.0, np.nextafter(2.0, 0), 2.0, 5.0, -5.0])
    expected = np.array([-1, 1, 1, 1, -1, -1, -1])
    for others in (0.0, 10.0, -10.0):
        x = np.column_stack([first, np.full((7, 2), others)])
        assert np.array_equal(task.label(x), expected)


def test_name_and_dimensions() -> None:
    assert (Stripe().name, Stripe().dim, Stripe().informative_dim) == ("stripe-d30", 30, 1)
    assert Stripe(5).name == "stripe-d5"


def test_marginal_density_integrates_to_the_probability_of_a_label() -> None:
    """Trapezoidal rule on 20001 nodes over the stripe: error (b - a) h^2 / 12 max|f''| < 1e-9."""
    x = np.linspace(-0.3, 1.18549, 20_001)
    mass = trapezoid(Stripe().marginal_density(x), x)
    assert mass == pytest.approx(stats.norm.cdf(1.18549) - stats.norm.cdf(-0.3), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ((1,), "dim"),
        ((0,), "dim"),
        ((2.0,), "dim"),
        (("30",), "dim"),
        ((5, (1.0, 1.0)), "interfaces"),
        ((5, (2.0, 1.0)), "interfaces"),
        ((5, (0.0, math.inf)), "interfaces"),
        ((5, (math.nan, 0.0)), "interfaces"),
        ((5, (0.0,)), "interfaces"),
        ((5, (0.0, 1.0, 2.0)), "interfaces"),
    ],
)
def test_bad_tasks_are_told(arguments: tuple[Any, ...], parameter: str) -> None:
    with pytest.raises(InputError, match=f"^{parameter} = ") as caught:
        Stripe(*arguments)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("train_size", [0, -1, 2.5])
def test_bad_sample_sizes_are_told(train_size: Any) -> None:
    with pytest.raises(InputError, match=r"^train_size = .*at least 1$"):
        Stripe(5).sample(train_size, np.random.default_rng(0))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_cylinder_is_balanced_and_only_the_norm_of_its_axes_decides(count: int) -> None:
    """100000 points, false-alarm rate 1e-6; the median of the chi distribution by scipy. Control: 5 % wider."""
    task = Cylinder(10, count)
    assert math.isclose(task.radius or 0, stats.chi(count).median(), rel_tol=1e-12)
    x, y = task.sample(100_000, np.random.default_rng(1))
    low, high = stats.binom(100_000, 0.5).ppf([5e-7, 1 - 5e-7])
    assert low < (y > 0).sum() < high
    assert not low < (Cylinder(10, count, 1.05 * (task.radius or 0)).label(x) > 0).sum() < high
    rotation = stats.special_ortho_group(count, seed=3).rvs()
    turned = np.hstack([x[:, :count] @ rotation.T, 5 * x[:, count:]])
    away = np.abs(np.linalg.norm(x[:, :count], axis=1) - task.radius) > 1e-9
    assert np.array_equal(task.label(turned)[away], y[away])
    assert not np.array_equal(task.label(np.hstack([5 * x[:, :count], x[:, count:]])), y)


@pytest.mark.parametrize("count", [2, 5])
def test_the_cylinders_density_is_chi(count: int) -> None:
    r = np.linspace(-1, 6, 71)
    np.testing.assert_allclose(Cylinder(10, count).marginal_density(r), stats.chi(count).pdf(r), atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 1), "informative_dim = 1: must be a whole number, at least 2 and at most 4"),
        ((5, 5), "informative_dim = 5: must be a whole number, at least 2 and at most 4"),
        ((2, 2), "dim = 2: must be a whole number, at least 3"),
        ((5, 2, 0.0), "radius = 0.0: must be a finite number, above 0"),
    ],
)
def test_bad_cylinders(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError) as error:
        Cylinder(*arguments)
    assert str(error.value) == message


def test_a_net_learns_the_cylinder_and_becomes_stable_across_it() -> None:
    """At the end of the flow most fresh points are right, and R_f is far below the isotropic 1."""
    config = FlowConfig(width=200, test_size=2000, unfit_fractions=(0.9, 0.1))
    path = simulate(Cylinder(6, 2), 512, config, seed=0)
    assert path.test_error[-1] < 0.2
    assert 0 < path.relative_stability[-1] < 0.05
    assert {row["task"] for row in path.rows()} == {"cylinder-d6-2"}
