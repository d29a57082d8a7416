"""Estimates: the interval against Student's law, its coverage, and the digits that are printed."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from theory import Estimate
from theory.common.estimate import geometric_mean, mean


def test_interval_of_three_numbers_by_hand() -> None:
    """Of 1, 2, 3: s / sqrt(n) = 1 / sqrt 3; the tables give t = 4.30265 (95 %) and 2.91999 (90 %) at 2 dof."""
    for confidence, quantile in ((0.95, 4.302653), (0.90, 2.919986)):
        estimate = mean([1, 2, 3], confidence)
        assert (estimate.value, estimate.n, estimate.confidence) == (2, 3, confidence)
        # the quantiles above are rounded at 5e-7
        assert estimate.error == pytest.approx(quantile / math.sqrt(3), abs=5e-7)
        assert estimate.high - 2 == pytest.approx(2 - estimate.low, abs=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_interval_covers_as_often_as_it_says(n: int) -> None:
    """10000 samples of n Gaussians: binomial bounds at a false-alarm rate of 1e-5 each.

    Controls: intervals 20 % narrower, or with the normal quantile (n up to 5), cover too rarely.
    """
    trials, confidence = 10_000, 0.9
    samples = np.random.default_rng(n).normal(3.0, 2.0, (trials, n))
    estimates = [mean(sample, confidence) for sample in samples]
    low, high = stats.binom(trials, confidence).ppf([5e-6, 1 - 5e-6])

    def covered(factor: float) -> int:
        return sum(abs(estimate.value - 3.0) <= factor * estimate.error for estimate in estimates)

    assert low <= covered(1.0) <= high
    assert covered(0.8) < low
    if n <= 5:
        assert covered(stats.norm.ppf(0.95) / stats.t.ppf(0.95, n - 1)) < low


def test_one_sample_has_no_interval() -> None:
    estimate = mean([4.0])
    assert (estimate.value, estimate.n) == (4.0, 1)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    assert repr(estimate) == "4 (n=1)"


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    samples=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12),
    factor=st.floats(1e-3, 1e3),
)
def test_geometric_mean_is_the_mean_of_logarithms(samples: list[float], factor: float) -> None:
    """Against the n-th root of the product, and scaling with the samples.

    Rounding: logarithms up to 14 carry 2e-15 each, their spread enters the interval's ends multiplied by the
    t quantile (12.7 at n = 2): below 1e-12 of the ends' logarithm, which is at most 14 + 12.7 * 10.
    """
    found = geometric_mean(samples)
    assert found.value == pytest.approx(math.prod(samples) ** (1 / len(samples)), rel=1e-12)
    assert found.low <= found.value <= found.high
    scaled = geometric_mean([factor * sample for sample in samples])
    for name in ("value", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(factor * getattr(found, name), rel=1e-11)


def test_geometric_mean_is_not_the_arithmetic_one() -> None:
    estimate = geometric_mean([1.0, 100.0])
    assert estimate.value == pytest.approx(10.0, rel=1e-14)
    assert estimate.low * estimate.high == pytest.approx(100.0, rel=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.floats(-100, 100), error=st.floats(1e-4, 100), n=st.integers(2, 1000))
def test_printed_digits_are_those_that_the_error_allows(value: float, error: float, n: int) -> None:
    """A symmetric interval: value and error with the same decimals, rounded right, two digits of the smaller.

    The smaller of error and value, but not less than a tenth of the error; the unit of the last decimal is
    between a hundredth and a tenth of it, or 1 if there is no decimal.
    """
    text = repr(Estimate(value, value - error, value + error, n))
    match = re.fullmatch(r"(-?\d+)(\.\d+)? ± (\d+)(\.\d+)? \(n=(\d+)\)", text)
    assert match is not None, text
    shown, error_shown = (float(match[k] + (match[k + 1] or "")) for k in (1, 3))
    decimals, error_decimals = (len(match[k] or ".") - 1 for k in (2, 4))
    assert decimals == error_decimals
    assert int(match[5]) == n
    unit, slack = 10.0**-decimals, 1 + 1e-9
    found_error = ((value + error) - (value - error)) / 2
    assert abs(shown - value) <= unit / 2 * slack
    assert abs(error_shown - found_error) <= unit / 2 * slack
    smaller = min(found_error, max(abs(value), found_error / 10))
    assert smaller / 100 <= unit * slack
    assert unit <= max(1, smaller / 10) * slack
    assert unit == 1 or unit <= smaller / 10 * slack


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(1.02, 0.9, 1.3, 12), "1.02 [0.9, 1.3] (n=12)"),
        (Estimate(0.333333, 0.313333, 0.353333, 7), "0.333 ± 0.020 (n=7)"),
        (Estimate(250.0, 240.0, 260.0, 5), "250 ± 10 (n=5)"),
        (Estimate(0.5), "0.5 (n=1)"),
        (Estimate(0.5, 0.5, 0.5, 4), "0.5 (n=4)"),
    ],
)
def test_how_estimates_print(estimate: Estimate, text: str) -> None:
    assert repr(estimate) == text


def test_summary_is_json_ready() -> None:
    known = Estimate(1.0, 0.5, 2.0, 3, 0.9).summary()
    assert known == {"value": 1.0, "low": 0.5, "high": 2.0, "n": 3, "confidence": 0.9}
    unknown = json.loads(json.dumps(mean([2.0]).summary(), allow_nan=False))
    assert unknown == {"value": 2.0, "low": None, "high": None, "n": 1, "confidence": 0.95}
