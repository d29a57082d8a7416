"""The command `relstab`: composes the three packages' commands, and nothing else."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import tyro
from tyro.extras import SubcommandApp

import empirical.commands
import theory.commands
from compare.commands.compare import Compare, Report
from compare.commands.demo import Demo
from compare.commands.hierarchies import CompareHierarchies
from theory.common.errors import Incomplete, InputError

__all__ = ["main"]

_DESCRIPTION = """Relative stability to diffeomorphisms: solve the simple model, measure real nets, contrast the two.

Start with `relstab demo`."""


_GROUPS = {"theory": "The simple model."}
_COMMANDS: dict[str, type] = {
    "demo": Demo,
    **theory.commands.COMMANDS,
    **empirical.commands.COMMANDS,
    "compare": Compare,
    "hierarchies": CompareHierarchies,
    "report": Report,
}


def _app() -> SubcommandApp:
    """All commands; a name of two words is a command in a group."""
    app, groups = SubcommandApp(), dict[str, SubcommandApp]()
    for name, command in _COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if not group:
            app.command(name=last)(command)
            continue
        if group not in groups:
            groups[group] = SubcommandApp()
            app.command(groups[group], name=group, help=_GROUPS[group])
        groups[group].command(name=last)(command)
    return app


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning as a person at a terminal wants it: without the place in the code."""
    return f"relstab: warning: {' '.join(str(message).split())}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit status 0, 1 if a part is missing, 2 for input that is not allowed, 130 if interrupted."""
    usual = warnings.formatwarning
    warnings.formatwarning = _one_line
    command: Any = None
    try:
        command = _app().cli(
            prog="relstab", description=_DESCRIPTION, args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
        )
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
