"""eps_t = a x^b over whole series: planted laws are found, and intervals over series hold the truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import clustered_error_law, fit_error_law, load_reference
from theory.common.errors import InputError
from theory.common.estimate import mean
from theory.common.table import curve_table

SIZES = (128, 256, 512, 1024, 2048, 4096)


def nets(
    rng: np.random.Generator, *, series: int = 6, own: float = 0.2, point: float = 0.05, seeds: int = 1
) -> pd.DataFrame:
    """eps_t = 0.2 R_f^(1/2), with noise that each net keeps along P and over seeds (`own`) and noise of its points."""
    rows = []
    for net in range(series):
        offset, level = own * rng.normal(), 0.5 * rng.normal() - 1
        for i, size in enumerate(SIZES):
            log_ratio = level - 0.4 * i
            for seed in range(seeds):
                error = np.log(0.2) + 0.5 * log_ratio + offset + point * rng.normal()
                rows.append(
                    {
                        **{"source": "images", "task": "digits", "architecture": f"net{net}", "train_size": size},
                        **{"seed": seed, "stage": "trained", "relative_stability": float(np.exp(log_ratio))},
                        **{"diffeo_stability": float(np.exp(2 * log_ratio)), "test_error": float(np.exp(error))},
                    }
                )
    return curve_table(rows)


def test_a_planted_law_without_noise_is_found() -> None:
    table = nets(np.random.default_rng(0), own=0.0, point=0.0)
    law = clustered_error_law(table)
    assert law.exponent.value == pytest.approx(0.5)
    assert law.amplitude.value == pytest.approx(0.2)
    assert law.r_squared == pytest.approx(1)
    assert law.predict(np.array([0.01, 1.0])) == pytest.approx([0.02, 0.2])
    assert clustered_error_law(table, "diffeo_stability").exponent.value == pytest.approx(0.25)
    fixed = clustered_error_law(table, exponent=0.5)
    assert fixed.fixed
    assert fixed.amplitude.value == pytest.approx(0.2)
    assert fixed.holds(0.5) is None
    assert "R_f^(0.5)" in repr(fixed)


def test_units_and_results() -> None:
    table = nets(np.random.default_rng(1))
    law = clustered_error_law(table)
    assert (law.n_points, law.n_units, law.unit) == (36, 6, "series")
    assert law.holds(0.5)
    assert not law.holds(3.0)
    json.dumps(law.summary(), allow_nan=False)
    assert law.plot().get_yscale() == "log"
    more = pd.concat([table, table.assign(seed=1)])
    assert clustered_error_law(more, unit="seed").n_units == 12
    two = clustered_error_law(table[table["architecture"].isin(["net0", "net1"])])
    assert np.isnan(two.exponent.error)


def test_bad_input_is_named() -> None:
    table = nets(np.random.default_rng(2))
    with pytest.raises(InputError, match="x = compression"):
        clustered_error_law(table, "compression")
    with pytest.raises(InputError, match="unit = net"):
        clustered_error_law(table, unit="net")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 such rows"):
        clustered_error_law(table, "noise_stability")


@pytest.mark.slow
def test_intervals_over_series_hold_the_truth_and_pooled_ones_do_not() -> None:
    """Of 200 at 95 %, fewer than 182 hold it once in 240 times; pooled and halved intervals must fail that."""
    rng = np.random.default_rng(3)
    held = {"series": 0, "pooled": 0, "halved": 0}
    for _ in range(200):
        law = clustered_error_law(nets(rng, series=8))
        held["series"] += law.exponent.low <= 0.5 <= law.exponent.high
        line = stats.linregress(*np.log(np.transpose(law.points)))
        held["pooled"] += abs(line.slope - 0.5) <= stats.t.ppf(0.975, law.n_points - 2) * line.stderr
        held["halved"] += abs(law.exponent.value - 0.5) <= law.exponent.error / 2
    assert held["series"] >= 182, held
    assert held["pooled"] < 182, held
    assert held["halved"] < 182, held


def test_the_law_is_over_series_then_over_seeds_then_without_interval() -> None:
    table = nets(np.random.default_rng(4), seeds=3)
    law = fit_error_law(table)
    assert (law.unit, law.n_units, law.exponent.n) == ("series", 6, 6)
    assert law == clustered_error_law(table)
    few = table[table["architecture"].isin(["net0", "net1"])]
    seeds = fit_error_law(few)
    assert (seeds.unit, seeds.n_units) == ("seed", 6)
    assert seeds.exponent.error > 0
    none = fit_error_law(few[few["seed"] == 0])
    assert (none.unit, none.n_units) == ("series", 2)
    assert np.isnan(none.exponent.error)
    assert fit_error_law(table, confidence=0.5).exponent.error < law.exponent.error


def test_nets_measured_twice_count_once() -> None:
    """The published nets, all of seed 0, hold two interpolations of the same nets; their seed adds nothing to ours."""
    published = load_reference()
    law = fit_error_law(published)
    bilinear = fit_error_law(published[published["interpolation"] == "bilinear"])
    assert law.n_units == bilinear.n_units == published[published["interpolation"] == "bilinear"].groupby(
        ["task", "architecture"]).ngroups  # fmt: skip
    assert clustered_error_law(published).n_units > law.n_units
    own = nets(np.random.default_rng(5), seeds=3)
    assert fit_error_law(pd.concat([own, published], ignore_index=True)).n_units == 6 + law.n_units
    twice = pd.concat([own, own.assign(displacement=2.0)], ignore_index=True)
    assert fit_error_law(twice).exponent == fit_error_law(own).exponent


@pytest.mark.slow
def test_the_law_holds_the_truth_where_nets_differ() -> None:
    """Of 200 at 95 %, fewer than 182 hold it once in 240 times; intervals over three seeds of each net must fail it."""
    rng = np.random.default_rng(6)
    held = {"series": 0, "per seed": 0}
    for _ in range(200):
        table = nets(rng, series=7, seeds=3)
        law = clustered_error_law(table).exponent  # `fit_error_law` without its bootstrap
        held["series"] += law.low <= 0.5 <= law.high
        logs = np.log(table[["relative_stability", "test_error"]].astype(float))
        slopes = [np.polyfit(*own.to_numpy().T, 1)[0] for _, own in logs.groupby(table["seed"])]
        seeds = mean(slopes)
        held["per seed"] += seeds.low <= 0.5 <= seeds.high
    assert held["series"] >= 182, held
    assert held["per seed"] < 182, held
