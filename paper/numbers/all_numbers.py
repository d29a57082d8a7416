"""All numbers that the manuscript's text uses, from the committed tables, as `build/paper/numbers.json`.

Every one is a formatted string, with its error and n where it has them; sentences whose direction turns on numbers are
made here, too, so that the text cannot contradict its tables.
"""

from __future__ import annotations

import json
from pathlib import Path

from paper.numbers import errors, hierarchies, images, laws, methods, net_laws, scale, simple_model, stripe_nets
from theory.common.files import write_whole

TARGET = Path(__file__).parents[2] / "build" / "paper" / "numbers.json"
PARTS = (
    simple_model, methods, stripe_nets, images, laws,
    errors, net_laws, scale, hierarchies,
)  # fmt: skip


def all_numbers() -> dict[str, str]:
    """Key to text. Raises `InputError` or `FileNotFoundError` where a table is not there or lacks what is needed."""
    found: dict[str, str] = {}
    for part in PARTS:
        found |= part.numbers()
    return found


def write_numbers(found: dict[str, str], path: Path = TARGET) -> Path:
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))
