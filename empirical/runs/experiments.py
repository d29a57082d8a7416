"""Experiments as TOML files: grids of runs, written by hand."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from empirical.runs.kinds import KINDS, kind_of
from empirical.training.config import Config
from theory.common.delimited import decoded
from theory.common.errors import InputError, require_choice, require_integer

__all__ = ["GRID", "Config", "Experiment", "located", "read_experiments"]

#: The lists of a grid, by the field of one configuration that each is for.
GRID = {"train_size": "train_sizes", "seed": "seeds", "architecture": "architectures"}
#: What values of a TOML file are called, by their type; dates have several.
_WORDS = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list", dict: "a table"}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where an experiment stands in a file: the line it begins at, and those of the keys that are written there."""

    file: str
    begin: int
    keys: dict[str, int]

    def told(self, error: InputError) -> InputError:
        """The error with file and line: those of its key or, where that is not written, of the experiment."""
        name = error.parameter
        written = [key for key in (GRID.get(name), name) if key in self.keys]
        line = self.keys[written[0]] if written else self.begin
        return InputError(f"{self.file}, line {line}: {name}", error.value, error.allowed)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A grid: every architecture at every training-set size with every seed, all else as in `base`.

    All three are sequences, of a single one too: ``(16,)``, ``("lenet",)``. `architectures` empty means that of
    `base`; the stripe has but one. Runs are ordered seed by seed, so that a cut sweep holds whole curves of the first
    seeds. `origin` says where in a file it stands (see `located`); grids are equal whatever theirs.

    Raises
    ------
    InputError
        If one of the three is no sequence, or a text; train_sizes or seeds are empty or not whole numbers; or
        architectures are not names, or given for the stripe.
    """

    base: Config
    train_sizes: tuple[int, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    architectures: tuple[str, ...] = ()
    origin: _Origin | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        for name in GRID.values():
            object.__setattr__(self, name, _several(name, getattr(self, name)))
        for name, minimum in (("train_sizes", 1), ("seeds", 0)):
            values = getattr(self, name)
            if not values:
                raise InputError(name, values, "must name at least one")
            object.__setattr__(self, name, tuple(require_integer(name, value, minimum) for value in values))
        if not all(isinstance(name, str) for name in self.architectures):
            raise InputError("architectures", self.architectures, "must be names")
        if self.architectures and not kind_of(self.base).has_architectures:
            raise InputError("architectures", self.architectures, f"a {self.base.kind} run has one; leave it out")

    def configs(self) -> list[Config]:
        """The configurations of all runs, large train sizes first within a seed (they take longest)."""
        sizes = sorted(set(self.train_sizes), reverse=True)
        nets: list[dict[str, str]] = [{"architecture": net} for net in self.architectures] or [{}]
        return [replace(self.base, train_size=p, seed=s, **net) for s, p, net in product(self.seeds, sizes, nets)]


def _several(name: str, value: Any) -> tuple[Any, ...]:
    """The values as a tuple. A text would be one of letters, which nobody means."""
    try:
        if not isinstance(value, str):
            return tuple(value)
    except TypeError:
        pass
    raise InputError(name, value, f"must be a sequence, ({value!r},) for a single one")


def located(experiment: Experiment, error: InputError) -> InputError:
    """`error`, which one of the experiment's configurations met, with the file and the line that it comes from.

    It is given back as it is if the experiment was made in Python, or the error is about none of its settings (the
    folder of the data sets, say).
    """
    settings = {item.name for item in fields(experiment.base)} | set(GRID.values())
    if experiment.origin is None or error.parameter not in settings:
        return error
    return experiment.origin.told(error)


def read_experiments(path: str | Path) -> list[Experiment]:
    """The ``[[experiment]]`` tables of a TOML file, which holds nothing else at its top level.

    Each has ``kind`` (see `empirical.runs.kinds`), ``train_sizes``, ``seeds``, for images ``architectures``, and any
    field of the kind's configuration that is to differ from its default.

    Raises
    ------
    InputError
        If the file is absent or no TOML, holds no experiment, or a key or value is not allowed: with its line.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError("file", str(path), "no such file")
    try:
        text = decoded("file", source, source.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
        content = tomllib.loads(text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # no TOML, a number of thousands of digits, lists in lists in lists
        raise InputError("file", str(path), f"is not TOML ({error})") from error
    lines = text.split("\n")
    _require_nothing_else(source.name, lines, content)
    tables = content.get("experiment")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError("file", str(path), "holds no [[experiment]]")
    found = []
    for origin, table in zip(_origins(source.name, lines, tables), tables, strict=True):
        try:
            experiment = _experiment(table, origin)
            experiment.configs()  # each must be allowed, too
        except InputError as error:
            raise origin.told(error) from error
        found.append(experiment)
    return found


def _line(lines: list[str], pattern: str) -> int:
    """The first line that begins with the pattern, counted from 1; 0 if none does."""
    return next((number for number, line in enumerate(lines, 1) if re.match(pattern, line)), 0)


def _name(key: str) -> str:
    return rf"\s*[\"']?{re.escape(key)}[\"']?\s*"


def _require_nothing_else(file: str, lines: list[str], content: dict[str, Any]) -> None:
    """InputError if there is more than experiments at the top level: a misspelt table, or a key above the first."""
    for key, value in content.items():
        if key != "experiment":
            table = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value))
            line = _line(lines, rf"\s*\[\[?{_name(key)}[\].]") or _line(lines, _name(key) + "[=.]") or 1
            allowed = "is not read; a file holds [[experiment]] tables, and all else below one of these"
            raise InputError(f"{file}, line {line}: {key}", "a table" if table else value, allowed)


def _origins(file: str, lines: list[str], tables: list[dict[str, Any]]) -> list[_Origin]:
    """Where the experiments of a file stand."""
    header = rf"\s*\[\[{_name('experiment')}\]\]"
    starts = [number for number, line in enumerate(lines, 1) if re.match(header, line)]
    if len(starts) != len(tables):  # written in a way of its own, as an inline array
        return [_Origin(file, _line(lines, _name("experiment") + "=") or 1, {})] * len(tables)
    origins = []
    for begin, end, table in zip(starts, [*starts[1:], len(lines) + 1], tables, strict=True):
        below = {key: _line(lines[begin : end - 1], _name(key) + "[=.]") for key in table}
        origins.append(_Origin(file, begin, {key: begin + line for key, line in below.items() if line}))
    return origins


def _require_kind(key: str, value: Any, hint: Any) -> None:
    """InputError if a value is of another kind than its field: `float` takes "0.1" and true for numbers."""
    several = get_origin(hint) is tuple
    if isinstance(value, list) != several:
        raise InputError(key, value, "must be a list" if several else "must not be a list")
    wanted = next((_WORDS[part] for part in get_args(hint) or (hint,) if part in _WORDS), "text")  # of a Literal
    for one in value if several else [value]:
        given = _WORDS.get(type(one), "a date")
        if given != wanted:
            raise InputError(key, one, f"must be {wanted}, not {given}")


def _experiment(table: dict[str, Any], origin: _Origin) -> Experiment:
    kind = KINDS[require_choice("kind", table.get("kind"), tuple(KINDS))]
    own = {item.name for item in fields(kind.config)} - {"train_size", "seed"}
    grid = set(GRID.values())
    hints = get_type_hints(kind.config) | get_type_hints(Experiment)
    for key, value in table.items():
        if key not in own | grid | {"kind"}:
            raise InputError(key, value, "is no key of an experiment; those are " + ", ".join(sorted(own | grid)))
        if key != "kind":
            _require_kind(key, value, hints[key])
    if "train_sizes" not in table:
        raise InputError("train_sizes", None, "an experiment must name at least one")
    settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items() if key in own}
    sizes = [require_integer("train_sizes", size, 1) for size in table["train_sizes"]]
    base = kind.completed(kind.config(train_size=max(sizes, default=1), **settings))
    return Experiment(base, **{key: tuple(table[key]) for key in grid & table.keys()}, origin=origin)
