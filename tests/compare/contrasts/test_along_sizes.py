"""R_f and the test error along P, and R_f before and after training: planted exponents and decades are found."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from compare import along_sizes, stability_falls
from theory.common.errors import InputError
from theory.common.table import curve_table

SIZES = (256, 1024, 4096, 16384)


def net(rng: np.random.Generator, *, seeds: int = 4, own: float = 0.1) -> pd.DataFrame:
    """R_f = P^-0.6, eps_t = P^-0.3; slopes and points of each seed scatter."""
    rows = []
    for seed in range(seeds):
        slopes = -0.6 + own * rng.normal(), -0.3 + own * rng.normal() / 2
        for size in SIZES:
            noise = np.exp(0.05 * rng.normal(size=2))
            rows.append(
                {
                    "source": "images", "task": "digits", "architecture": "vgg", "train_size": size, "seed": seed,
                    "stage": "trained", "relative_stability": size ** slopes[0] * noise[0],
                    "test_error": size ** slopes[1] * noise[1],
                }
            )  # fmt: skip
    return curve_table(rows)


def test_exponents_stand_beside_one_another() -> None:
    (item,) = along_sizes(net(np.random.default_rng(0), own=0.0))
    assert item.stability.exponent.value == pytest.approx(-0.6, abs=0.03)
    assert item.error.exponent.value == pytest.approx(-0.3, abs=0.03)
    assert item.ratio.low < 0.5 < item.ratio.high
    assert item.correlation.value > 0.99
    json.dumps(item.summary(), allow_nan=False)
    one = next(iter(along_sizes(net(np.random.default_rng(0), seeds=1))))
    assert np.isnan(one.ratio.error)
    assert np.isnan(one.correlation.error)
    few = along_sizes(net(np.random.default_rng(0)).query("train_size == 256"))
    assert (len(few), len(few.skipped)) == (0, 1)


@pytest.mark.slow
def test_intervals_of_the_ratio_hold_the_truth() -> None:
    """Of 100 at 95 %, fewer than 88 hold 1/2 once in 680 times; those of half the width must fail that."""
    rng = np.random.default_rng(1)
    held = {"ratio": 0, "halved": 0}
    for _ in range(100):
        (item,) = along_sizes(net(rng, seeds=6))
        held["ratio"] += item.ratio.low <= 0.5 <= item.ratio.high
        held["halved"] += abs(item.ratio.value - 0.5) <= item.ratio.error / 2
    assert held["ratio"] >= 88, held
    assert held["halved"] < 88, held


def stages(*values: tuple[str, int, float, float], **columns: object) -> list[dict]:
    """Rows of (stage, seed, R_f, half width over R_f)."""
    key = {"source": "images", "task": "digits", "architecture": "vgg", "train_size": 1024, **columns}
    return [
        {**key, "stage": stage, "seed": seed, "relative_stability": value, "relative_stability_low": value * (1 - part),
         "relative_stability_high": value * (1 + part)}
        for stage, seed, value, part in values
    ]  # fmt: skip


def test_decades_are_those_of_each_seed() -> None:
    rows = stages(*(("initial", seed, 10.0**seed, 0.1) for seed in range(3)),
                  *(("trained", seed, 10.0 ** (seed - 2) * 2 ** (seed - 1), 0.1) for seed in range(3)))  # fmt: skip
    (fall,) = stability_falls(curve_table(rows))
    assert fall.decades.value == pytest.approx(2)
    assert 0.2 < fall.decades.error < 1  # over the seeds' ratios, not over R_f itself, which spreads by two decades
    assert fall.decades.n == 3
    assert fall.trained.value == pytest.approx(0.1)


def test_one_seed_has_the_interval_over_its_images() -> None:
    (fall,) = stability_falls(curve_table(stages(("initial", 0, 1.0, 0.1), ("trained", 0, 0.01, 0.2))))
    assert fall.decades.value == pytest.approx(2)
    assert fall.decades.high - 2 == pytest.approx(np.hypot(np.log10(0.8), np.log10(1.1)))
    (bare,) = stability_falls(curve_table(stages(("initial", 0, 1.0, 1.0), ("trained", 0, 0.01, 0.2))))
    assert np.isnan(bare.decades.error)


def test_only_the_same_net_is_its_start() -> None:
    rows = stages(("trained", 0, 0.1, 0.1)) + stages(("initial", 0, 1.0, 0.1), variant="batch 8")
    with pytest.raises(InputError, match="before and after training"):
        stability_falls(curve_table(rows))
