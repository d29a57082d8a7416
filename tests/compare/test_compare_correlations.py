"""Correlations across nets: exact p-values, false alarms under planted nulls, power under a planted effect."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import Correlations, correlations
from compare.strata import Block, blocks, common, net_table, without_twins
from compare.swap_test import permutation_probability, pooled_correlation, pooled_interval, swap_test
from theory.errors import InputError
from theory.table import curve_table

NETS = ("fc2", "fc4", "fc6", "lenet", "resnet", "vgg", "vgg-bn")
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)


def nets(
    rng: np.random.Generator,
    *,
    r: float = 0.95,
    d: float = 0.0,
    names: tuple[str, ...] = NETS,
    tasks: tuple[str, ...] = ("digits", "letters"),
    seeds: int = 2,
    sizes: tuple[int, ...] = SIZES,
) -> pd.DataFrame:
    """Nets whose log R_f and log D_f have the correlations r and d with log eps_t; what is left is mostly the net's."""
    rows = []
    for task in tasks:

        def noise() -> np.ndarray:
            own = rng.normal(size=(1, len(names)))
            return np.sqrt(0.8) * own + np.sqrt(0.2) * rng.normal(size=(len(sizes), len(names)))

        error = noise()
        ratio, diffeo = (c * error + np.sqrt(1 - c**2) * noise() for c in (r, d))
        for i, size in enumerate(sizes):
            for j, name in enumerate(names):
                for seed in range(seeds):
                    lift = np.exp(0.02 * rng.normal(size=3))
                    big = float(np.exp(0.5 * ratio[i, j]) * lift[0])
                    small = float(0.01 * np.exp(0.3 * diffeo[i, j]) * lift[1])
                    rows.append(
                        {
                            **{"source": "image-net", "task": task, "architecture": name, "train_size": size},
                            **{"seed": seed, "stage": "trained", "relative_stability": big},
                            **{"diffeo_stability": small, "noise_stability": small / big},
                            "test_error": float(0.1 * size**-0.2 * np.exp(0.2 * error[i, j]) * lift[2]),
                        }
                    )
    return curve_table(rows)


def block(rng: np.random.Generator, n: int, strata: int, r: float, d: float, shared: float = 0.0) -> Block:
    """Standard normal logarithms; `shared` is the part of R_f's and D_f's own noise that is common to both."""

    def noise() -> np.ndarray:
        return np.sqrt(0.8) * rng.normal(size=(1, n)) + np.sqrt(0.2) * rng.normal(size=(strata, n))

    error, both = noise(), noise()
    made = [
        c * error + np.sqrt(1 - c**2) * (np.sqrt(shared) * both + np.sqrt(1 - shared) * noise()) for c in (r, d)
    ]
    logs = {"test_error": error, "relative_stability": made[0], "diffeo_stability": 3 * made[1] + 1}
    return Block("a", tuple(range(1, strata + 1)), tuple("abcdefghijkl"[:n]), logs)


def test_one_stratum_is_scipys() -> None:
    """Value, interval and exact p-value of Pearson and Spearman."""
    part = block(np.random.default_rng(0), 7, 1, 0.8, 0.0)
    error, ratio = part.logs["test_error"][0], part.logs["relative_stability"][0]
    rng = np.random.default_rng(0)
    pearson = stats.pearsonr(error, ratio)
    found = pooled_interval([part], "relative_stability", 0.95)
    assert found.value == pytest.approx(pearson.statistic)
    assert (found.low, found.high) == pytest.approx(tuple(pearson.confidence_interval(0.95)))
    for method, function in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        a, b = (stats.rankdata(v) if method == "spearman" else v for v in (error, ratio))
        exact = stats.permutation_test(
            (a,),
            lambda e, axis, b=b: np.abs(((e - e.mean(axis=axis, keepdims=True)) * (b - b.mean())).sum(axis=axis)),
            permutation_type="pairings",
            n_resamples=np.inf,
            alternative="greater",
        )
        both = permutation_probability([part], "relative_stability", rng, method)  # type: ignore[arg-type]
        assert both == pytest.approx(exact.pvalue, abs=1e-9)
        assert pooled_correlation([part], "relative_stability", method) == pytest.approx(  # type: ignore[arg-type]
            function(error, ratio).statistic
        )


def test_permutations_move_whole_nets() -> None:
    """Ten strata that repeat one another are no more evidence than one."""
    part = block(np.random.default_rng(1), 6, 1, 0.7, 0.0)
    copied = Block(
        part.setting, tuple(range(10)), part.nets, {name: np.repeat(v, 10, axis=0) for name, v in part.logs.items()}
    )
    rng = np.random.default_rng(0)
    one, ten = (permutation_probability([p], "relative_stability", rng) for p in (part, copied))
    assert ten == one
    swaps = [swap_test([p], "relative_stability", "diffeo_stability", "", 0.95, rng) for p in (part, copied)]
    assert swaps[0].p_value == swaps[1].p_value
    assert swaps[0].smallest_p == 2 / 2**6


@pytest.fixture(scope="module")
def effect() -> Correlations:
    return correlations(nets(np.random.default_rng(2)))


def test_a_planted_effect_is_seen_and_put_into_words(effect: Correlations) -> None:
    found = effect
    test = found.test("diffeo_stability")
    assert test is not None
    assert test.p_value < 0.05
    assert test.nets == 7
    assert test.strata == 16
    assert "R_f goes with the error more closely than D_f" in test.verdict()
    (pooled,) = found.pick("pooled", "relative_stability", "all data sets")
    assert pooled.p_pearson < 0.01
    assert pooled.pearson.low > 0.5
    assert len(found.pick("across nets", "relative_stability", "digits")) == 8
    assert len(found.pick("along P", "relative_stability")) == 14
    verdict = found.verdict()
    assert "R_f goes with eps_t" in verdict
    assert "D_f is not seen to go with eps_t" in verdict
    json.dumps(found.summary(), allow_nan=False)
    assert all(len(line) <= 79 for line in found.lines())
    assert len(found.table()) == len(found.rows)


@pytest.mark.slow
def test_the_other_way_round_is_seen_as_well() -> None:
    found = correlations(nets(np.random.default_rng(3), r=0.0, d=0.95, sizes=SIZES[::4]))
    test = found.test("diffeo_stability")
    assert test is not None
    assert "D_f goes with the error more closely than R_f" in test.verdict()
    assert "D_f goes with eps_t" in found.verdict()


@pytest.mark.slow
def test_few_nets_are_said_to_be_few() -> None:
    found = correlations(nets(np.random.default_rng(4), names=NETS[:4], sizes=SIZES[::4]))
    test = found.test("diffeo_stability")
    assert test is not None
    assert test.smallest_p == 2 / 16
    assert "4 nets are too few for p < 0.05" in test.verdict()
    two = correlations(nets(np.random.default_rng(4), names=NETS[:2]))
    assert "No data set has three nets" in two.verdict()


@pytest.mark.slow
def test_gaps_leave_the_largest_whole_block() -> None:
    table = nets(np.random.default_rng(5))
    holes = table[~((table["architecture"] == "vgg") & (table["train_size"] == 16384) & (table["task"] == "digits"))]
    found = blocks(net_table(holes), ("test_error", "relative_stability"))
    assert [part.nets for part in found] == [NETS, NETS]
    assert found[0].train_sizes == SIZES[:-1]
    assert found[1].train_sizes == SIZES
    gone = holes[~((holes["architecture"] == "vgg") & (holes["task"] == "digits") & (holes["train_size"] > 128))]
    found = blocks(net_table(gone), ("test_error", "relative_stability"))
    assert found[0].nets == tuple(net for net in NETS if net != "vgg")
    assert [part.nets for part in common(found)] == [found[0].nets] * 2
    words = correlations(gone[gone["task"] == "digits"]).left_out
    assert any("digits: R_f: pooled without" in text and "vgg" in text for text in words)


def test_one_net_measured_twice_is_one_net() -> None:
    table = nets(np.random.default_rng(6), names=NETS[:3])
    again = table[table["architecture"] == "fc2"].assign(architecture="fc2 again", relative_stability=1.0)
    kept, words = without_twins(net_table(pd.concat([table, again])))
    assert set(kept["net"]) == set(NETS[:3])
    assert len(words) == 2
    assert "fc2 again: has the test errors of fc2" in words[0]


def test_along_p_the_interval_is_over_seeds() -> None:
    found = correlations(nets(np.random.default_rng(7), seeds=3, tasks=("digits",), names=NETS[3:5]))
    (row,) = (row for row in found.pick("along P", "relative_stability") if row.net == "lenet")
    assert row.n == 8
    assert -1 < row.pearson.low < row.pearson.high < 1
    assert np.isnan(row.p_pearson)
    single = correlations(nets(np.random.default_rng(7), seeds=1, tasks=("digits",), names=NETS[3:5]))
    assert all(np.isnan(row.pearson.low) for row in single.pick("along P", "relative_stability"))


def test_missing_measures_and_rows_are_left_out() -> None:
    table = nets(np.random.default_rng(8), sizes=SIZES[:2]).drop(columns=["diffeo_stability", "noise_stability"])
    found = correlations(table)
    assert found.tests == ()
    assert {row.x for row in found.rows} == {"relative_stability"}
    with pytest.raises(InputError, match="must hold trained rows with a test error"):
        correlations(table.assign(stage="initial"))


# Of 300 tests at 0.05, 26 or more alarm falsely once in 200 times (15 are expected).
REPLICAS, MOST = 300, 25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("r", "d", "shared"), [(0.0, 0.0, 0.0), (0.0, 0.0, 0.6), (0.7, 0.7, 0.0), (0.9, 0.9, 0.5), (0.7, -0.7, 0.0)]
)
def test_the_swap_test_alarms_falsely_as_often_as_it_says(r: float, d: float, shared: float) -> None:
    """Planted nulls: both unrelated to the error, both equally related, noise in common, of opposite signs."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(REPLICAS):
        parts = [block(rng, 7, 8, r, d, shared), block(rng, 7, 8, r, d, shared)]
        alarms += swap_test(parts, "relative_stability", "diffeo_stability", "", 0.95, rng).p_value < 0.05
    assert alarms <= MOST


@pytest.mark.slow
def test_swaps_of_single_points_would_alarm_too_often() -> None:
    """The negative control: P of one net taken as independent, so that each point is swapped by itself."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(REPLICAS):
        part = block(rng, 7, 8, 0.7, 0.7)
        error, a, b = (stats.zscore(v, axis=1) for v in part.logs.values())
        swaps = rng.random((199, *error.shape)) < 0.5
        swaps[0] = False
        r_a, r_b = (
            (error * stats.zscore(values, axis=2)).mean(axis=2).mean(axis=1)
            for values in (np.where(swaps, b, a), np.where(swaps, a, b))
        )
        differences = np.abs(np.abs(r_a) - np.abs(r_b))
        alarms += np.mean(differences >= differences[0] - 1e-9) < 0.05
    assert alarms > MOST


@pytest.mark.slow
def test_the_permutation_test_alarms_falsely_as_often_as_it_says() -> None:
    """The null of no relation; the negative control gives the errors to other nets P by P."""
    rng = np.random.default_rng(11)
    alarms, wrong = 0, 0
    for _ in range(REPLICAS):
        part = block(rng, 6, 8, 0.0, 0.0)
        alarms += permutation_probability([part], "relative_stability", rng) < 0.05
        error, ratio = (stats.zscore(part.logs[name], axis=1) for name in ("test_error", "relative_stability"))
        moved = rng.permuted(np.repeat(error[None], 199, axis=0), axis=2)
        moved[0] = error
        sums = np.abs((moved * ratio).sum(axis=(1, 2)))
        wrong += np.mean(sums >= sums[0] - 1e-9) < 0.05
    assert alarms <= MOST
    assert wrong > MOST


@pytest.mark.slow
def test_the_swap_test_sees_a_planted_effect() -> None:
    """Seven nets, two data sets, 8 P: R_f at r = 0.95, D_f at 0: seen in more than half of 150 tables."""
    rng = np.random.default_rng(10)
    seen = sum(
        swap_test(
            [block(rng, 7, 8, 0.95, 0.0), block(rng, 7, 8, 0.95, 0.0)],
            "relative_stability",
            "diffeo_stability",
            "",
            0.95,
            rng,
        ).p_value
        < 0.05
        for _ in range(150)
    )
    assert seen > 75


def test_nets_count_for_more_than_sizes() -> None:
    """A net that lacks less than half of the P stays, and the P that it lacks go; one that lacks more goes itself."""
    table = nets(np.random.default_rng(7), tasks=("digits",), seeds=1)
    lacking = {count: table[~((table["architecture"] == "vgg") & table["train_size"].isin(SIZES[:count]))]
               for count in (len(SIZES) // 2, len(SIZES) // 2 + 1)}  # fmt: skip
    (kept,), (gone,) = (blocks(net_table(part), ("test_error", "relative_stability")) for part in lacking.values())
    assert (kept.nets, kept.train_sizes) == (NETS, SIZES[len(SIZES) // 2 :])
    assert (len(gone.nets), gone.train_sizes) == (len(NETS) - 1, SIZES)
