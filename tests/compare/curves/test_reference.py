"""The published values load seed by seed, give the published curves, and show the fall that the paper reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compare import fit_all, fit_power_law, load_reference, load_reference_displacements
from theory import MaxEntropyEnsemble
from theory.common.errors import InputError
from theory.common.table import validate_table

#: Curves of the same commit (dataframes res-net-R and eff-net-R): means over seeds, without their number.
CURVES = Path(__file__).parent / "petrini2021_early_R_f_vs_P.csv"


def test_all_rows_load_as_a_curve_table() -> None:
    table = load_reference()
    assert len(table) == len(validate_table(table)) == 2436
    assert set(table["task"]) == {"cifar10", "fashion-mnist", "mnist"}
    assert set(table["source"]) == {"published"}
    assert set(table["interpolation"]) == {"bilinear", "gaussian"}
    assert all("1 distinct P" in reason for _, reason in fit_all(table).skipped)


def test_means_over_seeds_are_the_published_curves() -> None:
    """All 134, to the six digits that they have; R_f and accuracy by geometric means over all rows of a P."""
    rows = load_reference().assign(accuracy=lambda table: 1 - table["test_error"])
    rows["architecture"] = rows["architecture"].str.partition(" ")[0]
    keys = ["task", "architecture", "interpolation", "cutoff", "train_size"]
    means = np.exp(np.log(rows.set_index(keys)[["relative_stability", "accuracy"]]).groupby(keys).mean()).reset_index()
    curves = pd.read_csv(CURVES).replace({"fashionmnist": "fashion-mnist", "linear": "bilinear"})
    both = curves.rename(columns={"dataset": "task"}).merge(means, on=keys, validate="one_to_one")
    assert len(both) == len(curves) == 134
    np.testing.assert_allclose(both["relative_stability"], both["R_f"], rtol=1e-5)
    np.testing.assert_allclose(1 - both["accuracy"], both["test_error"], atol=1e-6)


def test_fashion_resnet_falls() -> None:
    table = load_reference("FashionMNIST", "resnet", 3, "bilinear")
    table = table[table["architecture"] == "ResNet (bilinear)"]
    by_size = np.exp(np.log(table["relative_stability"]).groupby(table["train_size"]).mean())
    assert by_size[64] == pytest.approx(2.33, abs=0.01)
    assert by_size[4096] == pytest.approx(0.246, abs=0.001)
    fit = fit_power_law(table)
    assert (fit.n_seeds, fit.interval_method) == (16, "per-seed")
    assert fit.exponent.high < -0.5


def test_training_settings_are_kept_apart() -> None:
    table = load_reference("cifar10", "ResNet", interpolation="gaussian")
    sizes = table.groupby("architecture")["train_size"].agg(["min", "max", "size"])
    assert tuple(sizes.loc["ResNet (gaussian)"]) == (64, 3684, 139)
    assert tuple(sizes.loc["ResNet (gaussian, other setting)"]) == (5689, 50000, 118)
    assert tuple(sizes.loc["ResNet (gaussian, second sweep)"]) == (512, 724, 60)
    at = table[table["train_size"] == 512].pivot_table(index="seed", columns="architecture", values="test_error")
    first, second = at["ResNet (gaussian)"], at["ResNet (gaussian, second sweep)"]
    assert (first.count(), second.count()) == (15, 30)
    assert first.max() < second.min()
    last = load_reference(architecture="EfficientNet").query("train_size == 50000")
    assert set(last["architecture"]) == {f"EfficientNet ({kind}, other setting)" for kind in ("bilinear", "gaussian")}
    assert set(last["average"]) == {"mean"}


def test_all_values_are_at_one_pixel() -> None:
    """By the authors' code, delta^2 = T (0.28 ln c + 0.7); 0.93 (c = 3) and 1.05 (c = 5) by the published formula."""
    table = load_reference()
    for row in table.drop_duplicates(["task", "cutoff"]).itertuples():
        size = 32 if row.task == "cifar10" else 28
        temperature = row.temperature * size**2
        assert temperature * (0.28 * np.log(row.cutoff) + 0.7) == pytest.approx(row.displacement**2, rel=1e-5)
        ensemble = MaxEntropyEnsemble(size, row.cutoff, row.temperature)
        assert ensemble.paper_displacement == pytest.approx({3: 0.925, 5: 1.048}[row.cutoff], abs=1e-3)


def test_before_and_after_training() -> None:
    """Near one pixel of the authors, EfficientNet on CIFAR10: D falls from 0.69 to 0.066, G from 0.75 to 0.18."""
    table = load_reference_displacements("cifar10", "EfficientNet", 3, "bilinear")
    assert table.groupby(["stage", "displacement"])["seed"].nunique().eq(16).all()
    nearest = min(table["displacement"].unique(), key=lambda delta: abs(delta - 0.925))
    near = table[table["displacement"] == nearest].set_index("stage")[["diffeo_stability", "noise_stability"]]
    means = np.exp(np.log(near).groupby(level=0).mean())
    assert means.loc["initial"].tolist() == pytest.approx([0.690, 0.748], abs=0.001)
    assert means.loc["trained"].tolist() == pytest.approx([0.066, 0.177], abs=0.001)
    row = table.iloc[0]
    ensemble = MaxEntropyEnsemble(32, 3, row["temperature"])
    assert ensemble.paper_displacement == pytest.approx(row["displacement"], rel=1e-6)
    assert len(load_reference_displacements()) == 23040
    assert set(load_reference_displacements("mnist", cutoff=15)["architecture"]) == {
        "EfficientNet (bilinear)", "EfficientNet (gaussian)"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "listed"),
    [
        ({"dataset": "svhn"}, "cifar10, fashion-mnist, mnist"),
        ({"architecture": "VGG"}, "EfficientNet, ResNet"),
        ({"cutoff": 7}, "3, 5"),
        ({"interpolation": "cubic"}, "bilinear, gaussian"),
        ({"dataset": "cifar10", "cutoff": 3}, "cifar10 ResNet 5 gaussian"),
    ],
)
def test_an_unknown_filter_lists_what_there_is(filters: dict, listed: str) -> None:
    with pytest.raises(InputError, match=listed):
        load_reference(**filters)
