"""Curves over P and seeds: order, independence of the number of workers, bad input."""

from __future__ import annotations

import pandas as pd
import pytest

from theory import FlowConfig, InputError, Stripe, curve

CONFIG = FlowConfig(width=50, test_size=500, unfit_fractions=(0.9, 0.5))


def test_rows_are_ordered_and_complete() -> None:
    reported = []
    table = curve(Stripe(5), [64, 32], [1, 0], CONFIG, progress=lambda part, path: reported.append(part))
    assert table["train_size"].tolist() == [32] * 4 + [64] * 4
    assert table["seed"].tolist() == [0, 0, 1, 1] * 2
    assert table["stage"].tolist() == ["q=0.9", "q=0.5"] * 4
    assert set(table["source"]) == {"theory"}
    assert reported == sorted(reported)
    assert reported[-1] == 1


@pytest.mark.slow
def test_the_table_does_not_depend_on_the_number_of_workers() -> None:
    tables = [curve(Stripe(5), [32, 64], [0, 1], CONFIG, workers=workers) for workers in (1, 2)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize(
    ("sizes", "seeds", "options", "message"),
    [
        ([], [0], {}, "train_sizes = []: must hold at least one"),
        ([0], [0], {}, "train_sizes = 0: must be a whole number, at least 1"),
        ([8], [-1], {}, "seeds = -1: must be a whole number, at least 0 and at most 9007199254740992"),
        ([8], [0], {"workers": 0}, "workers = 0: must be a whole number, at least 1"),
        ([8], [0], {"backend": "gpu"}, "backend = gpu: must be one of auto, numpy, numba, cupy"),
    ],
)
def test_bad_input(sizes: list[int], seeds: list[int], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        curve(Stripe(5), sizes, seeds, CONFIG, **options)  # type: ignore[arg-type]
    assert str(error.value) == message
