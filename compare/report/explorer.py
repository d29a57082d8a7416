"""Images of a data set for the report, as they are and deformed; needs torch, which it imports when called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compare.report.page import DeformedGrid
from empirical.commands.measure import require_torch
from empirical.diffeo.explorer_images import SampleImage
from empirical.training.config import image_side

__all__ = ["data_set_samples", "deformed_grid"]

#: Images in a row of the grid.
_COLUMNS = 10
_LARGEST = 192  # pixels a side that the page's script deforms without delay


def deformed_grid(
    dataset: str,
    cutoffs: Sequence[int],
    *,
    displacement: float = 1.0,
    data: Path | None = None,
    seed: int = 0,
) -> DeformedGrid:
    """The first test images of a data set, and below them the same deformed at each cutoff.

    Raises `InputError` as `empirical.load_data` and `empirical.MaxEntropyDiffeo` do, and without torch.
    """
    require_torch()
    from empirical.data.named_sets import load_data
    from empirical.diffeo.gallery import deformed_rows

    images = load_data(dataset, data, image_size=image_side(dataset, None))
    shown = images.test_images[:_COLUMNS].float() / 255
    rows = deformed_rows(shown, cutoffs, displacement=displacement, seed=seed)
    grid = rows[:, :, 0] if images.channels == 1 else rows.permute(0, 1, 3, 4, 2)
    return DeformedGrid(
        grid.numpy(),
        ["clean", *(f"c = {cutoff}" for cutoff in cutoffs)],
        [images.classes[int(label)] for label in images.test_labels[:_COLUMNS]],
    )


def data_set_samples(dataset: str, *, data: Path | None = None, count: int = 6) -> list[SampleImage]:
    """The first test images of a data set for the page's own explorer, those above 192 pixels averaged down to that.

    Raises `InputError` as `empirical.load_data` does, and without torch.
    """
    require_torch()
    from torch.nn.functional import interpolate

    from empirical.data.named_sets import load_data

    images = load_data(dataset, data, image_size=image_side(dataset, None))
    shown = images.test_images[:count]
    if images.size > _LARGEST:
        shown = interpolate(shown.float(), (_LARGEST, _LARGEST), mode="area").round().byte()
    pixels = shown.permute(0, 2, 3, 1).numpy()
    found = []
    for image, label in zip(pixels, images.test_labels[:count], strict=True):
        grey = image[:, :, 0] if images.channels == 1 else image
        found.append(SampleImage(f"{dataset}: {images.classes[int(label)]}", np.ascontiguousarray(grey)))
    return found
