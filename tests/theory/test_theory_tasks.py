"""The stripe: what is sampled, how it is labelled, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from theory import InputError, Stripe


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
    mass = np.trapezoid(Stripe().marginal_density(x), x)
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
