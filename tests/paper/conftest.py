"""Where the manuscript is."""

from __future__ import annotations

from pathlib import Path

import pytest

import relstab

PAPER = Path(relstab.__file__).parent / "paper"


@pytest.fixture(scope="session")
def paper() -> Path:
    """The folder."""
    return PAPER
