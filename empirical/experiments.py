"""Experiments as TOML files: grids of runs, written by hand."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from empirical.config import ImageConfig, StripeConfig
from empirical.theory_runs import TheoryConfig
from theory.errors import InputError, require_choice, require_integer

__all__ = ["Config", "Experiment", "read_experiments"]

Config = ImageConfig | StripeConfig | TheoryConfig
_KINDS: dict[str, type[Config]] = {kind.kind: kind for kind in (ImageConfig, StripeConfig, TheoryConfig)}
_LISTS = ("unfit_fractions", "noise_norms")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A grid: every architecture at every training-set size with every seed, all else as in `base`.

    `architectures` empty means that of `base`; the stripe has but one. Runs are ordered seed by seed, so that
    a cut sweep holds whole curves of the first seeds.

    Raises
    ------
    InputError
        If train_sizes or seeds are empty or not whole numbers, or architectures are given for the stripe.
    """

    base: Config
    train_sizes: tuple[int, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    architectures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, minimum in (("train_sizes", 1), ("seeds", 0)):
            values = tuple(getattr(self, name))
            if not values:
                raise InputError(name, values, "must name at least one")
            object.__setattr__(self, name, tuple(require_integer(name, value, minimum) for value in values))
        object.__setattr__(self, "architectures", tuple(self.architectures))
        if not all(isinstance(name, str) for name in self.architectures):
            raise InputError("architectures", self.architectures, "must be names")
        if self.architectures and not isinstance(self.base, ImageConfig):
            raise InputError("architectures", self.architectures, "the stripe has one architecture; leave it out")

    def configs(self) -> list[Config]:
        """The configurations of all runs, large train sizes first within a seed (they take longest)."""
        sizes = sorted(set(self.train_sizes), reverse=True)
        if not isinstance(self.base, ImageConfig):
            return [replace(self.base, train_size=p, seed=s) for s, p in product(self.seeds, sizes)]
        nets = self.architectures or (self.base.architecture,)
        return [
            replace(self.base, train_size=p, seed=s, architecture=net)
            for s, p, net in product(self.seeds, sizes, nets)
        ]


def read_experiments(path: str | Path) -> list[Experiment]:
    """The ``[[experiment]]`` tables of a TOML file.

    Each has ``kind`` (image, stripe or theory), ``train_sizes``, ``seeds``, for images ``architectures``, and any field
    of `ImageConfig`, `StripeConfig` or `TheoryConfig` that is to differ from its default.

    Raises
    ------
    InputError
        If the file is absent or no TOML, holds no experiment, or a key or value is not allowed: with its line.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError("file", str(path), "no such file")
    try:
        text = source.read_text(encoding="utf-8")
        tables = tomllib.loads(text).get("experiment")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("file", str(path), f"is not TOML ({error})") from error
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError("file", str(path), "holds no [[experiment]]")
    found = []
    for place, table in enumerate(tables):
        try:
            found.append(_experiment(table))
            found[-1].configs()  # each must be allowed, too
        except InputError as error:
            line = _line(text, place, error.parameter)
            raise InputError(f"{source.name}, line {line}: {error.parameter}", error.value, error.allowed) from error
    return found


def _line(text: str, place: int, key: str) -> int:
    """Where the key of the experiment at this place stands; where the experiment begins if it does not."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*experiment\s*\]\]", line)]
    if place >= len(starts):
        return 1  # written in a way of its own, as an inline array
    end = starts[place + 1] if place + 1 < len(starts) else len(lines)
    for number in range(starts[place], end):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", lines[number]):
            return number + 1
    return starts[place] + 1


def _experiment(table: dict[str, Any]) -> Experiment:
    kind = _KINDS[require_choice("kind", table.get("kind"), tuple(_KINDS))]
    grid = {"train_sizes", "seeds", "architectures"}
    own = {item.name for item in fields(kind)} - {"train_size", "seed"}
    for key, value in table.items():
        if key not in own | grid | {"kind"}:
            raise InputError(key, value, "is no key of an experiment; those are " + ", ".join(sorted(own | grid)))
        if isinstance(value, list) != (key in grid or key in _LISTS):
            raise InputError(key, value, "must not be a list" if isinstance(value, list) else "must be a list")
        if key in ("dataset", "architecture", "loss", "average") and not isinstance(value, str):
            raise InputError(key, value, "must be text")
    if "train_sizes" not in table:
        raise InputError("train_sizes", None, "an experiment must name at least one")
    settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items() if key in own}
    sizes = [require_integer("train_sizes", size, 1) for size in table["train_sizes"]]
    base = kind(train_size=max(sizes, default=1), **settings)
    return Experiment(base, **{key: tuple(table[key]) for key in grid & table.keys()})
