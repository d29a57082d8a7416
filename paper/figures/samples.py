"""Figure: one image deformed at several cutoffs and temperatures."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image
from torch.nn import functional

from empirical import MaxEntropyDiffeo
from paper.figures.plots import PAGE, new_figure

SIZE, CUTOFFS, SEED = 128, (2, 3, 5, 15), 4
#: Displacement in pixels, as parts of T_max: sqrt(T / T_max).
STRENGTHS = (0.25, 0.5, 1.0)


def photograph() -> torch.Tensor:
    """Scikit-learn's flower, its middle square at `SIZE` pixels; shape (1, 3, n, n)."""
    pixels = torch.as_tensor(np.array(load_sample_image("flower.jpg"))).permute(2, 0, 1)[None].float() / 255
    side = min(pixels.shape[-2:])
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    square = pixels[:, :, top : top + side, left : left + side]
    return functional.interpolate(square, size=SIZE, mode="bilinear", antialias=True, align_corners=False)


def samples() -> Figure:
    """Rows: T / T_max; columns: the image, then cutoffs."""
    image = photograph()
    figure = new_figure(PAGE, 4.3)
    axes = figure.subplots(len(STRENGTHS), 1 + len(CUTOFFS))
    axes[0, 0].set_title("the image", fontsize=7)
    for row, strength in zip(axes, STRENGTHS, strict=True):
        for ax in row:
            ax.set_axis_off()
        shown = image if strength == STRENGTHS[0] else torch.ones_like(image)
        row[0].imshow(shown[0].permute(1, 2, 0).numpy(), interpolation="nearest")
        for ax, cutoff in zip(row[1:], CUTOFFS, strict=True):
            highest = MaxEntropyDiffeo(cutoff, 1.0).ensemble(SIZE).temperature_range[1]
            # The same seed in a column: one field, stronger and stronger.
            diffeo = MaxEntropyDiffeo(
                cutoff, temperature=strength**2 * highest, folding="reject",
                generator=torch.Generator().manual_seed(SEED),
            )  # fmt: skip
            ax.imshow(diffeo(image)[0].permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
            ax.set_title(f"c = {cutoff}, $\\delta$ = {diffeo.ensemble(SIZE).paper_displacement:.1f} px", fontsize=7)
    for ax, strength in zip(axes[:, 0], STRENGTHS, strict=True):
        words = "$T = T_{\\max}$" if strength == 1 else f"$T = T_{{\\max}}$ / {1 / strength**2:g}"
        ax.text(1.12, 0.5, words, transform=ax.transAxes, ha="center", va="center", rotation=90)
    return figure
