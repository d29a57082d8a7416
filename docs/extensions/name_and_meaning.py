"""A docstring's ``name, other : meaning`` becomes one entry a name, the meaning as its text and not as its type."""

from __future__ import annotations

from typing import Any

_SECTIONS = ("Parameters", "Attributes")


def told(lines: list[str]) -> list[str]:
    """The lines as napoleon reads them: names alone, the meaning indented below."""
    found: list[str] = []
    inside = False
    names: list[str] = []
    meaning: list[str] = []

    def end() -> None:
        for name in names:
            found.extend([name, *(f"    {line.strip()}" for line in meaning)])
        names.clear()
        meaning.clear()

    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if line and below == "-" * len(line):
            end()
            inside = line in _SECTIONS
        if inside and line and not line.startswith((" ", "-")) and " : " in line:
            end()
            left, right = line.split(" : ", 1)
            names += left.split(", ")
            meaning.append(right)
        elif inside and names and line.startswith(" "):
            meaning.append(line)
        else:
            end()
            found.append(line)
    end()
    return found


def _rewrite(app: Any, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    lines[:] = told(lines)
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]  # a comment, or napoleon takes what stands before the first line's colon for the type


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _rewrite, priority=400)  # before napoleon
    return {"parallel_read_safe": True}
