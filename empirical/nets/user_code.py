"""Functions of a user's own, by name: package.module:function."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from theory.common.errors import InputError

__all__ = ["asked_for", "failing", "keyword_arguments", "load_function", "required"]


def failing(parameter: str, name: str, what: str, error: Exception) -> InputError:
    """What a user's own code raised, as an error of one line; `what` says what it failed at."""
    return InputError(parameter, name, " ".join(f"{what}: {type(error).__name__}: {error}".split()))


def asked_for(function: Callable[..., Any], known: Mapping[str, int]) -> dict[str, int]:
    """Of `known` values those that the function has a parameter of that name for."""
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some callables have none
        return {}
    return {name: value for name, value in known.items() if name in names}


def required(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters that the function cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [one.name for one in parameters if one.default is one.empty and one.kind in named]


def keyword_arguments(parameter: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Of depth=20, act=relu, widths=[16,32], ... a dictionary: values as Python writes them, or else text.

    Raises
    ------
    InputError
        Of what is no NAME=VALUE, or a name that comes twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (equals and name.isidentifier()) or name in found:
            raise InputError(parameter, pair, "must be NAME=VALUE, each name once")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


def load_function(parameter: str, name: str) -> Callable[..., Any]:
    """The function called `name`, module:function, from the current folder or what is installed.

    Raises
    ------
    InputError
        If the name has no colon, the module cannot be imported, or it holds no such function.
    """
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise InputError(parameter, name, "must be package.module:function")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        home = import_module(module)
    except Exception as error:  # whatever a user's module raises while it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(parameter, name, f"its module cannot be imported ({reason})") from error
    finally:
        if added:
            sys.path.remove(here)
    found = getattr(home, function, None)
    if not callable(found):
        raise InputError(parameter, name, f"must be a function of {module}")
    result: Callable[..., Any] = found
    return result
