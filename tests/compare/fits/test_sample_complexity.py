"""P* where a planted curve crosses a threshold, its interval over seeds, and the law of P* over hierarchies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.fits.hierarchy_law import fit_hierarchy_law
from compare.fits.sample_complexity import crossings, ratio_of_crossings
from theory.common.errors import InputError
from theory.common.table import curve_table

GRID = (0.5, 0.8, 1.25, 2.0, 3.2, 5.0)


def planted(crossing: float, sizes, seed: int = 0, **more):
    """Rows of an error that falls as 0.8 / (1 + (P / c)^3) with c such that it is 0.1 at `crossing`."""
    c = crossing / 7 ** (1 / 3)
    return [
        {
            "source": "hierarchy-net", "task": "srhm", "architecture": "cnn-h8", "seed": seed, "stage": "trained",
            "train_size": round(size), "relative_stability": 1 / size,
            "test_error": 0.8 / (1 + (round(size) / c) ** 3), **more,
        }
        for size in sizes
    ]  # fmt: skip


def hierarchy_rows(vocabulary, sparsity, seeds, rng=None, power=2.0, prefactor=2.5, levels=2):
    scale = (sparsity + 1) ** power * vocabulary ** (levels + 1)
    rows = []
    for seed in range(seeds):
        factor = 1.0 if rng is None else math.exp(0.1 * rng.standard_normal())
        rows += planted(
            prefactor * scale * factor, [prefactor * x / 2.5 * scale for x in GRID], seed,
            task=f"srhm-v{vocabulary}-s0={sparsity}", vocabulary=vocabulary, classes=vocabulary, synonyms=vocabulary,
            branching=2, sparsity=sparsity, levels=levels,
        )  # fmt: skip
    return rows


@settings(max_examples=12, deadline=None)
@given(st.floats(150, 4000))
def test_a_planted_crossing_is_found_between_the_points(crossing):
    sizes = np.geomspace(100, 6000, 9)
    (found,) = crossings(curve_table(planted(crossing, sizes)))
    # The monotone cubic misses the planted curve between points, a factor 1.67 apart, by no more than 2 %.
    assert found.train_size.value == pytest.approx(crossing, rel=0.02)
    assert found.complete
    assert math.isnan(found.train_size.low)  # one seed


@pytest.mark.slow
def test_intervals_over_seeds_cover_the_truth_as_often_as_they_say():
    # 200 tasks of 5 seeds whose P* scatter by 10 %: 95 % intervals miss 10 times; more than 20 has p < 2e-3.
    rng = np.random.default_rng(0)
    rows = [
        row
        for task in range(200)
        for seed in range(5)
        for row in planted(1000 * math.exp(0.1 * rng.standard_normal()), [400, 1000, 2600], seed, task=f"task {task}")
    ]
    misses = [not one.train_size.low < 1000 < one.train_size.high for one in crossings(curve_table(rows))]
    assert len(misses) == 200
    assert 1 <= sum(misses) <= 20


def test_seeds_that_do_not_cross_are_told_and_left_out():
    rows = planted(1000, [250, 500, 2000], 0) + planted(5000, [250, 500, 2000], 1) + planted(100, [250, 500, 2000], 2)
    (found,) = crossings(curve_table(rows))
    assert [seed for seed, _ in found.by_seed] == [0]
    assert (found.not_reached, found.reached_before) == ((1,), (2,))
    assert not found.complete
    assert found.summary()["not_reached"] == [1]
    assert "2 seeds do not cross" in repr(found)
    assert crossings(curve_table(planted(5000, [250, 500, 2000]))) == []


def test_an_error_of_zero_is_below_the_threshold():
    rows = planted(1000, [500, 800, 1250, 2000])
    rows[-1]["test_error"] = 0.0
    (found,) = crossings(curve_table(rows))
    # The floor stands for an error of 0.016 here: P* moves by less than a tenth of the step from one P to the next.
    assert found.train_size.value == pytest.approx(1000, rel=0.05)


def test_the_last_fall_below_the_threshold_counts():
    rows = planted(1000, [250, 500, 1000, 2000])
    for row, error in zip(rows, (0.09, 0.3, 0.2, 0.05), strict=True):
        row["test_error"] = error
    (found,) = crossings(curve_table(rows))
    assert 1000 < found.train_size.value < 2000


def test_the_law_of_planted_hierarchies():
    rng = np.random.default_rng(1)
    rows = [row for v in (4, 6, 8) for s0 in (0, 1, 2, 4) for row in hierarchy_rows(v, s0, 5, rng)]
    law = fit_hierarchy_law(crossings(curve_table(rows)), "cnn")
    # 12 hierarchies with 10 % scatter each: five standard errors over seeds.
    assert law.sparsity_exponent.low < 2.0 < law.sparsity_exponent.high
    assert law.rules_exponent.value == pytest.approx(1, abs=0.1)
    assert law.prefactor.value == pytest.approx(2.5, rel=0.1)
    assert law.sparsity_exponent.n == 5
    assert len(law.ratios) == 12
    assert "exponent of s0 + 1 = " in repr(law)
    assert law.summary()["ratios"]["srhm-v4-s0=0"]["value"] == pytest.approx(2.5, rel=0.2)


def test_a_law_of_another_power_is_told_from_the_published_one():
    """The control: P* ~ (s0 + 1)^3 gives an exponent that leaves out 2."""
    rng = np.random.default_rng(2)
    rows = [row for v in (4, 6) for s0 in (0, 1, 2) for row in hierarchy_rows(v, s0, 5, rng, power=3)]
    law = fit_hierarchy_law(crossings(curve_table(rows)), "cnn")
    assert law.sparsity_exponent.low > 2.5
    assert law.sparsity_exponent.low < 3 < law.sparsity_exponent.high


def test_exponents_of_what_does_not_vary_are_not_told():
    rows = hierarchy_rows(4, 1, 3) + hierarchy_rows(6, 1, 3)
    law = fit_hierarchy_law(crossings(curve_table(rows)), "lcn")
    assert law.sparsity_exponent is None
    assert law.rules_exponent.value == pytest.approx(1, abs=0.02)
    assert law.prefactor.value == pytest.approx(2.5, rel=0.02)
    with pytest.raises(InputError, match="levels"):
        fit_hierarchy_law(crossings(curve_table(hierarchy_rows(4, 1, 2) + hierarchy_rows(4, 2, 2, levels=3))), "x")
    with pytest.raises(InputError, match="must all be of random hierarchies"):
        fit_hierarchy_law(crossings(curve_table(planted(1000, [500, 2000]))), "x")
    with pytest.raises(InputError, match="at least one"):
        fit_hierarchy_law([], "x")


def test_ratios_are_paired_by_seed():
    rows = []
    for seed, factor in enumerate((0.7, 1.0, 1.5)):
        own = planted(1000 * factor, [250, 500, 1000, 2000, 4000], seed)
        rows += own
        for row in own:  # the second layer's D: at its threshold of 0.2 where the error is at 0.1
            rows.append({**row, "layer": "layer2", "test_error": math.nan, "diffeo_stability": 2 * row["test_error"]})
    table = curve_table(rows)
    errors = crossings(table)
    stabilities = crossings(table, y="diffeo_stability", threshold=0.2, layer="layer2")
    ((_, ratio),) = ratio_of_crossings(stabilities, errors)
    assert ratio.value == pytest.approx(1, rel=1e-6)
    assert ratio.n == 3
    assert errors[0].train_size.error > 200  # the seeds differ, the ratio does not


def test_plots_have_the_points():
    rows = hierarchy_rows(4, 1, 2) + hierarchy_rows(6, 2, 2)
    found = crossings(curve_table(rows))
    ax = found[0].plot()
    assert len(ax.lines[0].get_xdata()) == 12
    assert found[0].plot(ax) is ax
    assert len(fit_hierarchy_law(found, "cnn").plot().lines[0].get_xdata()) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"y": "seconds"}, "y = seconds: must be one of"),
        ({"threshold": 0}, "threshold = 0"),
        ({"layer": "layer9"}, "holds no trained row with a test_error of layer layer9"),
        ({"y": "synonym_stability"}, "synonym_stability of layer output"),
    ],
)
def test_bad_questions_are_told_in_one_line(options, said):
    with pytest.raises(InputError, match=said):
        crossings(curve_table(planted(1000, [500, 2000])), **options)
