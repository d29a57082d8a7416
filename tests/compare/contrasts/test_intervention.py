"""Arrows from the usual training to its variants, on planted tables with paired seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare.contrasts.hierarchies import describe_hierarchies
from compare.contrasts.intervention import intervention
from compare.fits.sample_complexity import crossings
from theory.common.errors import InputError
from theory.common.table import curve_table

#: What each planted variant does: to R_f, by a factor, and to the error, by a factor.
EFFECTS = {"": (1.0, 1.0), "trained on placements": (0.01, 0.2), "trained on noise": (4.0, 1.0)}


def planted(seeds: int = 5, effects=EFFECTS):
    """Seeds differ by far more than any noise on what a variant changes: only pairs tell."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        own = math.exp(0.5 * rng.standard_normal())
        for variant, (stability, error) in effects.items():
            for size in (100, 200, 400, 800):
                scatter = math.exp(0.02 * rng.standard_normal())
                rows.append(
                    {
                        "source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "variant": variant,
                        "train_size": size, "seed": seed, "stage": "trained",
                        "relative_stability": own * stability * scatter,
                        "test_error": min(1.0, 0.3 * own * error * scatter * 100 / size),
                    }
                )  # fmt: skip
    return curve_table(rows)


def test_paired_seeds_tell_what_a_variant_changes():
    found = intervention(planted())
    assert len(found.arrows) == 8
    for arrow in found.arrows:
        stability, _ = EFFECTS[arrow.variant]
        assert arrow.ratios["relative_stability"].value == pytest.approx(stability, rel=0.05)
        if arrow.variant == "trained on placements":
            assert (arrow.smaller_stability, arrow.smaller_error) == (True, True)
        else:  # R_f is larger, and the error is not told apart
            assert (arrow.smaller_stability, arrow.smaller_error) == (False, None)
        # Seeds that are not paired would say nothing: their R_f scatters by exp(0.5).
        assert arrow.usual[0].high / arrow.usual[0].low > 1.5
        assert arrow.ratios["relative_stability"].high / arrow.ratios["relative_stability"].low < 1.2
    assert "made R_f smaller (4 cases) the error was smaller in 4" in found.verdict()
    assert "made R_f larger (4 cases) the error was smaller in 0, larger in 0" in found.verdict()


def test_a_variant_that_does_nothing_makes_no_case():
    """The control."""
    found = intervention(planted(effects={"": (1.0, 1.0), "trained on nothing": (1.0, 1.0)}))
    told = [arrow for arrow in found.arrows if arrow.smaller_stability is not None]
    assert len(told) <= 1  # of 4 tests at 5 %, two or more come up in 1.4 % of tables


def test_savings_are_ratios_of_p_star_by_seed():
    table = planted()
    found = intervention(table, tuple(crossings(table)))
    savings = {variant: ratio for _, variant, ratio in found.savings}
    # eps ~ 1 / P: an error five times smaller is there at a fifth of P, where that is within the grid.
    assert savings["trained on noise"].value == pytest.approx(1, rel=0.05)
    assert set(savings) <= {"trained on noise", "trained on placements"}
    assert found.summary()["savings"][0]["where"] == "srhm, cnn"


def test_lines_and_the_plane():
    found = describe_hierarchies(planted())
    assert found.intervention is not None
    lines = found.lines()
    assert any("trained on placements, P = 100: R_f" in line for line in lines)
    assert len(found.plot().axes) == 2
    ax = found.intervention.plot()
    assert len(ax.texts) == 8
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"trained on placements", "trained on noise"}


def test_one_seed_tells_nothing_and_no_twin_is_refused():
    assert all(arrow.smaller_error is None for arrow in intervention(planted(seeds=1)).arrows)
    table = planted()
    with pytest.raises(InputError, match="must hold nets of a variant and of the usual training"):
        intervention(table[table["variant"] == ""])
    assert describe_hierarchies(table[table["variant"] == ""]).intervention is None
