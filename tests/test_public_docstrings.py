"""What is public says what it is; what is public in `compare` also what it takes, and has an example."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

PACKAGES = ("theory", "empirical", "compare")
#: Headings under which a docstring says what is taken.
_TAKEN = ("Parameters", "Attributes")


def own_docstring(value: Any) -> str:
    """Its own and not its parent's; nothing for the field list that a dataclass gets where nothing was written."""
    text = inspect.cleandoc(vars(value).get("__doc__") or "" if inspect.isclass(value) else value.__doc__ or "")
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text


def takes(value: Any) -> list[str]:
    """Names of its parameters, without the object itself; an enumeration has members and no parameters."""
    if inspect.isclass(value) and issubclass(value, Enum):
        return []
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def headings(text: str) -> set[str]:
    """The words that are underlined over their whole length."""
    lines = text.splitlines()
    return {word for word, line in pairwise(lines) if word and line == "-" * len(word)}


def methods(value: type) -> Iterator[tuple[str, Any]]:
    """The public functions and properties that its own class or one of ours gives it."""
    for base in value.__mro__:
        if base.__module__.split(".")[0] not in PACKAGES and base is not value:
            continue
        for name, member in vars(base).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function):
                yield name, function


def unsaid(names: Mapping[str, Any]) -> list[str]:
    """Classes and functions without a docstring."""
    return [name for name, value in names.items() if callable(value) and not own_docstring(value)]


@dataclass(frozen=True)
class Lack:
    """What the docstring of a public name lacks."""

    name: str
    what: str


def shown(value: Any, names: Mapping[str, Any]) -> bool:
    """Whether there is an example, in its own docstring or in that of the function that makes it, which it names."""
    text = own_docstring(value)
    makers = [maker for name, maker in names.items() if f"`{name}`" in text and inspect.isfunction(maker)]
    return ">>> " in text or (inspect.isclass(value) and any(">>> " in own_docstring(maker) for maker in makers))


def lacks(names: Mapping[str, Any]) -> list[Lack]:
    """Examples, and headings where something is taken, that classes and functions lack, and their methods."""
    found = []
    for name, value in names.items():
        if not callable(value):
            continue
        text = own_docstring(value)
        if not shown(value, names):
            found.append(Lack(name, "an example"))
        if takes(value) and not headings(text).intersection(_TAKEN):
            found.append(Lack(name, "Parameters or Attributes"))
        for method, function in methods(value) if inspect.isclass(value) else ():
            said = own_docstring(function)
            if not said:
                found.append(Lack(f"{name}.{method}", "a docstring"))
            elif takes(function) and "Parameters" not in headings(said):
                found.append(Lack(f"{name}.{method}", "Parameters"))
    return found


def unnamed(names: Mapping[str, Any]) -> list[str]:
    """Parameters of classes and functions that no line ``name : meaning`` of the docstring names."""
    found = []
    for name, value in names.items():
        pairs = [line.split(" : ")[0] for line in own_docstring(value).splitlines() if " : " in line]
        named = {word for pair in pairs for word in pair.split(", ")}
        found += [f"{name}: {each}" for each in takes(value) if not each.startswith("_") and each not in named]
    return found


def public(package: str) -> dict[str, Any]:
    if package == "empirical":
        pytest.importorskip("torchvision", reason="torch and torchvision are not installed")
    module = import_module(package)
    return {name: getattr(module, name) for name in module.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str) -> None:
    names = public(package)
    assert sum(map(callable, names.values())) > 20
    assert unsaid(names) == []


def test_compare_says_what_it_takes_and_shows_an_example() -> None:
    assert lacks(public("compare")) == []


def test_each_parameter_of_compare_is_named() -> None:
    """A heading that leaves one out says too little."""
    assert unnamed(public("compare")) == []


@dataclass
class _Silent:
    size: int

    def grow(self, by: int) -> None: ...


class _Heir(ValueError):
    pass


def _making() -> None:
    """Made here.

    >>> 1 + 1
    2
    """


class _Made:
    """See `making`."""


def _bare(table: object) -> None:
    """Fit a table.

    Parameters of it are not told.
    """


def test_what_lacks_is_found() -> None:
    """Control: a dataclass's field list, a parent's docstring, and a word that is no heading count for nothing."""
    names = {"Silent": _Silent, "Heir": _Heir, "bare": _bare, "SIZE": 3}
    assert unsaid(names) == ["Silent", "Heir"]
    assert lacks({"bare": _bare}) == [Lack("bare", "an example"), Lack("bare", "Parameters or Attributes")]
    assert unnamed({"bare": _bare}) == ["bare: table"]
    assert lacks({"Made": _Made, "making": _making}) == []
    assert lacks({"Made": _Made}) == [Lack("Made", "an example")]
    assert Lack("Made", "an example") in lacks({"Made": _Made, "making": takes})  # a maker without an example
    assert Lack("Silent.grow", "a docstring") in lacks({"Silent": _Silent})
