"""Tables as programs write them: read as they are meant, or refused in one line."""

from __future__ import annotations

import codecs
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import InputError, curve_table, read_table, validate_table, write_table

HEADER = ("source", "task", "architecture", "train_size", "seed", "stage", "relative_stability", "cutoff")
ROWS = [
    {"source": "mine", "task": "digits, small", "architecture": "a;b", "train_size": 2**k, "seed": k,
     "stage": "trained", "relative_stability": 2.0**-k, "cutoff": 3}
    for k in range(5, 9)
]  # fmt: skip
RIGHT = curve_table(ROWS)


def text(delimiter: str = ",", end: str = "\n", trailing: str = "", decimal: str = ".") -> str:
    """The rows as pandas writes them, with what other programs do to them."""
    stream = io.StringIO(newline="")
    pd.DataFrame(ROWS)[list(HEADER)].to_csv(stream, index=False, sep=delimiter, decimal=decimal)
    return "".join(line + trailing + end for line in stream.getvalue().splitlines())


def latin(what: str) -> bytes:
    return what.replace("digits", "chiffres été").encode("latin-1")


FORMS: dict[str, tuple[str, bytes]] = {
    "unix": ("t.csv", text().encode()),
    "windows": ("t.csv", text(end="\r\n").encode()),
    "old macintosh": ("t.csv", text(end="\r").encode()),
    "no end of the last line": ("t.csv", text().rstrip("\n").encode()),
    "mark of UTF-8": ("t.csv", codecs.BOM_UTF8 + text().encode()),
    "UTF-16, as Excel's Unicode text": ("t.tsv", codecs.BOM_UTF16_LE + text("\t", "\r\n").encode("utf-16-le")),
    "UTF-16, big end first": ("t.csv", codecs.BOM_UTF16_BE + text().encode("utf-16-be")),
    "UTF-32": ("t.csv", codecs.BOM_UTF32_LE + text().encode("utf-32-le")),
    "delimiter at the end of rows": ("t.csv", text(trailing=",").replace("cutoff,", "cutoff").encode()),
    "delimiter at the end of all lines": ("t.csv", text(trailing=",").encode()),
    "several at the end": ("t.csv", text(trailing=",,,").encode()),
    "empty rows below": ("t.csv", (text() + ",,,,,,,\n\n,,,,,,,\n").encode()),
    "semicolons": ("t.csv", text(";").encode()),
    "semicolons, decimal commas": ("t.csv", text(";", decimal=",").encode()),
    "tabs, decimal commas": ("t.tsv", text("\t", decimal=",").encode()),
    "tabs in .csv": ("t.csv", text("\t").encode()),
    "sep= of a spreadsheet": ("t.csv", ("sep=;\r\n" + text(";", "\r\n")).encode()),
    "capitals": ("T.CSV", text().encode()),
    "gzip": ("t.csv.gz", gzip.compress(text().encode())),
    "gzip of tabs": ("t.tsv.gz", gzip.compress(text("\t").encode())),
    "comments": ("t.csv", ("# made\n# by hand; with, signs\n" + text()).encode()),
    "header behind a comment's sign": ("t.csv", ("# made by numpy\n# " + text()).encode()),
    "spaces behind semicolons": ("t.csv", text(";").replace(";", "; ").replace("a; b", "a;b").encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_programs_write_is_read(form: str, tmp_path: Path) -> None:
    name, content = FORMS[form]
    (tmp_path / name).write_bytes(content)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), RIGHT)


def test_gaps_by_the_names_that_programs_give_them(tmp_path: Path) -> None:
    """A gap in a column of numbers; as the name of a task it is a name."""
    gaps = ["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None"]
    lines = [f"m,{gap or 'x'},a,8,0,s,0.5,{gap}" for gap in gaps]
    (tmp_path / "t.csv").write_text("\n".join([",".join(HEADER), *lines]))
    table = read_table(tmp_path / "t.csv")
    assert table["cutoff"].isna().all()
    assert table["task"].tolist() == ["x", *gaps[1:]]


HEAD = ",".join(HEADER)
SEMICOLONS = ";".join(HEADER)
REFUSED = {
    "a column twice": (f"{HEAD},relative_stability\nm,t,a,8,0,s,0.5,3,9\n", "relative_stability' comes twice"),
    "more fields than names": (f"{HEAD}\nm,t,a,8,0,s,0.5,3\nm,t,a,8,1,s,0.5,3,7\n", "line 3 has 9 fields"),
    "points and commas": (f"{SEMICOLONS}\nm;t;a;8;0;s;0,5;3\nm;t;a;8;1;s;1.5;3\n", "decimal points: 0,5, 1.5"),
    "thousands": (f"{SEMICOLONS}\nm;t;a;8;0;s;1.024,5;3\n", "relative_stability = 1.024,5: must be a finite"),
    "a thousand of points": (f"{SEMICOLONS}\nm;t;a;1,024;0;s;0,5;3\n", "train_size = 1.024: must be a whole"),
    "a decimal comma within quotes": (f'{HEAD}\nm,t,a,8,0,s,"0,5",3\n', "0,5: must .*; a decimal comma is read"),
    "an open quote": (f'{HEAD}\nm,"t,a,8,0,s,0.5,3\n', "cannot be read: line 2, unexpected end"),
    "nothing": ("", "cannot be read: it holds no header"),
    "comments alone": ("# a\n# b\n", "cannot be read: it holds no header"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_meant_is_told(kind: str, tmp_path: Path) -> None:
    content, message = REFUSED[kind]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / "t.csv")
    assert str(tmp_path / "t.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_of_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(latin(text()))
    with pytest.raises(InputError, match="its text must be UTF-8"):
        read_table(tmp_path / "t.csv")


def test_an_index_of_pandas_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS).set_index(["task", "train_size"])
    pd.testing.assert_frame_equal(validate_table(frame), RIGHT)
    pytest.importorskip("pyarrow", reason="pyarrow, of the extra `parquet`, is not installed")
    frame.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), RIGHT)


def test_columns_that_come_twice_in_a_frame_are_told() -> None:
    with pytest.raises(InputError, match="mine.csv = seed: the column comes twice"):
        validate_table(pd.concat([pd.DataFrame(ROWS), pd.DataFrame({"seed": range(4)})], axis=1), "mine.csv")
    with pytest.raises(InputError, match="table = 1: the column comes twice"):
        validate_table(pd.DataFrame(ROWS).assign(**{"1": 0}).join(pd.DataFrame({1: [0] * 4})))


@pytest.mark.parametrize("value", [True, 1j, [1], pd.Timestamp("2020-01-01"), pd.Timedelta("1s"), np.True_, b"1"])
def test_what_is_no_number_is_told(value: object) -> None:
    with pytest.raises(InputError, match="column relative_stability"):
        validate_table(pd.DataFrame([{**ROWS[0], "relative_stability": value}]))


ANY = st.text(st.characters(), min_size=1)  # surrogates and control characters, too


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(task=ANY, note=ANY, name=ANY, number=st.floats(0, 1e9))
def test_any_text_that_is_written_is_read_back(
    task: str, note: str, name: str, number: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Or is refused on writing, with what stood there before: half a surrogate pair is no text."""
    file = tmp_path_factory.mktemp("table") / "t.csv"
    file.write_text("before")
    row = {**ROWS[0], "task": task, f"x{name}": "n" + note, "seconds": number}
    if any("\ud800" <= sign <= "\udfff" for sign in task + note + name):
        with pytest.raises(InputError, match="no Unicode text"):
            write_table(pd.DataFrame([row]), file, digits=17)
        assert file.read_text() == "before"
        return
    write_table(pd.DataFrame([row]), file, digits=17)
    again = read_table(file)
    assert again["task"][0] == task
    assert again[f"x{name}"][0] == "n" + note
    assert again["seconds"][0] == number
