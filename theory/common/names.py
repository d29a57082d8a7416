"""Names of a package that are looked up when they are used, and the paths that modules had before.

An import of `theory`, `empirical` or `compare` loads no more than what is asked of it, so that the command line starts
without numba, pandas or torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["keep_old_paths", "look_up"]


def look_up(package: str, homes: Mapping[str, tuple[str, ...]], name: str) -> Any:
    """The value of `name`, from the module of `package` that `homes` lists it under; for a module's `__getattr__`.

    Raises
    ------
    AttributeError
        If no module is its home, as for any other module.
    """
    for module, names in homes.items():
        if name in names:
            return getattr(import_module(f"{package}.{module}"), name)
    old = sys.modules.get(f"{package}.{name}")
    if old is not None:  # `import theory.table` and then `theory.table`
        return old
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


class _OldPath(ModuleType):
    """A module by the path that it had before: what is asked of it is asked of the module where it is now."""

    def __init__(self, name: str, home: str) -> None:
        super().__init__(name, f"Moved to `{home}`.")
        self._home = home

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(self._home), name)


def keep_old_paths(package: str, moved: Mapping[str, str]) -> None:
    """Let `from package.OLD import name` go on working for every module OLD of `moved`, {old: new}, both in `package`.

    They stand in `sys.modules` from the start. So an import of an old path does not set an attribute of the package,
    and a function of the same name, `compare.contrast`, stays what it is.
    """
    for old, new in moved.items():
        sys.modules[f"{package}.{old}"] = _OldPath(f"{package}.{old}", f"{package}.{new}")
