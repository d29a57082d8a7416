"""Where the image data sets are, if they are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_folder() -> Path:
    """RELSTAB_DATA, or shared/data beside the repository; skips, naming what is missing, if there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RELSTAB_DATA") or beside)
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip("no FashionMNIST/raw in RELSTAB_DATA nor in shared/data beside the repository")
    return folder
