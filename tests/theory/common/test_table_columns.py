"""The schema of the curve table, column by column: every bound, every kind, every column of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from theory import InputError, curve_table, read_table, validate_table, write_table
from theory.common.table import COLUMNS, KEY, REQUIRED

ROW: dict[str, Any] = {
    "source": "published", "task": "cifar10", "architecture": "lenet", "train_size": 128, "seed": 0,
    "stage": "trained", "relative_stability": 0.25,
}  # fmt: skip
NUMBERS = [name for name, column in COLUMNS.items() if column.kind != "text"]
BAD = [
    *((name, "abc", "must be a") for name in NUMBERS),
    *((name, COLUMNS[name].minimum - 1, f"at least {COLUMNS[name].minimum:g}") for name in NUMBERS),
    *((name, 1.0001, "at most 1") for name in NUMBERS if COLUMNS[name].maximum == 1),
    *((name, 2.5, "must be a whole number") for name in NUMBERS if COLUMNS[name].kind == "integer"),
    *((name, gap, "must ") for name in REQUIRED for gap in (None, np.nan, "")),
]


@pytest.mark.parametrize(("column", "value", "allowed"), BAD)
def test_a_bad_value_is_told_with_its_column(column: str, value: Any, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_table(pd.DataFrame([ROW | {"seed": 1}, ROW | {column: value}]), origin="mine.csv")
    assert caught.value.parameter == f"mine.csv, column {column}"
    assert allowed in caught.value.allowed
    assert "\n" not in str(caught.value)


def test_no_number_and_no_required_column_was_forgotten() -> None:
    assert {name for name, _, _ in BAD} == set(NUMBERS) | set(REQUIRED)


@pytest.mark.parametrize("column", NUMBERS)
def test_the_bounds_themselves_are_allowed(column: str) -> None:
    bounds = [bound for bound in (COLUMNS[column].minimum, COLUMNS[column].maximum) if np.isfinite(bound)]
    assert bounds
    for bound in bounds:
        assert curve_table([ROW | {column: bound}])[column][0] == bound


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in REQUIRED])
def test_an_optional_value_may_be_absent_and_is_then_empty(column: str) -> None:
    for gap in (None, np.nan):
        value = curve_table([ROW | {column: gap}])[column][0]
        assert value == "" if COLUMNS[column].kind == "text" else pd.isna(value)


@pytest.mark.parametrize("column", KEY)
def test_rows_that_differ_in_one_column_of_the_key_are_two(column: str) -> None:
    other = {"train_size": 64, "seed": 1, "cutoff": 3, "displacement": 1.0, "temperature": 1e-3}
    assert len(curve_table([ROW, ROW | {column: other.get(column, "other")}])) == 2


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in KEY])
def test_rows_of_one_key_are_refused_whatever_else_differs(column: str) -> None:
    full = ROW | {"cutoff": 3, "displacement": 1.0}
    other = COLUMNS[column].minimum if COLUMNS[column].kind == "integer" else 0.5
    with pytest.raises(InputError, match="two rows are the same"):
        curve_table([full, full | {column: other}])


def test_columns_are_typed_and_in_order_and_the_given_table_is_left_alone() -> None:
    frame = pd.DataFrame([{"note": "n", **ROW, "train_size": "128"}], index=[5])
    before = frame.copy()
    valid = validate_table(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert list(valid.columns) == [*COLUMNS, "note"]
    assert list(valid.index) == [0]
    assert valid.train_size[0] == 128
    for name in NUMBERS:
        assert valid[name].dtype == ("Int64" if COLUMNS[name].kind == "integer" else "float64")
    assert list(curve_table([]).columns) == list(COLUMNS)


def test_empty_columns_are_not_written(tmp_path: Path) -> None:
    path = write_table(curve_table([ROW | {"width": 7}]), tmp_path / "t.csv")
    assert set(path.read_text().splitlines()[0].split(",")) == {*REQUIRED, "width"}
    assert list(read_table(path).width) == [7]


@pytest.mark.parametrize(
    "text", ["net#2", "#net", "NA", "None", "nan", "007", "1.10", "True", 'a,"b"', " a ", "R_f > ½"]
)
def test_text_in_a_csv_file_stays_as_it_is(text: str, tmp_path: Path) -> None:
    for column in ("source", "architecture", "stage"):
        path = write_table(curve_table([ROW | {column: text}]), tmp_path / "t.csv", comment="made by hand")
        found = read_table(path)
        assert found[column][0] == text
        assert found.train_size[0] == 128


def test_bytes_that_are_no_table_are_told_in_one_line(tmp_path: Path) -> None:
    contents = {
        "bytes.csv": b"\xff\xfe\x00\xd8",
        "latin.csv": b"caf\xe9",
        "cut.csv.gz": b"\x1f\x8b",
        "garbage.parquet": b"no parquet",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        if name.endswith(".parquet"):
            pytest.importorskip("pyarrow", reason="pyarrow, of the extra `parquet`, is not installed")
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_table(tmp_path / name)
        assert "\n" not in str(caught.value)
