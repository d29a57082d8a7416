"""The command `relstab`: composes the three packages' commands, and nothing else.

Nothing is imported but what the command at hand needs: the list of commands is printed without numba, pandas or torch.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory.common.commands import Command

__all__ = ["main"]

_DESCRIPTION = """Relative stability to diffeomorphisms: solve the simple model, measure real nets, contrast the two.

Start with `relstab demo`."""
_PACKAGES = ("theory", "empirical", "compare")


def _hidden() -> str | None:
    """What is wrong if a file or folder of the user's own, first on the path, has the name of one of our packages."""
    ours = Path(__file__).parent
    for name in _PACKAGES:
        spec = find_spec(name)
        if spec is None:
            return f"the package {name} is not installed"
        if spec.origin is None or Path(spec.origin).resolve() != (ours / name / "__init__.py").resolve():
            found = spec.origin or ", ".join(spec.submodule_search_locations or ())
            return f"{found} hides relstab's package {name}: rename it, or run elsewhere"
    return None


def _commands() -> dict[str, Command]:
    """All of them, by the words that call them, in the order in which help lists them."""
    import compare.commands
    import empirical.commands
    import theory.commands

    last = compare.commands.COMMANDS
    return {"demo": last["demo"], **theory.commands.COMMANDS, **empirical.commands.COMMANDS, **last}


def _help(commands: Mapping[str, Command], group: str = "") -> str:
    """One line a command; of a group, those whose first word it is."""
    listed = {name: command for name, command in commands.items() if name.startswith(group)}
    width = max(map(len, listed))
    options = "" if group else " [--version]"
    return "\n".join(
        [
            f"usage: relstab [-h]{options} {group}COMMAND ...",
            "",
            *([] if group else [_DESCRIPTION, ""]),
            *(f"  {name:{width}}  {command.summary}" for name, command in listed.items()),
            "",
            "`relstab COMMAND --help` lists the options, with examples.",
        ]
    )


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning as a person at a terminal wants it: without the place in the code."""
    return f"relstab: warning: {' '.join(str(message).split())}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0, 1 if a part is missing, 2 for input that is not allowed, 130 if interrupted.

    A reader that stops early, as `head` does, ends the command quietly, with status 1.
    """
    if (hidden := _hidden()) is not None:  # asked before anything of ours is imported
        print(f"relstab: {hidden}", file=sys.stderr)
        return 2
    from theory.common.streams import is_closed, plain_signs, silence

    with plain_signs():
        broken: BrokenPipeError | None = None
        try:
            status = _main(arguments)
        except BrokenPipeError as error:
            status, broken = 2, error
        gone = [stream for stream in (sys.stdout, sys.stderr) if is_closed(stream)]
        for stream in gone:
            silence(stream)
        if broken is not None and not gone:  # a pipe of another kind
            print(f"relstab: {type(broken).__name__}: {broken}", file=sys.stderr)
        return 1 if gone else status


def _main(arguments: Sequence[str] | None) -> int:
    """The command that the first words name."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = _commands()
    groups = {name.split()[0] for name in commands if " " in name}
    count = 2 if words and words[0] in groups else 1
    name, options = " ".join(words[:count]), words[count:]
    if name in commands:
        return _run(name, commands[name], options)
    group = f"{words[0]} " if count == 2 else ""
    asked = words[count - 1 : count]
    if asked in (["-h"], ["--help"]):
        print(_help(commands, group))
        return 0
    if asked == ["--version"] and not group:
        import theory

        print(f"relstab {theory.__version__}")
        return 0
    if not asked:
        print(_help(commands, group), file=sys.stderr)
        return 2
    allowed = ", ".join(one.removeprefix(group) for one in commands if one.startswith(group))
    print(f"relstab: {group}command = {asked[0]}: must be one of {allowed}", file=sys.stderr)
    return 2


def _run(name: str, entry: Command, options: Sequence[str]) -> int:
    """One command from its options to its exit status."""
    import tyro

    from theory.common.errors import Incomplete, InputError

    usual = warnings.formatwarning
    warnings.formatwarning = _one_line
    command: Any = None
    try:
        command = tyro.cli(entry.load(), prog=f"relstab {name}", args=options, config=(tyro.conf.FlagCreatePairsOff,))
        status, result = 0, command.run()
    except Incomplete as error:
        print(f"relstab: {error}", file=sys.stderr)
        status, result = 1, error.result
    except InputError as error:
        print(f"relstab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        store = getattr(command, "store", None)
        kept = "" if store is None else f"; what was finished is in {store}, and the same command goes on from there"
        print(f"relstab: interrupted{kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:  # a full disk, a folder without permission, sizes beyond the machine
        reason = " ".join(str(error).split()) or "not enough memory"
        print(f"relstab: {type(error).__name__}: {reason}", file=sys.stderr)
        return 2
    finally:
        warnings.formatwarning = usual
    if command.json:
        print(json.dumps(result, indent=1, allow_nan=False))
    return status


if __name__ == "__main__":
    sys.exit(main())
