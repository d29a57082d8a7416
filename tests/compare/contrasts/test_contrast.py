"""Contrasts: planted agreement is called agreement, planted disagreement is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import Relation, contrast, measured_over_theory
from theory.common.errors import InputError
from theory.common.table import curve_table, read_table

SIZES = (64, 256, 1024, 4096)


def rows(
    exponent: float = -1.0,
    amplitude: float = 20.0,
    *,
    seeds: tuple[int, ...] = (0, 1, 2, 3),
    noise: float = 0.05,
    rng: int = 0,
    sizes: tuple[int, ...] = SIZES,
    **columns: object,
) -> pd.DataFrame:
    key = {"source": "theory", "task": "stripe-d30", "architecture": "one-hidden", "stage": "q=0.3"} | columns
    random = np.random.default_rng(rng)
    return curve_table(
        {
            **key,
            "train_size": size,
            "seed": seed,
            "relative_stability": amplitude * size**exponent * np.exp(noise * random.normal()),
        }
        for seed in seeds
        for size in sizes
    )


NET = {"source": "stripe-net"}
IMAGES = {"source": "images", "task": "digits@16", "architecture": "lenet", "stage": "trained"}


def test_planted_agreement_and_disagreement_have_different_verdicts() -> None:
    theory = rows()
    agrees = contrast(theory, rows(rng=1, **NET))
    differs = contrast(theory, rows(-0.6, rng=1, **NET))
    steeper = contrast(theory, rows(-1.5, rng=1, **NET))
    assert agrees.comparisons[0].relation is Relation.SAME
    assert differs.comparisons[0].relation is Relation.SLOWER
    assert steeper.comparisons[0].relation is Relation.STEEPER
    assert agrees.verdict() == (
        "The simple model explains this curve: with P, R_f falls at the rate it predicts and has the value it predicts."
    )
    assert differs.verdict() == (
        "The simple model does not explain this curve: with P, R_f falls more slowly than it predicts."
    )
    assert "more steeply" in steeper.verdict()
    higher = contrast(theory, rows(amplitude=60.0, rng=1, **NET))
    assert higher.verdict().endswith("falls at the rate it predicts, but does not have the value it predicts.")
    assert "\n" not in differs.verdict()


def test_difference_is_measured_minus_theory_with_errors_in_quadrature() -> None:
    found = contrast(rows(), rows(-0.3, rng=2, **IMAGES))
    (item,) = found.comparisons
    assert item.ratio is None
    assert item.difference.value == pytest.approx(0.7, abs=0.05)
    assert item.difference.value == item.measured.exponent.value - item.theory.exponent.value
    assert item.difference.error == pytest.approx(
        np.hypot(item.measured.exponent.error, item.theory.exponent.error)
    )


@pytest.mark.parametrize(
    ("theory_seeds", "noise", "method"),
    [
        ((0, 1, 2, 3), 0.05, "paired seeds"),
        ((0, 2, 3, 8, 9), 0.05, "paired seeds"),
        ((0, 1, 8, 9), 0.05, "seeds of both"),
        ((7, 8, 9), 0.05, "seeds of both"),
        ((0,), 0.0, "seeds of the measured"),
    ],
)
def test_planted_ratio_is_found_from_seeds(theory_seeds: tuple[int, ...], noise: float, method: str) -> None:
    theory = rows(seeds=theory_seeds, noise=noise, rng=3)
    ratio = measured_over_theory(rows(amplitude=30.0, rng=4, **NET), theory)
    assert ratio is not None
    assert ratio.interval_method == method
    assert ratio.train_sizes == SIZES
    assert ratio.estimate.low < 1.5 < ratio.estimate.high
    assert ratio.estimate.high / ratio.estimate.low < 1.3
    assert not ratio.agrees


def test_ratio_of_single_seeds_rests_on_the_train_sizes() -> None:
    one = rows(amplitude=30.0, seeds=(0,), rng=5, **NET)
    ratio = measured_over_theory(one, rows(seeds=(1,), rng=6))
    assert ratio is not None
    assert ratio.interval_method == "over P"
    assert ratio.estimate.low < 1.5 < ratio.estimate.high
    alone = measured_over_theory(one[one["train_size"] == 64], rows(seeds=(1,), rng=6))
    assert alone is not None
    assert np.isnan(alone.estimate.low)
    assert measured_over_theory(rows(sizes=(128, 512), **NET), rows()) is None


def test_the_reference_is_the_shared_stage_else_the_named_one() -> None:
    theory = pd.concat([rows(stage=stage, rng=i) for i, stage in enumerate(("q=0.9", "q=0.3", "q=0.1"))])
    measured = pd.concat([rows(rng=7, stage="q=0.9", **NET), rows(rng=8, **IMAGES)])

    def references(stage: str | None) -> list[str]:
        return [item.theory.label for item in contrast(theory, measured, stage=stage).comparisons]

    assert references(None) == ["theory stripe-d30 q=0.9", "theory stripe-d30 q=0.3"]
    assert references("q=0.1") == ["theory stripe-d30 q=0.9", "theory stripe-d30 q=0.1"]
    late = contrast(theory[theory["stage"] != "q=0.3"], measured[measured["source"] == "images"])
    assert late.comparisons[0].theory.label == "theory stripe-d30 q=0.1"
    with pytest.raises(InputError, match=r"stage = q=0.5: .*q=0.9, q=0.3, q=0.1"):
        contrast(theory, measured, stage="q=0.5")


def test_nothing_is_left_out_silently() -> None:
    measured = pd.concat(
        [
            rows(rng=9, **IMAGES),
            rows(0.0, 1.0, rng=10, **IMAGES | {"stage": "initial"}),
            rows(sizes=(64,), rng=11, **NET),
        ]
    )
    found = contrast(rows(), measured)
    assert {str(key) for key, _ in found.skipped} == {
        "images digits@16 lenet initial",
        "stripe-net stripe-d30 one-hidden q=0.3",
    }
    assert sum(line.startswith("not compared: ") for line in found.lines()) == 2
    assert len(found.table()) == 2


def test_outputs_fit_their_readers() -> None:
    long = "a-very-long-architecture-name-that-no-terminal-shows-in-one-line-" * 2
    measured = pd.concat([rows(rng=12, **NET), rows(-0.3, rng=13, **IMAGES | {"architecture": long})])
    found = contrast(rows(), measured)
    assert max(map(len, found.lines())) <= 79
    assert any("R_f / theory" in line for line in found.lines())
    assert json.loads(json.dumps(found.summary(), allow_nan=False))["verdict"] == found.verdict()
    table = found.table()
    assert list(table["n_points"]) == [16, 16, 16]
    assert table["difference"].isna().tolist() == [True, False, False]
    assert table.loc[1, "ratio"] == pytest.approx(1.0, abs=0.1)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="theory = empty"):
        contrast(rows().iloc[:0], rows(**NET))
    with pytest.raises(InputError, match="cannot be fitted"):
        contrast(rows(sizes=(64,)), rows(**NET))
    nothing = contrast(rows(), rows(**NET).iloc[:0])
    assert nothing.verdict() == "No measured curve could be compared with the simple model."


def shared_slopes(shift: float, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Theory and nets whose seeds share slopes that differ by 0.3 from seed to seed; the nets' are `shift` more."""
    slopes = -1 + 0.3 * rng.standard_normal(4)
    return tuple(  # type: ignore[return-value]
        curve_table(
            {
                "source": source, "task": "stripe-d30", "architecture": "one-hidden", "stage": "q=0.3",
                "train_size": size, "seed": seed,
                "relative_stability": 20 * size ** (slopes[seed] + extra) * np.exp(0.05 * rng.normal()),
            }
            for seed in range(4) for size in SIZES
        )
        for source, extra in (("theory", 0.0), ("stripe-net", shift))
    )  # fmt: skip


@pytest.mark.slow
def test_differences_of_paired_seeds_cover_and_have_power() -> None:
    """60 pairs: the difference's interval covers within the binomial 99.9 % range of 95 %, and finds 0.1.

    The control: the same nets with their seeds renamed lose the pairing, and the power with it.
    """
    rng = np.random.default_rng(12)
    covered = found = found_unpaired = 0
    for _ in range(60):
        paired = contrast(*shared_slopes(0.0, rng)).comparisons[0]
        assert paired.difference_method == "paired seeds"
        covered += paired.difference.low <= 0 <= paired.difference.high
        theory, nets = shared_slopes(0.1, rng)
        found += contrast(theory, nets).comparisons[0].relation is Relation.SLOWER
        unpaired = contrast(theory, nets.assign(seed=nets["seed"] + 10)).comparisons[0]
        assert unpaired.difference_method == "independent errors"
        found_unpaired += unpaired.relation is Relation.SLOWER
    low, high = stats.binom(60, 0.95).ppf([0.0005, 0.9995])
    assert low <= covered <= high
    assert found > 45
    assert found_unpaired < 10


def test_a_series_that_may_not_fall_at_all_does_not_agree() -> None:
    noisy = contrast(rows(), rows(rng=5, noise=3.0, **IMAGES)).comparisons[0]
    assert noisy.measured.exponent.low < -1 < 0 < noisy.measured.exponent.high
    assert noisy.relation is Relation.NO_DECREASE


def test_a_series_is_laid_beside_the_theory_of_its_own_variant() -> None:
    """A hinge net beside the hinge theory, whose values it shares; an image net beside the usual theory."""
    theory = pd.concat([rows(), rows(amplitude=40, variant="hinge"), rows(amplitude=80, variant="alpha=1")])
    net = {"source": "stripe-net", "architecture": "net"}
    found = contrast(
        theory,
        pd.concat([
            rows(amplitude=40, rng=1, variant="hinge", **net), rows(rng=2, task="images", stage="trained", **net),
            rows(rng=3, variant="squaredhinge", **net),
        ]),
    )  # fmt: skip
    beside = {item.measured.label: (item.theory.label, item.ratio) for item in found.comparisons}
    label, ratio = beside["stripe-net stripe-d30 net q=0.3 hinge"]
    assert label == "theory stripe-d30 q=0.3 hinge"
    assert ratio is not None
    assert abs(ratio.estimate.value - 1) < 0.2
    assert beside["stripe-net images net trained"] == ("theory stripe-d30 q=0.3", None)
    # No theory of its own variant: the usual one, and no ratio of values.
    assert beside["stripe-net stripe-d30 net q=0.3 squaredhinge"] == ("theory stripe-d30 q=0.3", None)


@pytest.mark.parametrize(
    ("exponent", "relation", "words"),
    [
        (0.5, Relation.RISES, "does not explain this curve: with P, R_f rises."),
        (0.0, Relation.NO_DECREASE, "does not explain this curve: with P, R_f does not decrease significantly."),
        (-0.5, Relation.SLOWER, "does not explain this curve: with P, R_f falls more slowly than it predicts."),
        (-1.0, Relation.SAME, "explains this curve: with P, R_f falls at the rate it predicts."),
        (-1.5, Relation.STEEPER, "does not explain this curve: with P, R_f falls more steeply than it predicts."),
    ],
)
def test_a_curve_that_rises_or_is_flat_is_not_said_to_fall(exponent: float, relation: Relation, words: str) -> None:
    found = contrast(rows(), rows(exponent, 1.0, rng=1, **IMAGES))
    assert found.comparisons[0].relation is relation
    assert found.verdict() == f"The simple model {words}"
    assert found.summary()["comparisons"][0]["relation"] == relation.value
    assert found.related(relation) == list(found.comparisons)


def test_the_answer_counts_and_names_the_source_of_what_is_explained() -> None:
    nets = {"a": 0.5, "b": 0.0, "c": -0.5}
    images = [rows(x, 1.0, rng=3, **IMAGES | {"architecture": net}) for net, x in nets.items()]
    none = contrast(rows(), pd.concat(images)).verdict()
    assert none.startswith("The simple model explains none of the 3 curves: with P, R_f falls more slowly than it ")
    assert none.endswith("predicts or does not decrease significantly or rises.")
    assert "explains neither curve" in contrast(rows(), pd.concat(images[:2])).verdict()
    some = contrast(rows(), pd.concat([*images, rows(rng=1, **NET), rows(rng=2, **NET | {"architecture": "two"})]))
    assert some.verdict() == (
        "The simple model explains 2 of 5 curves, all from nets trained on the model's own data: there R_f falls with "
        "P at the rate it predicts."
    )
    short = contrast(rows(seeds=(0,)), rows(seeds=(0,), sizes=(64, 256, 1024), noise=0.0, **IMAGES))
    assert short.verdict() == "The simple model explains this curve: with P, R_f falls at the rate it predicts."


def test_a_bent_theory_is_compared_over_the_same_sizes() -> None:
    """Both follow one bent curve, the net to P = 1024 and the theory far beyond, as P they share or in one range."""
    long = tuple(2**k for k in range(6, 16))

    def bent(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(relative_stability=table["relative_stability"] / (1 + (table["train_size"] / 300) ** 2))

    theory = bent(rows(0.0, 1.0, sizes=long, noise=0.02))
    for sizes in ((64, 256, 1024), (70, 300, 1000)):
        net = bent(rows(0.0, 1.0, sizes=sizes, noise=0.02, rng=1, **IMAGES))
        found = contrast(theory, net)
        (item,) = found.comparisons
        assert found.theory[0].exponent.value < item.theory.exponent.value - 0.3
        assert found.theory[0].bent
        assert item.theory.x_range == ((64, 1024) if sizes[0] == 64 else (128, 512))
        assert item.compared.x_range == (sizes[0], sizes[-1])
        if sizes[0] == 64:
            assert (item.relation, item.sizes) == (Relation.SAME, "64…1024")
        else:
            assert item.sizes == "70…1000 (theory: 128…512)"
    # A net that reaches beyond the theory is cut to it as well.
    net = bent(rows(0.0, 1.0, sizes=(256, 1024, 4096, 16384, 65536, 262144), noise=0.02, rng=1, **IMAGES))
    (item,) = contrast(theory, net).comparisons
    assert item.compared.x_range == item.theory.x_range == (256, 16384)
    assert item.measured.x_range == (256, 262144)
    assert item.relation is Relation.SAME
    found = contrast(theory, net)
    assert found.table().loc[1, ["compared_P_min", "compared_P_max"]].tolist() == [256, 16384]


def test_the_committed_nets_agree_with_the_flow_over_their_own_sizes() -> None:
    """One hidden layer by plain descent at q = 0.3: P = 64 to 1024, where the flow is steeper than over all its P."""
    data = Path(__file__).parents[3] / "paper" / "data"
    names = ("stripe_theory_64.csv", "stripe_theory.csv", "stripe_theory_32768.csv")
    flow = pd.concat([read_table(data / name) for name in names], ignore_index=True)
    nets = read_table(data / "stripe_nets.csv")
    one = nets[nets["architecture"].str.startswith("one-hidden") & (nets["variant"] == "alpha=0.01")]
    (item,) = contrast(flow, one[one["stage"] == "q=0.3"]).comparisons
    assert item.sizes == "64…1024"
    assert item.measured.exponent.value == pytest.approx(-1.67, abs=0.01)
    assert item.theory.exponent.value == pytest.approx(-1.70, abs=0.01)
    assert item.relation is Relation.SAME


def test_seeds_that_both_share_are_paired_and_counted() -> None:
    """Theory and nets share slopes seed by seed; the theory has ten seeds more."""
    rng = np.random.default_rng(12)
    theory, nets = shared_slopes(0.1, rng)
    further = rows(seeds=tuple(range(10, 20)), noise=0.3, rng=4)
    (item,) = contrast(pd.concat([theory, further], ignore_index=True), nets).comparisons
    assert (item.difference_method, item.difference.n) == ("paired seeds", 4)
    assert item.difference.low > 0
    assert item.ratio is not None
    assert (item.ratio.interval_method, item.ratio.estimate.n) == ("paired seeds", 4)
    assert " ± " in item.ratio.words()
    # Two shared seeds are too few; and a seed that lacks a P of the other's is no pair.
    two = nets.assign(seed=nets["seed"].where(nets["seed"] < 2, nets["seed"] + 50))
    assert contrast(theory, two).comparisons[0].difference_method == "independent errors"
    holes = nets[~((nets["seed"] == 3) & (nets["train_size"] == 64))]
    (item,) = contrast(theory, holes).comparisons
    assert item.difference.n == 3
