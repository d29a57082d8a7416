"""Power-law fits: planted laws are found, and 95 % intervals hold the truth 95 times in a hundred."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import fit_all, fit_error_law, fit_power_law, series
from theory.common.errors import InputError
from theory.common.estimate import mean
from theory.common.table import curve_table

SIZES = (64, 128, 256, 512, 1024, 2048)


def planted(
    rng: np.random.Generator,
    *,
    exponent: float = -0.7,
    amplitude: float = 5.0,
    bend: float = 0.0,
    seeds: int = 5,
    shared: float = 0.0,
    own: float = 0.1,
    sizes: tuple[int, ...] = SIZES,
    **columns: object,
) -> pd.DataFrame:
    """R_f = amplitude P^exponent with noise: `shared` makes each seed's slope vary, `own` each point."""
    key = {"source": "theory", "task": "stripe-d30", "architecture": "one-hidden", "stage": "q=0.3"} | columns
    u = np.log(np.array(sizes) / np.exp(np.mean(np.log(sizes))))
    rows = []
    for seed in range(seeds):
        noise = shared * rng.normal() * u + own * rng.normal(size=u.size)
        logs = np.log(amplitude) + exponent * np.log(sizes) + bend * u**2 + noise
        rows += [
            {**key, "train_size": size, "seed": seed, "relative_stability": value}
            for size, value in zip(sizes, np.exp(logs), strict=True)
        ]
    return curve_table(rows)


def coverage(
    seeds: int, trials: int, rng_seed: int, shared: float = 0.0, own: float = 0.1
) -> tuple[int, str]:
    """How many of `trials` intervals of the exponent hold the planted one, and how they were made."""
    rng = np.random.default_rng(rng_seed)
    u = np.log(np.array(SIZES) / np.exp(np.mean(np.log(SIZES))))
    rows = []
    for trial, seed in itertools.product(range(trials), range(seeds)):
        logs = -0.7 * np.log(SIZES) + shared * rng.normal() * u + own * rng.normal(size=u.size)
        key = {"source": "theory", "architecture": "x", "stage": "trained", "task": str(trial), "seed": seed}
        values = zip(SIZES, np.exp(logs), strict=True)
        rows += [{**key, "train_size": size, "relative_stability": value} for size, value in values]
    fits = fit_all(curve_table(rows))
    assert len(fits) == trials
    (method,) = {fit.interval_method for fit in fits}
    return sum(fit.exponent.low <= -0.7 <= fit.exponent.high for fit in fits), method


@pytest.mark.parametrize(
    ("seeds", "method"), [(1, "pooled"), (2, "pooled"), (3, "per-seed"), (6, "per-seed")]
)
def test_planted_law_without_noise_is_found_exactly(seeds: int, method: str) -> None:
    fit = fit_power_law(planted(np.random.default_rng(0), seeds=seeds, own=0.0))
    assert fit.interval_method == method
    assert fit.exponent.value == pytest.approx(-0.7, abs=1e-8)
    assert fit.amplitude.value == pytest.approx(5.0, rel=1e-7)
    assert fit.pivot == pytest.approx(np.exp(np.mean(np.log(SIZES))))
    assert fit.value_at_pivot.value == pytest.approx(5.0 * fit.pivot**-0.7, rel=1e-7)
    assert fit.residual_rms < 1e-8
    assert fit.curvature is not None
    assert fit.curvature.value == pytest.approx(0, abs=1e-8)
    assert not fit.bent
    assert (fit.n_points, fit.n_seeds, fit.x_range) == (6 * seeds, seeds, (64.0, 2048.0))
    assert fit.predict(np.array([100.0, 400.0])) == pytest.approx(5.0 * np.array([100.0, 400.0]) ** -0.7)


def test_joint_fit_and_mean_of_seeds_agree() -> None:
    """On balanced data both are the least-squares line; only the intervals differ."""
    table = planted(np.random.default_rng(1), seeds=4)
    per_seed = fit_power_law(table)
    pooled = np.polynomial.polynomial.polyfit(
        np.log(table["train_size"].to_numpy(float)), np.log(table["relative_stability"]), 1
    )
    assert per_seed.exponent.value == pytest.approx(pooled[1], rel=1e-9)
    assert np.log(per_seed.amplitude.value) == pytest.approx(pooled[0], rel=1e-9)


def test_pooled_interval_matches_linregress() -> None:
    """The covariance with Student's t against scipy's closed form, exponent and amplitude."""
    table = planted(np.random.default_rng(2), seeds=2)
    fit = fit_power_law(table)
    line = stats.linregress(np.log(table["train_size"].to_numpy(float)), np.log(table["relative_stability"]))
    quantile = stats.t.ppf(0.975, len(table) - 2)
    assert fit.interval_method == "pooled"
    assert fit.exponent.value == pytest.approx(line.slope, rel=1e-6)
    assert fit.exponent.error == pytest.approx(quantile * line.stderr, rel=1e-4)
    error = np.log(fit.amplitude.high / fit.amplitude.low) / 2
    assert error == pytest.approx(quantile * line.intercept_stderr, rel=1e-4)


def test_per_seed_interval_covers_under_correlated_noise() -> None:
    """400 tables: hits lie within the central 99.9 % of binomial(400, 0.95). False-alarm rate 0.1 %."""
    hits, method = coverage(5, 400, rng_seed=3, shared=0.1, own=0.05)
    low, high = stats.binom.interval(0.999, 400, 0.95)
    assert method == "per-seed"
    assert low <= hits <= high, hits


def test_pooled_interval_covers_under_independent_noise() -> None:
    """150 tables of two seeds, independent noise: the same bounds. False-alarm rate 0.1 %."""
    hits, method = coverage(2, 150, rng_seed=4)
    low, high = stats.binom.interval(0.999, 150, 0.95)
    assert method == "pooled"
    assert low <= hits <= high, hits


def test_negative_control_pooled_interval_undercovers_under_correlated_noise() -> None:
    """The wrong twin: with noise shared along a seed, pooling must miss far more often than 5 %."""
    hits, method = coverage(2, 150, rng_seed=5, shared=0.1, own=0.05)
    assert method == "pooled"
    assert hits < stats.binom.interval(0.999, 150, 0.95)[0], hits


@pytest.mark.parametrize("seeds", [1, 4])
def test_bent_curve_is_no_power_law(seeds: int) -> None:
    bent = fit_power_law(planted(np.random.default_rng(6), seeds=seeds, own=0.02, bend=0.1))
    assert bent.curvature is not None
    assert bent.curvature.low > 0
    assert bent.curvature.low <= 0.1 <= bent.curvature.high
    assert bent.bent
    few = fit_power_law(planted(np.random.default_rng(6), sizes=(64, 128, 256)))
    assert few.curvature is None
    assert not few.bent


def test_other_columns_and_the_error_law() -> None:
    table = planted(np.random.default_rng(7), own=0.0, stage="trained")
    table["test_error"] = 0.2 * np.sqrt(table["relative_stability"])
    law = fit_error_law(table)
    assert law.exponent.value == pytest.approx(0.5, abs=1e-7)
    assert law.amplitude.value == pytest.approx(0.2, rel=1e-6)
    assert law.unit == "seed"
    assert fit_power_law(table, y="test_error").exponent.value == pytest.approx(-0.35, abs=1e-7)
    with pytest.raises(InputError, match="trained rows"):
        fit_error_law(table.assign(stage="initial"))
    with pytest.raises(InputError, match=r"seed 0"):
        fit_error_law(table.assign(test_error=0.0))
    with pytest.raises(InputError, match=r"test_error = 0\.0"):
        fit_error_law(table.assign(test_error=table["test_error"].where(table.index > 0, 0.0)))


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(8)
    table = planted(rng)
    with pytest.raises(InputError, match=r"2 series \(theory stripe-d30 q=0.3, images"):
        fit_power_law(pd.concat([table, planted(rng, source="images")]))
    with pytest.raises(InputError, match="empty"):
        fit_power_law(table.iloc[:0])
    with pytest.raises(InputError, match="at least 3 points at 3 distinct P"):
        fit_power_law(planted(rng, seeds=1, sizes=(64, 128)))
    with pytest.raises(InputError, match="at 2 distinct P"):
        fit_power_law(planted(rng, seeds=4, sizes=(64,)))
    zero = table.copy()
    zero.loc[7, "relative_stability"] = 0.0
    with pytest.raises(InputError, match="P = 128, seed 1"):
        fit_power_law(zero)
    with pytest.raises(InputError, match="test_error"):
        fit_power_law(table, y="test_error")
    with pytest.raises(InputError, match="must be one of"):
        fit_power_law(table, y="stage")
    with pytest.raises(InputError, match="confidence"):
        fit_power_law(table, confidence=1.0)
    fit = fit_power_law(planted(rng, seeds=2, sizes=(64, 128)))
    assert fit.exponent.low < -0.7 < fit.exponent.high


@pytest.mark.slow
def test_missing_runs_keep_the_interval_over_seeds() -> None:
    """200 tables of 5 seeds whose slopes differ by 0.1 (standard deviation), each with a run missing.

    The interval covers within the binomial 99.9 % range of 95 %; pooling, the control, does not.
    """
    rng = np.random.default_rng(9)
    log_size = np.log([64.0, 128, 256, 512, 1024, 2048])
    inside = pooled_inside = 0
    for _ in range(200):
        logs = -0.7 * log_size + 0.1 * rng.standard_normal((5, 1)) * (log_size - log_size.mean())
        logs = logs + 0.05 * rng.standard_normal((5, 6))
        rows = [
            {
                "source": "s", "task": "t", "architecture": "a", "stage": "trained", "seed": seed,
                "train_size": int(np.exp(log_size[k]) + 0.5), "relative_stability": np.exp(logs[seed, k]),
            }
            for seed in range(5) for k in range(6)
        ]  # fmt: skip
        fit = fit_power_law(pd.DataFrame(rows[:-1]))
        assert fit.interval_method == "per-seed"
        inside += fit.exponent.low <= -0.7 <= fit.exponent.high
        merged = fit_power_law(pd.DataFrame(rows[:-1]).assign(seed=0, train_size=lambda t: t["train_size"] + t.index))
        assert merged.interval_method == "pooled"
        pooled_inside += merged.exponent.low <= -0.7 <= merged.exponent.high
    low, high = stats.binom(200, 0.95).ppf([0.0005, 0.9995])
    assert low <= inside <= high
    assert pooled_inside < low


def staggered(rng: np.random.Generator) -> pd.DataFrame:
    """Twenty-one seeds along a bent curve: twelve at the smaller P alone, five at the larger alone, four at all."""
    log_size = np.log([64.0, 128, 256, 512, 1024, 2048])
    curve = -0.1 * (log_size - log_size[0]) ** 2
    rows = []
    for seed in range(21):
        kept = range(6) if seed >= 17 else range(3) if seed < 12 else range(3, 6)
        logs = curve + 0.2 * rng.standard_normal() + 0.1 * rng.standard_normal(6)
        rows += [
            {
                "source": "s", "task": "t", "architecture": "a", "stage": "trained", "seed": seed,
                "train_size": int(np.exp(log_size[k]) + 0.5), "relative_stability": np.exp(logs[k]),
            }
            for k in kept
        ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_seeds_at_other_sizes_do_not_move_the_slope() -> None:
    """The interval covers the slope of a line through the whole curve; the mean of the seeds' own lines does not.

    Of 200 intervals at 95 %, fewer than 182 hold it once in 240 times.
    """
    rng = np.random.default_rng(12)
    log_size = np.log([64.0, 128, 256, 512, 1024, 2048])
    truth = np.polyfit(log_size, -0.1 * (log_size - log_size[0]) ** 2, 1)[0]
    held = {"jackknife": 0, "own lines": 0}
    for _ in range(200):
        fit = fit_power_law(staggered(rng))
        held["jackknife"] += fit.exponent.low <= truth <= fit.exponent.high
        own = mean([slope for _, slope in fit.seed_exponents])
        held["own lines"] += own.low <= truth <= own.high
    assert held["jackknife"] >= 182, held
    assert held["own lines"] < 182, held


def test_series_have_short_distinct_labels_that_do_not_depend_on_row_order() -> None:
    rng = np.random.default_rng(10)
    parts = [
        planted(rng, source="images", task="digits", architecture="lenet", stage="trained", cutoff=c)
        for c in (3, 15)
    ]
    parts += [planted(rng, stage=stage) for stage in ("q=0.1", "q=0.3", "initial", "trained")]
    table = pd.concat(parts, ignore_index=True)
    found = series(table)
    assert list(map(str, found)) == [
        "theory stripe-d30 initial",
        "theory stripe-d30 q=0.3",
        "theory stripe-d30 q=0.1",
        "theory stripe-d30 trained",
        "images digits lenet trained c=15",
        "images digits lenet trained c=3",
    ]
    assert sum(map(len, found.values())) == len(table)
    shuffled = series(table.sample(frac=1, random_state=0))
    assert list(shuffled) == list(found)
    for key, rows in found.items():
        pd.testing.assert_frame_equal(rows, shuffled[key])


def test_variants_are_series_of_their_own_and_the_usual_one_needs_no_name() -> None:
    usual = planted(np.random.default_rng(0))
    table = pd.concat([usual, usual.assign(variant="hinge"), usual.assign(variant="alpha=1")])
    labels = list(map(str, series(curve_table(table.to_dict("records")))))
    assert labels == [f"theory stripe-d30 q=0.3{end}" for end in ("", " alpha=1", " hinge")]
    # Without the column they would be the same rows three times.
    with pytest.raises(InputError, match="two rows are the same"):
        curve_table(table.drop(columns="variant").to_dict("records"))


def test_fit_all_gives_reasons() -> None:
    rng = np.random.default_rng(11)
    table = pd.concat([planted(rng), planted(rng, stage="q=0.1", seeds=1, sizes=(64,))])
    fits = fit_all(table)
    assert [fit.label for fit in fits] == ["theory stripe-d30 q=0.3"]
    assert len(fits.skipped) == 1
    assert str(fits.skipped[0][0]) == "theory stripe-d30 q=0.1"
    assert "at least 3 points" in fits.skipped[0][1]
    assert fits["theory stripe-d30 q=0.3"].n_points == 30
    with pytest.raises(KeyError):
        fits["nothing"]
    assert json.loads(json.dumps(fits.summary(), allow_nan=False))["fits"][0]["n_seeds"] == 5


def test_a_fit_explains_itself() -> None:
    fit = fit_power_law(planted(np.random.default_rng(12)))
    assert repr(fit).startswith("R_f = ")
    assert " P^(-0.7" in repr(fit)
    assert "over P = 64…2048 (n=30, 5 seeds)" in repr(fit)
    axes = fit.plot()
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 2
    assert fit.plot(axes) is axes
