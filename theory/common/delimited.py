"""Tables of delimited text as programs write them: spreadsheets, R, Julia, numpy, databases, pandas."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from theory.common.errors import InputError

__all__ = ["decoded", "read_delimited", "to_numbers"]

#: Byte-order marks and what they mark; the longer first, as UTF-32's begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_DELIMITERS = (",", ";", "\t")
_GAPS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None")
_COMMA_NUMBER = r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*"
_POINT_NUMBER = r"\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*"


def decoded(parameter: str, file: Path, content: bytes) -> str:
    """The text in a file's bytes: UTF-8, or what its byte-order mark says; InputError otherwise."""
    try:
        for mark, encoding in _MARKS:
            if content.startswith(mark):
                return content[len(mark) :].decode(encoding)
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"cannot be read: its text must be UTF-8 ({error.reason} at byte {error.start})"
        raise InputError(parameter, str(file), reason) from error


def read_delimited(
    file: Path,
    numbers: Collection[str],
    required: Collection[str],
    texts: Collection[str],
    symbols: Mapping[str, str],
) -> pd.DataFrame:
    """The columns of a table: those of `numbers` as text with gaps as None, those of `texts` as the text that they are.

    All others become numbers where they hold such alone.

    Fields are separated by commas, semicolons or tabs, whichever splits the header into most of the `required` names,
    or of the `symbols` that stand for them.
    Where it is not the comma, a comma in a number is the decimal comma. A file may be compressed by gzip, begin with a
    byte-order mark, with lines of comments behind #, or with a spreadsheet's ``sep=``, and end its lines as it likes.
    Rows without any value, and delimiters at the end of each line, are no data.

    Raises
    ------
    InputError
        If the file cannot be read, a row has more fields than the header, a column comes twice, or numbers are written
        with decimal points and with decimal commas.
    """
    lines = _lines(_content(file), file)
    skipped, delimiter = _beginning(lines, required, symbols)
    if skipped and not set(required) & set(_names(lines[skipped : skipped + 1], delimiter, symbols)):
        above = lines[skipped - 1].lstrip("# ")
        # The header may stand behind a comment's sign, as numpy writes it.
        if set(required) <= set(_names([above], delimiter, symbols)):
            skipped, lines = skipped - 1, [*lines[: skipped - 1], above, *lines[skipped:]]
    rows = list(_rows(lines[skipped:], delimiter, file, skipped))
    if not rows:
        raise InputError("table", str(file), "cannot be read: it holds no header")
    header = [name.strip() if name.strip() in {*numbers, *texts} else name for name in rows[0][1]]
    frame = _frame(header, rows[1:], file)
    if delimiter != ",":
        frame = _with_points(frame, numbers, file)
    return pd.DataFrame(
        {
            name: values.where(~values.str.strip().isin(_GAPS), None)
            if name in numbers
            else values if name in texts else _inferred(values)
            for name, values in frame.items()
        }
    )  # fmt: skip


def _content(file: Path) -> bytes:
    if file.suffix.lower() != ".gz":
        return file.read_bytes()
    try:
        return gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("table", str(file), f"cannot be read: it is no whole gzip file ({error})") from error


def _lines(content: bytes, file: Path) -> list[str]:
    """With their ends, so that a line's end within quotes stays what it is."""
    return io.StringIO(decoded("table", file, content), newline="").readlines()


def _beginning(lines: Sequence[str], required: Collection[str], symbols: Mapping[str, str]) -> tuple[int, str]:
    """How many lines stand above the header, and the delimiter."""
    skipped = 0
    told = ""
    while skipped < len(lines) and (lines[skipped].startswith("#") or not lines[skipped].strip()):
        skipped += 1
    if skipped < len(lines) and (mark := re.fullmatch(r'"?sep=(.)"?\s*', lines[skipped])):
        skipped, told = skipped + 1, mark[1]
    header = lines[skipped : skipped + 1]
    if told in _DELIMITERS or not header:
        return skipped, told or ","
    # Of a header behind # the names are those of the line above.
    shown = header if skipped == 0 else [*header, lines[skipped - 1].lstrip("# ")]
    found = {sign: sum(len(set(required) & set(_names([one], sign, symbols))) for one in shown) for sign in _DELIMITERS}
    return skipped, max(_DELIMITERS, key=lambda sign: found[sign])


def _names(header: Sequence[str], delimiter: str, symbols: Mapping[str, str]) -> list[str]:
    """The names in a header; of a symbol the name that it stands for."""
    names = [name.strip().strip('"').strip() for line in header for name in line.split(delimiter)]
    return [symbols.get(name, name) for name in names]


def _rows(lines: Sequence[str], delimiter: str, file: Path, skipped: int) -> list[tuple[int, list[str]]]:
    """Rows that hold a value, with the number of the line that they end on."""
    # A return alone ends a line, too: old spreadsheets write it. `csv` wants whole lines, and keeps ends within quotes.
    names = lines[0].split(delimiter)[1:] if lines else []
    spaced = bool(names) and all(name.startswith(" ") for name in names)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=spaced)
    found = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                found.append((skipped + reader.line_num, row))
    except csv.Error as error:
        raise InputError("table", str(file), f"cannot be read: line {skipped + reader.line_num}, {error}") from error
    return found


def _frame(header: Sequence[str], rows: Sequence[tuple[int, list[str]]], file: Path) -> pd.DataFrame:
    """All fields as text; a row that ends early has gaps at its end."""
    width = len(header)
    for number, row in rows:
        if any(field.strip() for field in row[width:]):
            allowed = f"cannot be read: line {number} has {len(row)} fields, the header {width}"
            raise InputError("table", str(file), allowed)
    columns: dict[str, list[str]] = {}
    for position, name in enumerate(header):
        values = [row[position] if position < len(row) else "" for _, row in rows]
        if not name.strip() and not any(value.strip() for value in values):
            continue  # delimiters at the end of the lines
        if name in columns:
            raise InputError("table", str(file), f"the column {name!r} comes twice")
        columns[name] = values
    return pd.DataFrame(columns, dtype="object")


def _with_points(frame: pd.DataFrame, numbers: Collection[str], file: Path) -> pd.DataFrame:
    """Decimal commas as points; InputError where both are used, as a thousand may then look like one."""
    told: dict[str, str] = {}
    changed = frame.copy()
    for name in [name for name in frame.columns if name in numbers]:
        values = frame[name]
        for kind, pattern in (("comma", _COMMA_NUMBER), ("point", _POINT_NUMBER)):
            of_kind = values[values.str.fullmatch(pattern)]
            if len(of_kind):
                told.setdefault(kind, str(of_kind.iloc[0]))
        # What has more than one sign in it is left as it is, and is refused as no number.
        changed[name] = values.where(~values.str.fullmatch(_COMMA_NUMBER), values.str.replace(",", "."))
    if len(told) == 2:
        raise InputError("table", str(file), f"has decimal commas and decimal points: {told['comma']}, {told['point']}")
    return changed


def to_numbers(values: pd.Series) -> pd.Series:
    """As `pandas.to_numeric`, NaN for what is no number; text to the last bit, where pandas before 3.1 may miss it."""
    numbers = pd.to_numeric(values, errors="coerce")
    if pd.api.types.is_numeric_dtype(values.dtype) or not pd.api.types.is_float_dtype(numbers.dtype):
        return numbers
    there = numbers.notna()
    return numbers.where(~there, values[there].map(float))


def _inferred(values: pd.Series) -> pd.Series:
    """A column beyond the schema: numbers or truth values where all that is there is such, else the text as it is."""
    given = values[values != ""]
    if not len(given):
        return values
    numbers = to_numbers(given)
    if numbers.notna().all():
        return to_numbers(values)
    if given.isin(["True", "False"]).all() and len(given) == len(values):
        return values == "True"
    return values
