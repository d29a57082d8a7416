"""Parts of a text that a script writes, between marks."""

from __future__ import annotations

import re
from pathlib import Path

from theory import InputError
from theory.common.files import write_whole

__all__ = ["put_between"]


def put_between(path: Path, marks: tuple[str, str], part: str) -> None:
    """Replace what stands between the marks, these included, by `part`, which brings them again."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(marks[0])}.*{re.escape(marks[1])}", re.DOTALL)
    if not pattern.search(text):
        raise InputError(path.name, marks[0], "has no part between these marks")
    write_whole(path, lambda aside: aside.write_text(pattern.sub(lambda _: part, text), encoding="utf-8"))
