"""Picture of a sample and of the same deformed: an image with a mask, boxes and key points, all by one field.

    python -m paper.figures.deformed_sample

writes paper/figures/deformed-sample.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torchvision import tv_tensors

from compare.report.figures import save
from empirical import MaxEntropyDiffeo
from paper.figures.plots import PAGE, new_figure
from paper.figures.samples import photograph

FILE = Path(__file__).with_name("deformed-sample.png")
SEED, CUTOFF, DISPLACEMENT = 3, 3, 7.0


def sample() -> tuple[Any, Any, Any, Any]:
    """The flower, where it is bright and red, the box around that and one more, and points of a grid."""
    image = tv_tensors.Image(photograph()[0])
    mask = (image[0] > 0.55) & (image[2] < 0.55)
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    around = [float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1]
    canvas = image.shape[-2:]
    boxes = tv_tensors.BoundingBoxes(torch.tensor([around, [8.0, 8, 40, 56]]), format="XYXY", canvas_size=canvas)
    places = torch.linspace(15, canvas[0] - 16, 5)
    points = tv_tensors.KeyPoints(torch.cartesian_prod(places, places), canvas_size=canvas)
    return image, tv_tensors.Mask(mask), boxes, points


def show(ax: Axes, parts: tuple[Any, Any, Any, Any]) -> None:
    """The image, the mask's outline, boxes and points over it; pixels have their centres at whole numbers."""
    image, mask, boxes, points = parts
    ax.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    ax.contour(mask.numpy(), levels=[0.5], colors="white", linewidths=0.8)
    for left, top, right, bottom in boxes.tolist():
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color="cyan", lw=0.8))
    ax.plot(*points.T.numpy(), "o", color="yellow", markersize=2.5, markeredgecolor="black", markeredgewidth=0.4)
    ax.set_axis_off()


def deformed_sample() -> Figure:
    """The sample, and the sample deformed."""
    diffeo = MaxEntropyDiffeo(
        CUTOFF, DISPLACEMENT, folding="reject", generator=torch.Generator().manual_seed(SEED)
    )
    before = sample()
    figure = new_figure(PAGE, 3.1)
    for ax, title, parts in zip(
        figure.subplots(1, 2), ("a sample", f"deformed: c = {CUTOFF}, $\\delta$ = {DISPLACEMENT:g} px"),
        (before, diffeo(before)), strict=True,
    ):  # fmt: skip
        show(ax, parts)
        ax.set_title(title, fontsize=8)
    return figure


if __name__ == "__main__":
    print(save(deformed_sample(), FILE))
