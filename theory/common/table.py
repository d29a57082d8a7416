"""The curve table: the one interface between theory, measurement and comparison.

Whoever produces R_f(P) emits rows of this table: a theory, a net trained on stripes or on images, a
published table, a user's own spreadsheet. One row is one measured net at one stage.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from theory.common.delimited import read_delimited, to_numbers
from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole

__all__ = [
    "COLUMNS",
    "DEFAULTS",
    "KEY",
    "REQUIRED",
    "SYMBOLS",
    "Column",
    "curve_table",
    "read_table",
    "require_table_path",
    "validate_table",
    "write_table",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its kind, whether it must be there, the range of its values and its meaning."""

    kind: Literal["text", "integer", "real"]
    meaning: str
    required: bool = False
    minimum: float = -np.inf
    maximum: float = np.inf


COLUMNS: Mapping[str, Column] = {
    "source": Column("text", "who produced the row: theory, stripe-net, images, published, ...", True),
    "task": Column("text", "what was learnt: stripe-d30, fashion-mnist, digits, ...", True),
    "architecture": Column("text", "one-hidden-h1000, lenet, resnet-small, ...", True),
    "variant": Column("text", "what else tells it apart, if not the usual: hinge, alpha=0.01, batch 8, ..."),
    "train_size": Column("integer", "P, number of training points", True, 1),
    "seed": Column("integer", "seed of the run", True, 0),
    "stage": Column("text", "initial, trained, or the unfit fraction as q=0.3", True),
    "layer": Column("text", "whose output was measured: layer1, layer2, ...; empty for the net's own output"),
    "average": Column("text", "average over images: mean, median, coordinate-median"),
    "cutoff": Column("integer", "c, largest mode number of the diffeomorphisms", minimum=2),
    "displacement": Column("real", "delta in pixels (images), |nu| (stripe)", minimum=0),
    "temperature": Column("real", "T of the diffeomorphisms", minimum=0),
    "diffeo_stability": Column("real", "D_f", minimum=0),
    "diffeo_stability_low": Column("real", "lower end of its interval", minimum=0),
    "diffeo_stability_high": Column("real", "upper end of its interval", minimum=0),
    "noise_stability": Column("real", "G_f", minimum=0),
    "noise_stability_low": Column("real", "lower end of its interval", minimum=0),
    "noise_stability_high": Column("real", "upper end of its interval", minimum=0),
    "relative_stability": Column("real", "R_f = D_f / G_f", True, 0),
    "relative_stability_low": Column("real", "lower end of its interval", minimum=0),
    "relative_stability_high": Column("real", "upper end of its interval", minimum=0),
    "synonym_stability": Column("real", "S_f, as D_f for an exchange of synonyms", minimum=0),
    "synonym_stability_low": Column("real", "lower end of its interval", minimum=0),
    "synonym_stability_high": Column("real", "upper end of its interval", minimum=0),
    "test_error": Column("real", "eps_t, fraction of test points misclassified", minimum=0, maximum=1),
    "train_error": Column("real", "fraction of training points misclassified", minimum=0, maximum=1),
    "unfit_fraction": Column("real", "q, fraction of training points within the margin", minimum=0, maximum=1),
    "compression": Column("real", "Lambda, ratio of weight along and across the stripe's direction", minimum=0),
    "folded_fraction": Column("real", "fraction of the fields used that fold", minimum=0, maximum=1),
    "train_loss": Column("real", "mean loss of the last epoch", minimum=0),
    "converged": Column("integer", "1 if training came to the loss that was asked for, else 0", minimum=0, maximum=1),
    "vocabulary": Column("integer", "v of a random hierarchy, number of symbols", minimum=2),
    "classes": Column("integer", "n_c of a random hierarchy", minimum=2),
    "synonyms": Column("integer", "m of a random hierarchy, tuples for each symbol", minimum=1),
    "branching": Column("integer", "s of a random hierarchy, informative children of a node", minimum=1),
    "sparsity": Column("integer", "s_0 of a random hierarchy, empty places for each informative one", minimum=0),
    "levels": Column("integer", "L of a random hierarchy", minimum=1),
    "seconds": Column("real", "wall time of the run", minimum=0),
}
REQUIRED = tuple(name for name, column in COLUMNS.items() if column.required)
#: No two rows of a table agree in all of these.
KEY = (
    "source", "task", "architecture", "variant", "train_size", "seed", "stage", "layer",
    "average", "cutoff", "displacement", "temperature",
)  # fmt: skip

#: The symbols of the papers, as names of columns; the ends of intervals as R_f_low and R_f_high.
SYMBOLS = {
    "P": "train_size", "R_f": "relative_stability", "D_f": "diffeo_stability", "G_f": "noise_stability",
    "S_f": "synonym_stability", "eps_t": "test_error",
}  # fmt: skip
SYMBOLS |= {
    f"{symbol}{end}": f"{name}{end}"
    for symbol, name in SYMBOLS.items() for end in ("_low", "_high") if f"{name}{end}" in COLUMNS
}  # fmt: skip
#: What a required column holds where a table has no such column.
DEFAULTS: Mapping[str, Any] = {"seed": 0, "stage": "trained"}

#: Names that `source` had in older tables, and what they are now.
_OLD_SOURCES = {"image-net": "images"}
_DTYPES = {"text": "str", "integer": "Int64", "real": "float64"}


def curve_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows (mappings from column names to values) as a valid curve table; absent columns become empty."""
    rows = list(rows)
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(REQUIRED))
    return validate_table(frame)


def validate_table(table: pd.DataFrame, origin: str = "table", *, origins: Sequence[str] | None = None) -> pd.DataFrame:
    """A copy of `table` with every column of the schema, in order, typed; further columns come last.

    Columns may have the symbols of the papers for names (`SYMBOLS`: P, R_f, ...). Without a column `seed` all rows are
    of seed 0, without a column `stage` of trained nets. The source "image-net" of older tables, nets on any images and
    not on ImageNet, becomes "images". Columns of the schema that pandas keeps in the table's index are taken from
    there.

    Raises
    ------
    InputError
        If a column comes twice, a required one is absent or has gaps, a value is of the wrong kind or out of range, or
        two rows agree in all columns of `KEY`. The message names `origin`, the column and the first bad value; of two
        rows that agree, also where they come from, if `origins` tells the file of each row.
    """
    indexed = [name for name in table.index.names if name in {*COLUMNS, *SYMBOLS} and name not in table.columns]
    if indexed:
        table = table.reset_index(level=indexed)
    table = table.rename(columns={old: new for old, new in SYMBOLS.items() if new not in table.columns})
    names = pd.Index(map(str, table.columns))
    if names.has_duplicates:
        raise InputError(origin, names[names.duplicated()][0], "the column comes twice")
    missing = [name for name in REQUIRED if name not in table.columns and name not in DEFAULTS]
    if missing:
        header = ", ".join(names)
        hint = "; columns must be separated by commas, semicolons or tabs" if len(names) == 1 else ""
        raise InputError(origin, header, f"lacks the columns {', '.join(missing)}{hint}")
    columns: dict[str, pd.Series] = {}
    for name, column in COLUMNS.items():
        if name in table.columns:
            columns[name] = _typed(table[name], name, column, origin)
        else:
            gap: Any = "" if column.kind == "text" else (pd.NA if column.kind == "integer" else np.nan)
            value = DEFAULTS.get(name, gap)
            columns[name] = pd.Series([value] * len(table), index=table.index, dtype=_DTYPES[column.kind])
    columns["source"] = columns["source"].replace(_OLD_SOURCES)
    extra = {str(name): table[name] for name in table.columns if name not in COLUMNS}
    valid = pd.DataFrame({**columns, **extra}).reset_index(drop=True)
    twice = valid.duplicated(subset=list(KEY))
    if twice.any():
        second = int(np.argmax(twice))
        first = int(np.argmax(_same_key(valid, second)))
        where = [] if origins is None else list(dict.fromkeys(origins[i] for i in (first, second)))
        files = f" of {' and '.join(where)}" if where else ""
        told = "a column seed tells repeats apart, a column variant what was made in another way (batch 8, say)"
        raise InputError(origin, _row_words(valid.iloc[second]), f"two rows{files} are the same: {told}")
    return valid


def _same_key(valid: pd.DataFrame, row: int) -> pd.Series:
    """Which rows agree with that one in all of `KEY`, gaps being alike."""
    numbers = valid.groupby(list(KEY), dropna=False, sort=False).ngroup()
    return numbers == numbers.iloc[row]


def _row_words(row: pd.Series) -> str:
    """A row by what tells it from others, in a few words."""
    words = [*(row[name] for name in ("source", "task", "architecture", "variant")), f"train_size {row['train_size']}",
             f"seed {row['seed']}", row["stage"]]  # fmt: skip
    return ", ".join(word for word in words if word)


def _typed(values: pd.Series, name: str, column: Column, origin: str) -> pd.Series:
    """`values` in the column's type, checked against its range."""
    where = f"{origin}, column {name}"
    if column.kind == "text":
        text = values.astype("object").where(values.notna(), "").astype("str")
        if column.required and (text == "").any():
            raise InputError(where, "", "must not be empty")
        return text
    numbers = _numbers(values)
    known = numbers.to_numpy()  # arrays: tables of simulations are checked by the hundred
    there = np.isfinite(known)
    wrong = np.isnan(known) & values.notna().to_numpy() | np.isinf(known)
    if column.kind == "integer":
        wrong |= there & (known != np.round(known))
    if column.required:
        wrong |= np.isnan(known)
    # Whole numbers beyond 2^53 are not exact in the floating point that tables are read through.
    maximum = min(column.maximum, 2.0**53) if column.kind == "integer" else column.maximum
    wrong |= there & ((known < column.minimum) | (known > maximum))
    if wrong.any():
        kind = {"integer": "a whole number", "real": "a finite number"}[column.kind]
        bounds = "".join(
            f", {words} {bound:g}"
            for words, bound in (("at least", column.minimum), ("at most", maximum))
            if np.isfinite(bound)
        )
        first = str(values[wrong].iloc[0])
        decimal = first.count(",") == 1 and first.replace(",", "").strip().isdigit() and column.kind == "real"
        hint = "; a decimal comma is read where columns are separated by semicolons or tabs" if decimal else ""
        raise InputError(where, first, f"must be {kind}{bounds}{hint}")
    return numbers.astype("Int64") if column.kind == "integer" else numbers


def _numbers(values: pd.Series) -> pd.Series:
    """In double precision, and NaN for all that is no number: dates and truth values are none, nor are lists."""
    known = pd.api.types
    kinds = (known.is_bool_dtype, known.is_complex_dtype, known.is_datetime64_any_dtype, known.is_timedelta64_dtype)
    if any(is_kind(values.dtype) for is_kind in kinds):
        return pd.Series(np.nan, index=values.index)
    if not known.is_numeric_dtype(values.dtype):
        allowed = (str, Real, Decimal)
        values = values.map(lambda one: one if isinstance(one, allowed) and not isinstance(one, bool) else None)
    return to_numbers(values).astype("float64")


_WRITTEN = (".csv", ".parquet")


def require_table_path(parameter: str, path: str | Path) -> Path:
    """`path` if a table can be written there, asked before a long computation; InputError otherwise."""
    target = Path(path)
    if target.suffix not in _WRITTEN:
        raise InputError(parameter, str(path), "must end in .csv or .parquet")
    return require_writable_parent(parameter, target)


def read_table(path: str | Path) -> pd.DataFrame:
    """A curve table from delimited text (.csv, .tsv, or either with .gz) or from a Parquet file.

    Columns may have the papers' symbols for names, and seed and stage may be absent, see `validate_table`. Leading
    lines that start with ``#`` are comments. Semicolons, tabs, decimal commas and byte-order marks are read as
    spreadsheets write them, see `theory.common.delimited`. Text stays text: a task called NA, or 007, is meant so.

    Raises
    ------
    InputError
        If the file is not there, cannot be parsed, or does not hold a valid curve table.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError("table", str(path), "no such file")
    kind = source.with_suffix("").suffix.lower() if source.suffix.lower() == ".gz" else source.suffix.lower()
    if kind not in (".csv", ".tsv") and source.suffix.lower() != ".parquet":
        raise InputError("table", str(path), "must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet")
    if kind == ".parquet":
        return validate_table(_read_parquet(source), origin=str(path))
    numbers = [name for name, column in COLUMNS.items() if column.kind != "text"]
    texts = [name for name in COLUMNS if name not in numbers]
    needed = [name for name in REQUIRED if name not in DEFAULTS]
    try:
        table = read_delimited(source, [*numbers, *SYMBOLS], needed, texts, SYMBOLS)
    except OSError as error:
        raise InputError("table", str(path), f"cannot be read ({error.strerror or error})") from error
    return validate_table(table, origin=str(path))


def _read_parquet(source: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(source)
    except ImportError as error:
        raise InputError("table", str(source), "Parquet files need `pip install 'relstab[parquet]'`") from error
    except Exception as error:  # a damaged file makes pyarrow raise errors of many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("table", str(source), f"cannot be read ({reason})") from error


def write_table(table: pd.DataFrame, path: str | Path, comment: str = "", digits: int = 7) -> Path:
    """Validate `table` and write it to a .csv or .parquet file, whole or not at all; return the path.

    Columns without any value are left out. `comment` (one or more lines, CSV only) goes in front, each
    line behind a ``#``: the command that made the table, say. `digits` are those of the numbers in a CSV; 17
    keep every bit.
    """
    target = require_table_path("table", path)
    valid = validate_table(table)
    _require_unicode(valid, target)
    filled = [name for name in valid.columns if name in REQUIRED or (valid[name].notna() & (valid[name] != "")).any()]
    slim = valid[filled]

    def write(aside: Path) -> None:
        if target.suffix == ".parquet":
            slim.to_parquet(aside, index=False)
            return
        with aside.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(f"# {line}\n" for line in comment.splitlines())
            # Of line ends within a text `csv` quotes only the one that it writes itself.
            quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if _has_returns(slim) else csv.QUOTE_MINIMAL
            slim.to_csv(stream, index=False, float_format=f"%.{digits}g", lineterminator="\n", quoting=quoting)

    try:
        return write_whole(target, write)
    except ImportError as error:
        raise InputError("table", str(path), "Parquet files need `pip install 'relstab[parquet]'`") from error


def _texts(table: pd.DataFrame) -> list[pd.Series]:
    """All that is text: the columns' names, and their values."""
    held = [table[name] for name in table.columns if table[name].dtype == "object" or table[name].dtype == "str"]
    return [pd.Series(table.columns.map(str)), *(values.astype("object").map(str) for values in held)]


def _has_returns(table: pd.DataFrame) -> bool:
    return any(values.str.contains("\r", regex=False).any() for values in _texts(table))


def _require_unicode(table: pd.DataFrame, target: Path) -> None:
    """Half a surrogate pair, as a broken file name leaves it, has no place in a file of text."""
    for values in _texts(table):
        for text in values:
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                allowed = f"cannot be written to {target.name}: is no Unicode text"
                raise InputError("table", repr(text), allowed) from error
