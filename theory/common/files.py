"""Whole files or none: write aside, then rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from theory.common.errors import InputError

__all__ = ["make_folder", "require_folder", "require_writable_parent", "write_whole"]


#: File systems take 255 bytes; the temporary name beside a file is longer than its own.
_LONGEST_NAME = 200


def require_writable_parent(parameter: str, path: str | Path) -> Path:
    """`path` as a Path at which a file can be written, its folder made if need be; InputError otherwise.

    Called before a long computation, so that a mistyped path costs nothing. It makes nothing itself.
    """
    target = Path(path)
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise InputError(parameter, str(path), f"its name must have at most {_LONGEST_NAME} bytes")
    if target.is_dir():
        raise InputError(parameter, str(path), "is a folder; must be a file's path")
    folder = _nearest(target.absolute().parent)
    if not folder.is_dir():
        raise InputError(parameter, str(path), f"its folder cannot be made ({folder.name} is a file)")
    if not os.access(folder, os.W_OK):
        raise InputError(parameter, str(path), "its folder cannot be written to")
    return target


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def require_folder(parameter: str, path: str | Path) -> Path:
    """`path` as the absolute Path of a folder that is there or could be made, else InputError. It makes nothing."""
    target = Path(path).absolute()
    folder = _nearest(target)
    if not folder.is_dir():
        raise InputError(parameter, str(path), f"cannot be made a folder ({folder.name} is a file)")
    if not os.access(folder, os.W_OK):
        raise InputError(parameter, str(path), "cannot be written to")
    return target


def make_folder(parameter: str, path: str | Path, name: str = "") -> Path:
    """The folder `path`, or `name` in it, made if need be; InputError if it cannot be made or written to."""
    folder = Path(path) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(parameter, str(path), f"cannot be made a folder ({error.strerror})") from error
    if not os.access(folder, os.W_OK):
        raise InputError(parameter, str(path), "cannot be written to")
    return folder


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
