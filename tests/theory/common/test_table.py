"""The curve table: round trips, and every kind of bad value named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import InputError, curve_table, read_table, validate_table, write_table
from theory.common.table import COLUMNS, DEFAULTS, KEY, REQUIRED

ROW = {
    "source": "user", "task": "t", "architecture": "a", "train_size": 8, "seed": 0, "stage": "trained",
    "relative_stability": 0.5,
}  # fmt: skip

real = st.floats(0, 1e6, allow_nan=False)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["theory", "user, with comma", 'say "x"']),
            "task": st.sampled_from(["t", "été", "NA", "007", "a#b"]),
            "architecture": st.just("a"),
            "train_size": st.integers(1, 10**9),
            "seed": st.integers(0, 10**6),
            "stage": st.just("trained"),
            "relative_stability": real,
        },
        optional={"cutoff": st.integers(2, 50), "test_error": st.floats(0, 1), "note": st.text("abc", min_size=1)},
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda row: (row["source"], row["task"], row["train_size"], row["seed"]),
)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(rows=rows)
def test_what_is_written_is_read(
    suffix: str, rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """CSV keeps seven digits: 1e-6 relative."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    path = tmp_path_factory.mktemp("table") / f"t{suffix}"
    table = curve_table(rows)
    write_table(table, path, comment="made by\ntwo lines")
    again = read_table(path)
    shared = list(COLUMNS)
    pd.testing.assert_frame_equal(again[shared], table[shared], rtol=1e-6)
    assert list(again.columns[: len(COLUMNS)]) == shared


def test_comments_are_the_first_lines(tmp_path: Path) -> None:
    path = write_table(curve_table([ROW]), tmp_path / "t.csv", comment="relstab x")
    assert path.read_text().splitlines()[0] == "# relstab x"


def test_columns_beyond_the_schema_stay() -> None:
    table = curve_table([{**ROW, "optimizer": "sgd"}])
    assert table.columns[-1] == "optimizer"
    assert table["optimizer"].tolist() == ["sgd"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_size": 0}, "table, column train_size = 0: must be a whole number, at least 1"),
        ({"train_size": 2.5}, "table, column train_size = 2.5: must be a whole number"),
        ({"train_size": "many"}, "table, column train_size = many: must be a whole number"),
        ({"train_size": None}, "table, column train_size"),
        ({"relative_stability": -1.0}, "table, column relative_stability = -1.0: must be a finite number, at least 0"),
        ({"relative_stability": np.nan}, "table, column relative_stability = nan: must be a finite number"),
        ({"test_error": 1.5}, "table, column test_error = 1.5: must be a finite number, at least 0, at most 1"),
        ({"cutoff": 1}, "table, column cutoff = 1: must be a whole number, at least 2"),
        ({"source": ""}, "table, column source = '': must not be empty"),
        ({"stage": None}, "table, column stage = '': must not be empty"),
    ],
)
def test_bad_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        curve_table([{**ROW, **change}])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in REQUIRED if name not in DEFAULTS])
def test_required_columns(name: str) -> None:
    with pytest.raises(InputError, match=f"lacks the columns {name}"):
        validate_table(pd.DataFrame([{key: value for key, value in ROW.items() if key != name}]))


def test_no_two_rows_have_the_same_key() -> None:
    told = "a column seed tells repeats apart, a column variant what was made in another way"
    with pytest.raises(InputError, match=rf"^table = [^{{}}]{{,70}}: two rows are the same: {told} \(batch 8, say\)$"):
        curve_table([ROW, {**ROW, "relative_stability": 0.1}])
    for name, value in (("seed", 1), ("stage", "initial"), ("cutoff", 3), ("displacement", 2.0)):
        assert name in KEY
        assert len(curve_table([ROW, {**ROW, name: value}])) == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv")
    for name, text, message in (
        ("t.txt", "a", "must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet"),
        ("empty.csv", "", "cannot be read"),
        ("broken.csv", 'a,b\n"1', "cannot be read"),
        ("other.csv", "a,b\n1,2\n", "lacks the columns source, task.*, relative_stability$"),
        ("bars.csv", "|".join(REQUIRED) + "\n", "; columns must be separated by commas, semicolons or tabs$"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / name)


def test_a_bad_table_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_table(curve_table([ROW]), tmp_path / "t.csv")
    before = path.read_bytes()
    with pytest.raises(InputError):
        write_table(pd.DataFrame([{**ROW, "train_size": 0}]), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_seventeen_digits_give_every_bit_back(tmp_path: Path) -> None:
    """A store's tables are read back as they were; control: with 15 digits they are not."""
    numbers = np.random.default_rng(0).lognormal(size=200)
    drawn = [{**ROW, "seed": seed, "relative_stability": float(number)} for seed, number in enumerate(numbers)]
    path = write_table(curve_table(drawn), tmp_path / "table.csv", digits=17)
    assert list(read_table(path)["relative_stability"]) == list(numbers)
    write_table(curve_table(drawn), path, digits=15)
    assert list(read_table(path)["relative_stability"]) != list(numbers)


def test_the_old_name_of_a_source_is_read_as_the_new_one(tmp_path: Path) -> None:
    """Nets on images that are not ImageNet's: `images`. Two rows that differ by the name alone are the same."""
    path = tmp_path / "old.csv"
    path.write_text(",".join(ROW) + "\n" + ",".join(map(str, (ROW | {"source": "image-net"}).values())) + "\n")
    assert read_table(path)["source"].tolist() == ["images"]
    assert curve_table([ROW | {"source": "images-net"}])["source"].tolist() == ["images-net"]
    with pytest.raises(InputError, match="two rows are the same"):
        curve_table([ROW | {"source": "image-net"}, ROW | {"source": "images"}])
