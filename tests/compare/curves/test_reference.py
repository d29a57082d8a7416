"""The published curves load whole, can be filtered, and show the fall that the paper reports."""

from __future__ import annotations

import pytest

from compare import fit_all, fit_power_law, load_reference
from theory.common.errors import InputError
from theory.common.table import validate_table


def test_all_rows_load_as_a_curve_table() -> None:
    table = load_reference()
    assert len(table) == 134
    assert set(table["task"]) == {"cifar10", "fashion-mnist", "mnist"}
    assert set(table["source"]) == {"published"}
    assert set(table["interpolation"]) == {"bilinear", "gaussian"}
    assert len(validate_table(table)) == 134
    assert not fit_all(table).skipped


def test_fashion_resnet_falls() -> None:
    table = load_reference("FashionMNIST", "resnet", 3, "bilinear")
    by_size = table.set_index("train_size")["relative_stability"]
    assert by_size[64] == pytest.approx(2.33, abs=0.01)
    assert by_size[4096] == pytest.approx(0.246, abs=0.001)
    assert set(table["architecture"]) == {"ResNet (bilinear)"}
    assert fit_power_law(table).exponent.high < -0.5


def test_the_two_training_settings_of_cifar10_are_kept_apart() -> None:
    table = load_reference("cifar10", "ResNet", interpolation="gaussian")
    sizes = table.groupby("architecture")["train_size"].agg(["min", "max"])
    assert tuple(sizes.loc["ResNet (gaussian)"]) == (64, 3684)
    assert tuple(sizes.loc["ResNet (gaussian, other setting)"]) == (5689, 50000)


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
