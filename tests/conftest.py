"""Where the image data sets are, if they are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from theory.kernels.threads import set_threads


@pytest.fixture(scope="session", autouse=True)
def one_thread_each() -> None:
    """Tests run side by side, one process a core: threads of each would only wait for the others'."""
    set_threads(1)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture
def data_folder() -> Path:
    """RELSTAB_DATA, or shared/data beside the repository; skips, naming what is missing, if there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RELSTAB_DATA") or beside)
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip("no FashionMNIST/raw in RELSTAB_DATA nor in shared/data beside the repository")
    return folder
