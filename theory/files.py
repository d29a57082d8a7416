"""Whole files or none: write aside, then rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from theory.errors import InputError

__all__ = ["require_writable_parent", "write_whole"]


def require_writable_parent(parameter: str, path: str | Path) -> Path:
    """`path` as a Path whose folder exists (made if need be) and can be written to; InputError otherwise.

    Called before a long computation, so that a mistyped path costs nothing.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(parameter, str(path), f"its folder cannot be made ({error.strerror})") from error
    if target.is_dir():
        raise InputError(parameter, str(path), "is a folder; must be a file's path")
    if not os.access(target.parent, os.W_OK):
        raise InputError(parameter, str(path), "its folder cannot be written to")
    return target


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call `write` on a temporary path beside `path`, then rename it to `path`; return `path`.

    The temporary file keeps the suffix, on which writers such as matplotlib's depend. If `write` raises,
    the temporary file is removed and what stood at `path` stays.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    aside = Path(name)
    try:
        write(aside)
        # mkstemp makes files private; give the result the mode any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o666 & ~mask)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return target
