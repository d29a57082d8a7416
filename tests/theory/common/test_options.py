"""Settings are declared once: a configuration's field, its option, its default and its text come from one place."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal

import pytest
import tyro

from empirical.commands.train import SHARED, Train
from empirical.training.config import ImageConfig, StripeConfig
from theory import FlowConfig, InputError
from theory.commands.predict import Predict
from theory.commands.simulate import Simulate
from theory.common.choices import choices
from theory.common.options import command_line, made, nested, options_of

#: Commands, the configurations whose settings they take, and those that they do not.
COMMANDS = [
    (Simulate, FlowConfig, ()),
    (Predict, FlowConfig, ("dtype", "skip")),
    (Train, ImageConfig, ("momentum", *SHARED)),
    (Train, StripeConfig, SHARED),
]


def help_of(command: type[Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The help without its boxes, as one line."""
    with pytest.raises(SystemExit):
        tyro.cli(command, args=["--help"], config=(tyro.conf.FlagCreatePairsOff,))
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


def documented(config: type[Any]) -> dict[str, str]:
    """The text below each field in the source."""
    import ast
    import inspect
    import textwrap

    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(before.target, ast.Name)
            found[before.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


@pytest.mark.parametrize(("command", "config", "without"), COMMANDS)
def test_every_setting_is_an_option_with_its_default_and_its_text(
    command: type[Any], config: type[Any], without: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown, texts = help_of(command, capsys), documented(config)
    for item in fields(config):
        option = f"--{'no-' if item.default is True else ''}{item.name.replace('_', '-')} "
        if item.name in without:
            assert option not in shown or item.name in SHARED
            continue
        begin = shown.index(option)
        default = " ".join(map(str, item.default)) if isinstance(item.default, tuple) else str(item.default)
        if item.name == "dataset":  # of `Train`, which also takes the stripe
            continue
        # Words may be broken behind a hyphen, or after a dot.
        told = f"{texts[item.name]} (default: {default})".replace(" ", "")
        assert told in shown[begin:].replace(" ", ""), item.name


def test_shared_settings_are_those_of_both_kinds() -> None:
    both = {item.name for item in fields(ImageConfig)} & {item.name for item in fields(StripeConfig)}
    assert set(SHARED) == both
    assert both < {item.name for item in fields(Train)}


@pytest.mark.parametrize("config", [FlowConfig, ImageConfig, StripeConfig])
def test_words_that_are_not_allowed_are_refused_by_the_type(config: type[Any]) -> None:
    """Every field that is a `Literal`; control: its own words are taken."""
    from typing import get_type_hints

    found = 0
    for item in fields(config):
        words = choices(get_type_hints(config)[item.name])
        found += bool(words)
        if words:
            config(**{item.name: words[0]})
            with pytest.raises(InputError, match=f"{item.name} = nonsense: must be one of {', '.join(words)}"):
                config(**{item.name: "nonsense"})
    assert found >= 3


@dataclass(frozen=True, slots=True)
class _Settings:
    """A configuration."""

    size: int = 3
    """How large."""
    mode: Literal["one", "two"] | None = None
    """How."""
    parts: tuple[float, ...] = (0.5, 0.1)
    """Which."""

    def __post_init__(self) -> None:
        if self.size < 0 or self.mode == "three":
            raise InputError("mode", self.mode, "must be one of one, two")


_OPTIONS = options_of(_Settings, size=5)


@dataclass(frozen=True)
class _Command:
    settings: Annotated[_Settings, *nested(_OPTIONS)] = _OPTIONS()  # noqa: RUF009
    output: str = ""


def test_options_are_checked_when_the_configuration_is_made() -> None:
    assert made(_Settings, _Command().settings) == _Settings(size=5)
    given = tyro.cli(_Command, args=["--mode", "two", "--parts", "1", "2"])
    assert made(_Settings, given.settings) == _Settings(5, "two", (1.0, 2.0))
    assert made(_Settings, given.settings, size=9).size == 9
    assert made(_Settings, tyro.cli(_Command, args=["--mode", "None"]).settings).mode is None
    wrong = tyro.cli(_Command, args=["--mode", "three"])
    with pytest.raises(InputError, match="mode = three: must be one of one, two"):
        made(_Settings, wrong.settings)


def test_the_command_line_repeats_nested_options() -> None:
    given = tyro.cli(_Command, args=["--mode", "two", "--parts", "1", "2", "--output", "a.csv"])
    line = command_line("it", given, ("output",))
    assert line == "relstab it --mode two --parts 1.0 2.0"
    assert tyro.cli(_Command, args=[*line.split()[2:], "--output", "a.csv"]) == given
    assert all(item.default is not MISSING for item in fields(_OPTIONS))
