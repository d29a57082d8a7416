"""Goodness of fit: tests that reject a good law as often as they say, and a wrong one more often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted_curves import planted

from compare import fit_law
from compare.fits.goodness import durbin_watson, goodness, runs_probability
from compare.fits.intervals import resamples


def test_durbin_watsons_probability_is_that_of_simulated_residuals() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(8.0)
    design = np.column_stack([np.ones(8), x])
    projector = np.eye(8) - design @ np.linalg.pinv(design)
    for seed in range(3):
        residual = projector @ np.random.default_rng(seed).normal(size=8)
        statistic, probability = durbin_watson(residual, design)
        draws = rng.normal(size=(40_000, 8)) @ projector
        simulated = np.mean(np.sum(np.diff(draws) ** 2, axis=1) / np.sum(draws**2, axis=1) < statistic)
        assert probability == pytest.approx(simulated, abs=4 * 0.5 / math.sqrt(40_000))


def test_runs_are_counted() -> None:
    assert runs_probability(np.array([1, 1, 1, -1, -1, -1.0])) == pytest.approx(2 / 20)
    assert runs_probability(np.array([1, -1, 1, -1, 1, -1.0])) == 1
    assert runs_probability(np.array([1, 1.0])) is None


def test_criteria_are_those_of_the_textbook() -> None:
    residuals = np.array([0.3, -0.1, 0.2, -0.4, 0.1, -0.2])
    design = np.column_stack([np.ones(6), np.arange(6.0)])
    found = goodness(residuals, design, pure=1.0, pure_freedom=12, n=18, rounding=1e-6)
    total = 1.0 + float(residuals @ residuals)
    assert found.sum_of_squares == pytest.approx(total)
    assert found.aic == pytest.approx(18 * math.log(total / 18) + 6)
    assert found.aicc == pytest.approx(found.aic + 2 * 3 * 4 / 14)
    assert found.bic == pytest.approx(18 * math.log(total / 18) + 3 * math.log(18))
    assert found.lack_of_fit is not None
    assert goodness(residuals[:3], design[:3], 0.0, 0, 3, 1e-6).lack_of_fit is None
    assert math.isinf(goodness(residuals[:4], design[:4], 0.0, 0, 4, 1e-6).aicc)


def test_resamples_are_all_of_them_with_their_probabilities() -> None:
    every = resamples(3, 5, np.random.default_rng(0))
    assert len(every) == 10
    assert sum(weight for _, weight in every) == pytest.approx(1)
    assert dict(every)[0, 1, 2] == pytest.approx(6 / 27)
    drawn = resamples(9, 50, np.random.default_rng(0))
    assert len(drawn) == 50
    assert drawn == resamples(9, 50, np.random.default_rng(0))


@pytest.mark.slow
def test_residual_tests_reject_at_their_level_and_see_a_wrong_law() -> None:
    """Of 150 good laws 5 % should fail each test: more than 17 (or none) happens once in 400; a bend is seen."""
    rng = np.random.default_rng(1)
    failed = {"lack": 0, "along": 0, "lack, bent": 0, "along, bent": 0}
    for _ in range(150):
        for bend, mark in ((0.0, ""), (0.15, ", bent")):
            table = planted(rng, lambda p, c=bend: np.exp(-0.6 * np.log(p) + c * np.log(p / 700) ** 2), sigma=0.2)
            found = fit_law(table, draws=0).goodness
            assert found.lack_of_fit is not None
            assert found.hanging_together is not None
            failed[f"lack{mark}"] += found.lack_of_fit < 0.05
            failed[f"along{mark}"] += found.hanging_together < 0.05
            assert found.passes == (min(found.lack_of_fit, found.hanging_together) >= 0.05)
            assert bool(found.failures()) != found.passes
    assert 1 <= failed["lack"] <= 17
    assert 1 <= failed["along"] <= 17
    assert failed["lack, bent"] > 100
    assert failed["along, bent"] > 40
