"""Correlations across nets: exact p-values, false alarms under planted nulls, power under a planted effect."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from planted_nets import NETS, SIZES, nets
from scipy import stats

from compare import Correlations, correlations, write_verdict
from compare.contrasts.correlation import permutation_probability, pooled_correlation, pooled_interval
from compare.contrasts.strata import Block, blocks, common, net_table, without_twins
from compare.contrasts.swap_power import planted_block as block
from theory.common.errors import InputError


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


@pytest.fixture(scope="module")
def effect() -> Correlations:
    return correlations(nets(np.random.default_rng(2)))


def test_a_planted_effect_is_seen_and_put_into_words(effect: Correlations) -> None:
    found = effect
    (pooled,) = found.pick("pooled", "relative_stability", "all data sets")
    assert pooled.p_pearson < 0.01
    assert pooled.pearson.low > 0.5
    assert len(found.pick("across nets", "relative_stability", "digits")) == 8
    assert pooled.n == 7
    assert pooled.strata == 16
    verdict = found.verdict()
    assert "on all data sets together, the test error rises with R_f (r = " in verdict
    assert "the test error has no significant correlation with D_f" in verdict
    json.dumps(found.summary(), allow_nan=False)
    assert all(len(line) <= 79 for line in found.lines())
    assert len(found.table()) == len(found.rows)


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


def test_data_sets_without_shared_nets_are_each_spoken_of() -> None:
    table = nets(np.random.default_rng(16), sizes=SIZES[::4], seeds=1)
    letters = table["task"] == "letters"
    table.loc[letters, "architecture"] = "other-" + table.loc[letters, "architecture"].astype(str)
    found = correlations(table)
    assert found.wheres() == ["digits", "letters"]
    for words in (found.verdict(), str(write_verdict(correlations=found))):
        assert "digits" in words
        assert "letters" in words
    sentences = write_verdict(correlations=found).sentences
    assert [sum(f"on {where}, the" in text for text in sentences) for where in ("digits", "letters")] == [3, 3]
    together = str(write_verdict(correlations=correlations(nets(np.random.default_rng(16), sizes=SIZES[::4], seeds=1))))
    assert "on all data sets together" in together
    assert "on digits" not in together


def gapped() -> pd.DataFrame:
    """D_f of three nets alone, at one P of the digits, where R_f has others: only D_f has nets common to both."""
    rng = np.random.default_rng(17)
    digits = nets(rng, tasks=("digits",), sizes=SIZES[:4], seeds=1)
    letters = nets(rng, tasks=("letters",), sizes=SIZES[:4], names=NETS[:3], seeds=1)
    shared = digits["architecture"].isin(NETS[:3])
    digits = digits[~shared | (digits["train_size"] == SIZES[0])].reset_index(drop=True)
    digits.loc[~digits["architecture"].isin(NETS[:3]), ["diffeo_stability", "noise_stability"]] = np.nan
    return pd.concat([digits, letters], ignore_index=True)


def test_a_measure_without_common_nets_is_said_to_be_missing() -> None:
    found = correlations(gapped())
    assert found.pick("pooled", "diffeo_stability", "all data sets")
    assert found.missing("all data sets") == ["relative_stability"]
    assert found.wheres()[-1] == "all data sets"
    assert "R_f cannot be judged: no three nets share a P" in found.verdict()
    json.dumps(found.summary(), allow_nan=False)
    assert found.lines()
    words = str(write_verdict(correlations=found))
    assert "R_f cannot be judged: no three nets share a P" in words
    assert "on digits, the test error" in words


def test_three_nets_at_one_p_are_found_behind_nets_at_many() -> None:
    """Three nets share no P with each other and have two each; three others stand at one P."""
    table = nets(np.random.default_rng(18), tasks=("digits",), names=NETS[:6], seeds=1)
    size = table["train_size"]
    keep = size == SIZES[6]
    keep &= table["architecture"].isin(NETS[3:6])
    for i, net in enumerate(NETS[:3]):
        keep |= (table["architecture"] == net) & size.isin(SIZES[2 * i : 2 * i + 2])
    (part,) = blocks(net_table(table[keep]), ("test_error", "relative_stability"))
    assert (part.nets, part.train_sizes) == (tuple(sorted(NETS[3:6])), SIZES[6:7])


def test_missing_measures_and_rows_are_left_out() -> None:
    table = nets(np.random.default_rng(8), sizes=SIZES[:2]).drop(columns=["diffeo_stability", "noise_stability"])
    found = correlations(table)
    assert {row.x for row in found.rows} == {"relative_stability"}
    with pytest.raises(InputError, match="must hold trained rows with a test error"):
        correlations(table.assign(stage="initial"))


# Of 300 tests at 0.05, 26 or more alarm falsely once in 200 times (15 are expected).
REPLICAS, MOST = 300, 25


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


def test_nets_count_for_more_than_sizes() -> None:
    """A net that lacks less than half of the P stays, and the P that it lacks go; one that lacks more goes itself."""
    table = nets(np.random.default_rng(7), tasks=("digits",), seeds=1)
    lacking = {count: table[~((table["architecture"] == "vgg") & table["train_size"].isin(SIZES[:count]))]
               for count in (len(SIZES) // 2, len(SIZES) // 2 + 1)}  # fmt: skip
    (kept,), (gone,) = (blocks(net_table(part), ("test_error", "relative_stability")) for part in lacking.values())
    assert (kept.nets, kept.train_sizes) == (NETS, SIZES[len(SIZES) // 2 :])
    assert (len(gone.nets), gone.train_sizes) == (len(NETS) - 1, SIZES)
