"""Options of a command from the settings of a configuration: a setting is declared once, where it is checked."""

from __future__ import annotations

from dataclasses import field as declared
from dataclasses import fields, is_dataclass, make_dataclass
from functools import cache
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import tyro

from theory.common.choices import choices

__all__ = ["choice", "command_line", "made", "nested", "options_of"]

T = TypeVar("T")


def choice(hint: Any) -> Any:
    """How an option is read whose type `hint` is a `Literal`: ``loss: Annotated[Loss, choice(Loss)]``.

    Help shows the words; one that is none of them is kept for the configuration to refuse, as it does in Python.
    """
    words = choices(hint)
    optional = NoneType in get_args(hint)

    def read(given: list[str]) -> str | None:
        return None if optional and given == ["None"] else given[0]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join((*["None"] * optional, *words)) + "}",
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [str(value)],
    )


@cache
def options_of(config: type[Any], *without: str, **defaults: Any) -> type[Any]:
    """The settings of a configuration, but those named in `without`, as options: its types, defaults and texts.

    They are not checked until `made` makes the configuration, so that an error is its own. `defaults` are those of the
    command where they are others.
    """
    hints = get_type_hints(config)
    changed: list[Any] = []
    for item in fields(config):
        hint: Any = hints[item.name]
        if item.name in without:
            hint = Annotated[hint, tyro.conf.Suppress]
        elif choices(hint):
            hint = Annotated[hint, choice(hint)]
        changed.append((item.name, hint, declared(default=defaults.get(item.name, item.default))))
    unchecked = {"__post_init__": lambda self: None, "__doc__": config.__doc__}
    return make_dataclass(config.__name__, changed, bases=(config,), namespace=unchecked, frozen=True)


def nested(options: type[Any]) -> Any:
    """How the field of a command takes them, without a prefix: ``flow: Annotated[FlowConfig, *nested(...)]``."""
    return tyro.conf.arg(constructor=options), tyro.conf.OmitArgPrefixes


def made(config: type[T], options: Any, **more: Any) -> T:
    """The configuration, checked: the settings of `options`, and `more` instead of some."""
    given = {item.name: getattr(options, item.name) for item in fields(config)}  # type: ignore[arg-type]
    return config(**{**given, **more})


def command_line(name: str, command: Any, left_out: tuple[str, ...]) -> str:
    """The command line that makes what a command made, without the options that change nothing in it."""
    return " ".join([f"relstab {name}", *_words(command, left_out)])


def _words(command: Any, left_out: tuple[str, ...]) -> list[str]:
    words = []
    for item in fields(command):
        value = getattr(command, item.name)
        if is_dataclass(value):
            words += _words(value, left_out)
            continue
        if item.name in left_out or value == item.default:
            continue
        option = item.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{option}")
            continue
        words.append(f"--{option}")
        words += map(str, value if isinstance(value, tuple) else (value,))
    return words
