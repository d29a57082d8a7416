"""The manuscript's scripts import each other by their bare names, as `python paper/build_manuscript.py` finds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import relstab

PAPER = Path(relstab.__file__).parent / "paper"


@pytest.fixture(scope="session")
def paper() -> Iterator[Path]:
    """The folder, on the path of imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PAPER))
        yield PAPER
