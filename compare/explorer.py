"""A grid of deformed images for the report; needs torch, which it imports when called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compare.report import DeformedGrid
from empirical.commands import require_torch
from empirical.config import image_side

__all__ = ["deformed_grid"]


def deformed_grid(
    dataset: str,
    cutoffs: Sequence[int],
    *,
    displacement: float = 1.0,
    data: Path | None = None,
    columns: int = 10,
    seed: int = 0,
) -> DeformedGrid:
    """The first test images of a data set, and below them the same deformed at each cutoff.

    Raises `InputError` as `empirical.load_data` and `empirical.MaxEntropyDiffeo` do, and without torch.
    """
    require_torch()
    from empirical.data import load_data
    from empirical.gallery import deformed_rows

    images = load_data(dataset, data, image_size=image_side(dataset, None))
    shown = images.test_images[:columns].float() / 255
    rows = deformed_rows(shown, cutoffs, displacement=displacement, seed=seed)
    grid = rows[:, :, 0] if images.channels == 1 else rows.permute(0, 1, 3, 4, 2)
    return DeformedGrid(
        grid.numpy(),
        ["clean", *(f"c = {cutoff}" for cutoff in cutoffs)],
        [images.classes[int(label)] for label in images.test_labels[:columns]],
    )
