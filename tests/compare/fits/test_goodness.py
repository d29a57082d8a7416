"""Goodness of fit: a test that rejects a good law as often as it says, and a wrong one more often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted_curves import planted
from scipy import stats

from compare import fit_law
from compare.fits.goodness import goodness


def test_criteria_are_those_of_the_textbook() -> None:
    found = goodness(0.35, 2, 6, pure=1.0, pure_freedom=12, rounding=1e-6)
    assert found.sum_of_squares == pytest.approx(1.35)
    assert found.aic == pytest.approx(18 * math.log(1.35 / 18) + 6)
    assert found.aicc == pytest.approx(found.aic + 2 * 3 * 4 / 14)
    assert found.bic == pytest.approx(18 * math.log(1.35 / 18) + 3 * math.log(18))
    assert found.lack_of_fit == pytest.approx(stats.f.sf((0.35 / 4) / (1 / 12), 4, 12))
    assert goodness(0.1, 2, 3, 0.0, 0, 1e-6).lack_of_fit is None
    assert math.isinf(goodness(0.1, 2, 4, 0.0, 0, 1e-6).aicc)


@pytest.mark.slow
def test_lack_of_fit_is_seen_as_often_as_it_says() -> None:
    """Of 150 good laws 5 % should fail: more than 17 (or none) happens once in 400; a bend is seen."""
    rng = np.random.default_rng(1)
    failed = {"good": 0, "bent": 0}
    for _ in range(150):
        for bend, mark in ((0.0, "good"), (0.15, "bent")):
            table = planted(rng, lambda p, c=bend: np.exp(-0.6 * np.log(p) + c * np.log(p / 700) ** 2), sigma=0.2)
            found = fit_law(table).goodness
            assert found.lack_of_fit is not None
            failed[mark] += found.lack_of_fit < 0.05
            assert found.passes == (found.lack_of_fit >= 0.05)
    assert 1 <= failed["good"] <= 17
    assert failed["bent"] > 100
