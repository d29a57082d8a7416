"""Settings that are one of a few words: their type, a `Literal`, is the one place that says which."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from theory.common.errors import require_choice

__all__ = ["choices", "require_choices"]


def choices(hint: Any) -> tuple[str, ...]:
    """The words that a type allows, besides None; none if it is no `Literal`."""
    if get_origin(hint) in (Union, UnionType):
        others = [part for part in get_args(hint) if part is not NoneType]
        hint = others[0] if len(others) == 1 else None
    return get_args(hint) if get_origin(hint) is Literal else ()


@cache
def _choices_by_name(config: Hashable) -> dict[str, tuple[str, ...]]:
    found = {name: choices(hint) for name, hint in get_type_hints(config).items()}
    return {name: words for name, words in found.items() if words}


def require_choices(config: Any) -> None:
    """InputError if a setting of the dataclass is none of the words that its type allows."""
    for name, words in _choices_by_name(config.__class__).items():
        require_choice(name, getattr(config, name), words)
