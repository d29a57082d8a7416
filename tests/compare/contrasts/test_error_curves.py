"""The error beside R_f, D_f, G_f and S_f: planted curves, of which one goes with the error and one does not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from compare.contrasts.error_curves import error_curves
from compare.contrasts.hierarchies import describe_hierarchies
from theory.common.errors import InputError
from theory.common.table import curve_table


def planted(seeds: int = 5, scatter: float = 0.1, offset: float = 0.0) -> pd.DataFrame:
    """Nets of two architectures: eps_t = R_f up to a scatter, D_f with more of it, G_f by itself.

    The second architecture's error is moved by `offset` in log, away from the common curve.
    """
    rng = np.random.default_rng(0)
    rows = []
    for net, shift in (("cnn", 0.0), ("lcn", offset)):
        for seed in range(seeds):
            for size in (100, 200, 400, 800, 1600):
                error = 0.5 * (100 / size) ** 1.5 * math.exp(0.3 * rng.standard_normal())
                relative, diffeo = (error * math.exp(k * scatter * rng.standard_normal()) for k in (1, 10))
                own = {
                    "source": "hierarchy-net", "task": "srhm", "architecture": net, "train_size": size, "seed": seed,
                    "stage": "trained", "relative_stability": relative, "diffeo_stability": min(diffeo, 2.0),
                    "noise_stability": math.exp(0.3 * rng.standard_normal()),
                }  # fmt: skip
                rows += [own | {"test_error": min(1.0, error * math.exp(shift))}, own | {"layer": "layer2"}]
    return curve_table(rows)


def test_the_measure_that_goes_with_the_error_is_told_from_those_that_do_not():
    found = error_curves(planted())
    assert found["relative_stability"].correlation.value > 0.98
    assert found["diffeo_stability"].correlation.value < 0.9
    assert found.differences["diffeo_stability"].low > 0
    assert abs(found["noise_stability"].correlation.value) < 0.3
    assert found["relative_stability"].spread.value == pytest.approx(0.1, abs=0.03)
    assert [one.name for one in found.measures] == ["relative_stability", "diffeo_stability", "noise_stability"]
    assert (found.n, found.n_seeds, found.left_out) == (50, 5, 0)
    assert any("R_f: r(log eps_t, log R_f) = 0.9" in line for line in found.lines())


def test_equal_measures_are_not_told_apart():
    """The control: a D_f with R_f's own scatter has a difference whose interval holds 0."""
    table = planted(scatter=0.3)
    rng = np.random.default_rng(3)
    trained = table["test_error"].notna()
    table.loc[trained, "diffeo_stability"] = table.loc[trained, "test_error"] * np.exp(
        0.3 * rng.standard_normal(trained.sum())
    )
    difference = error_curves(table).differences["diffeo_stability"]
    assert difference.low < 0 < difference.high


def test_a_net_beside_the_common_curve_is_seen_by_its_offset():
    assert error_curves(planted())["relative_stability"].offset < 0.05
    assert error_curves(planted(offset=-0.8))["relative_stability"].offset > 0.3


def test_a_layers_measures_stand_beside_the_nets_error():
    whole, layer = error_curves(planted()), error_curves(planted(), layer="layer2")
    assert layer["relative_stability"].correlation.value == whole["relative_stability"].correlation.value
    assert layer.lines()[0].startswith("layer2: 50 nets")


def test_what_has_no_logarithm_is_left_out_and_counted():
    table = planted()
    first = table.index[table["test_error"].notna()][:7]
    table.loc[first, "relative_stability"] = 0.0
    assert error_curves(table).left_out == 7
    with pytest.raises(InputError, match="ten trained rows or more"):
        error_curves(planted(seeds=1))
    assert len(error_curves(planted()).plot().collections) + len(error_curves(planted()).plot().lines) == 2


def test_tables_without_hierarchies_have_no_law():
    found = describe_hierarchies(planted())
    assert found.laws == ()
    assert [curve.layer for curve in found.curves] == ["", "layer2"]
    assert found.ratios  # D of the second layer crosses 0.2
    assert found.summary()["error_curves"][0]["n"] == 50
    assert "P* at eps_t = 0.1:" in found.lines()
    assert len(found.plot().axes) == 2
