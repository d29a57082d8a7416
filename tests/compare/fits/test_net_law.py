"""eps_t = a x^b over nets that are averaged over their seeds first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from compare import clustered_error_law, fit_net_law
from theory.common.errors import InputError
from theory.common.table import curve_table


def nets(rng: np.random.Generator, seeds: dict[str, int], *, scatter: float = 0.0, own: float = 0.0) -> pd.DataFrame:
    """eps_t = 0.2 R_f^(1/2) of the nets' own R_f, at two P; seeds scatter in R_f, nets lie off the law by `own`."""
    rows = []
    for place, (net, count) in enumerate(seeds.items()):
        offset = own * rng.normal()
        for size in (1024, 4096):
            ratio = 2.0**-place * (1024 / size) ** 0.5
            for seed in range(count):
                measured = ratio * np.exp(scatter * rng.normal())
                rows.append(
                    {
                        "source": "images", "task": "digits", "architecture": net, "train_size": size, "seed": seed,
                        "stage": "trained", "relative_stability": measured, "diffeo_stability": measured**2,
                        "test_error": 0.2 * ratio**0.5 * np.exp(offset),
                    }
                )  # fmt: skip
    return curve_table(rows)


def test_a_planted_law_is_found_whatever_the_numbers_of_seeds() -> None:
    table = nets(np.random.default_rng(0), {"mlp": 1, "lenet": 9, "vgg": 2, "resnet": 1})
    law = fit_net_law(table)
    assert (law.exponent.value, law.amplitude.value) == pytest.approx((0.5, 0.2))
    assert (law.unit, law.n_units, law.n_points) == ("series", 4, 8)
    assert fit_net_law(table, "diffeo_stability").exponent.value == pytest.approx(0.25)
    assert fit_net_law(table, exponent=0.5).amplitude.value == pytest.approx(0.2)


def test_a_net_with_many_seeds_weighs_no_more_than_another() -> None:
    table = nets(np.random.default_rng(1), {"mlp": 1, "lenet": 1, "vgg": 1, "resnet": 1}, own=0.3)
    more = table[table["architecture"] == "lenet"]
    repeated = pd.concat([table, *(more.assign(seed=seed) for seed in range(1, 9))], ignore_index=True)
    assert fit_net_law(repeated).exponent.value == pytest.approx(fit_net_law(table).exponent.value)
    assert abs(clustered_error_law(repeated).exponent.value - clustered_error_law(table).exponent.value) > 0.01


def test_scatter_of_the_seeds_draws_the_exponent_less_towards_0() -> None:
    table = nets(np.random.default_rng(2), {f"net{i}": 16 for i in range(5)}, scatter=1.0)
    means, rows = fit_net_law(table).exponent.value, clustered_error_law(table).exponent.value
    assert means == pytest.approx(0.5, abs=0.05)
    assert rows < 0.4


def test_two_nets_have_an_interval_over_seeds_and_single_seeds_none() -> None:
    table = nets(np.random.default_rng(3), {"mlp": 8, "resnet": 6}, scatter=0.1)
    law = fit_net_law(table)
    assert (law.unit, law.n_units, law.exponent.n) == ("seed", 14, 14)
    assert 0 < law.exponent.error < 0.3
    assert law.holds(0.5)
    assert fit_net_law(table, exponent=0.5).amplitude.error > 0
    assert np.isnan(fit_net_law(table[table["seed"] == 0]).exponent.error)


def test_bad_input_is_named() -> None:
    table = nets(np.random.default_rng(4), {"mlp": 1})
    with pytest.raises(InputError, match="2 such rows"):
        fit_net_law(table)
    with pytest.raises(InputError, match="x = compression"):
        fit_net_law(table, "compression")
