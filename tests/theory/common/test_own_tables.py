"""Curves as users have them: the papers' symbols for names, no column for seed or stage."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from theory import InputError, curve_table, read_table, validate_table
from theory.common.table import COLUMNS, SYMBOLS

BARE = """source,task,architecture,P,R_f,R_f_low,R_f_high,eps_t
mine,photos,vgg,64,1.5,1.2,1.9,0.3
mine,photos,vgg,256,0.7,0.6,0.8,0.2
"""


@pytest.mark.parametrize(
    "text",
    [
        BARE,
        "# made by hand\n" + BARE,
        "# " + BARE,  # the header behind a comment's sign, as numpy writes it
        BARE.replace(",", ";").replace(".", ","),
        BARE.replace(",", "\t"),
    ],
    ids=["commas", "comment", "commented header", "semicolons and decimal commas", "tabs"],
)
def test_symbols_are_read_and_seed_and_stage_may_be_absent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    table = read_table(path)
    assert table["train_size"].tolist() == [64, 256]
    assert table["relative_stability"].tolist() == [1.5, 0.7]
    assert table["relative_stability_low"].tolist() == [1.2, 0.6]
    assert table["test_error"].tolist() == [0.3, 0.2]
    assert set(table["seed"]) == {0}
    assert set(table["stage"]) == {"trained"}
    assert not set(table.columns) & set(SYMBOLS)


def test_every_symbol_stands_for_a_column_of_numbers() -> None:
    assert {"P", "R_f", "D_f", "G_f", "eps_t", "D_f_low"} <= set(SYMBOLS)
    assert all(COLUMNS[name].kind != "text" for name in SYMBOLS.values())
    assert not set(SYMBOLS) & set(COLUMNS)


def test_a_symbol_beside_its_column_is_a_column_of_its_own() -> None:
    row = {"source": "mine", "task": "photos", "architecture": "vgg", "train_size": 64, "relative_stability": 0.5}
    table = curve_table([row | {"P": 0.01}])
    assert (table["train_size"][0], table["P"][0]) == (64, 0.01)


def test_symbols_in_the_index_are_taken_and_bad_values_are_named_by_their_column() -> None:
    frame = pd.DataFrame({"source": "mine", "task": "photos", "architecture": "vgg", "R_f": [0.5, 0.2]},
                         index=pd.Index([64, 128], name="P"))  # fmt: skip
    assert validate_table(frame)["train_size"].tolist() == [64, 128]
    with pytest.raises(InputError, match=r"mine.csv, column relative_stability = -1"):
        validate_table(frame.assign(R_f=-1), "mine.csv")


def test_repeats_without_a_seed_are_told_what_tells_them_apart() -> None:
    row = {"source": "mine", "task": "photos", "architecture": "vgg", "P": 64, "R_f": 0.5}
    with pytest.raises(InputError, match="two rows are the same: a column seed tells repeats apart, a column variant"):
        curve_table([row, row | {"R_f": 0.4}])
    apart = curve_table([row, row | {"R_f": 0.4, "variant": "batch 8"}])
    assert apart["variant"].tolist() == ["", "batch 8"]
    with pytest.raises(InputError, match=r"lacks the columns relative_stability$"):
        curve_table([{key: value for key, value in row.items() if key != "R_f"}])
