"""Stores as they were written before curves and sweeps had one: the files of both kinds, by their paths."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["unpack"]

_FILE = Path(__file__).parent / "old_stores.json"


def unpack(kind: str, folder: Path) -> Path:
    """Lay the files of `kind`, curves or runs, into `folder`; return it."""
    for name, text in json.loads(_FILE.read_text()).items():
        if name.startswith(f"{kind}/"):
            path = folder / name.removeprefix(f"{kind}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder
