"""A grid of deformed images, to see what a cutoff and a displacement do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

from empirical.diffeo.fields import Calibration, Folding, MaxEntropyDiffeo
from theory.common.files import write_whole

__all__ = ["deformed_rows", "save_rows"]


def deformed_rows(
    images: Tensor,
    cutoffs: Sequence[int],
    *,
    displacement: float | None = None,
    temperature: float | None = None,
    calibration: Calibration = "paper",
    folding: Folding = "keep",
    seed: int = 0,
) -> Tensor:
    """The images and, below them, the same deformed at each cutoff; shape (1 + cutoffs, images, channels, n, n).

    Every row draws its fields from the same seed. Raises `InputError` as `MaxEntropyDiffeo` does.
    """
    rows = [images]
    for cutoff in cutoffs:
        diffeo = MaxEntropyDiffeo(
            cutoff, displacement, temperature, calibration=calibration, folding=folding,
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        rows.append(diffeo(images))
    return torch.stack(rows)


def save_rows(rows: Tensor, path: str | Path, enlarge: int = 4) -> Path:
    """Write the rows of `deformed_rows` as one image file, every pixel `enlarge` times as wide and high."""
    pixels = rows.flatten(0, 1).repeat_interleave(enlarge, -1).repeat_interleave(enlarge, -2)
    grid = make_grid(pixels, nrow=rows.shape[1], padding=4, pad_value=0.5)
    return write_whole(path, lambda aside: save_image(grid, aside))
