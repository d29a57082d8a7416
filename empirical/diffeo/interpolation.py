"""Images read between pixels: bilinear, nearest, or with Gaussian weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from theory.common.errors import InputError, require_choice

__all__ = ["INTERPOLATIONS", "Interpolation", "gaussian_blur", "read_at", "warp"]

Interpolation = Literal["bilinear", "nearest", "gaussian"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("bilinear", "nearest", "gaussian")

_WIDTH = 0.4715  # standard deviation of the Gaussian weights in pixels, the authors' choice
_REACH = 4  # pixels on each side that a weight may reach: the next one's is below e^-36 of the largest


def warp(images: Tensor, displacement: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    r"""Images read at (clamp(y - dy), clamp(x - dx)), one field an image; differentiable in both.

    Parameters
    ----------
    images : shape (batch, channels, height, width), floating point
    displacement : shape (batch, 2, height, width), pixels, component 0 along x (columns), 1 along y (rows)
    interpolation : ``bilinear`` (default), ``nearest``, or ``gaussian``: weights
        :math:`e^{-|p|^2 / (2 \sigma^2)}` at a distance p, sigma = 0.4715 pixels, normalised over all pixels (arXiv
        2105.02468, appendix B). It smooths, so that the authors compare with the clean image smoothed alike,
        `gaussian_blur`

    Raises
    ------
    InputError
        On images without pixels or not floating point, and a displacement of another shape.
    """
    if not images.is_floating_point():
        raise InputError("images.dtype", images.dtype, "must be a floating-point type")
    if images.ndim != 4 or min(images.shape[-2:]) < 2 or not images.numel():
        allowed = "must be (batch, channels, height, width) with sides of at least 2"
        raise InputError("images.shape", tuple(images.shape), allowed)
    require_choice("interpolation", interpolation, INTERPOLATIONS)
    height, width = images.shape[-2:]
    if displacement.shape != (len(images), 2, height, width):
        raise InputError("displacement.shape", tuple(displacement.shape), f"must be {(len(images), 2, height, width)}")
    # Positions to a fraction of a pixel need more than half precision.
    dtype = torch.promote_types(images.dtype, torch.float32)
    displacement = displacement.to(dtype)
    x = torch.arange(width, dtype=dtype, device=displacement.device) - displacement[:, 0]
    y = torch.arange(height, dtype=dtype, device=displacement.device)[:, None] - displacement[:, 1]
    return read_at(images.to(dtype), x, y, interpolation).to(images.dtype)


def read_at(images: Tensor, x: Tensor, y: Tensor, interpolation: Interpolation) -> Tensor:
    """Images at columns x and rows y, each of shape (batch, height, width), clamped to the image."""
    height, width = images.shape[-2:]
    if interpolation == "gaussian":
        return _gaussian(images, x.clamp(0, width - 1), y.clamp(0, height - 1))
    # grid_sample counts from -1 to 1 between the centres of the outer pixels; "border" is the clamp.
    grid = torch.stack((x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1), dim=-1)
    return functional.grid_sample(images, grid, mode=interpolation, padding_mode="border", align_corners=True)


def gaussian_blur(images: Tensor) -> Tensor:
    """Images read with Gaussian weights where their pixels are."""
    return warp(images, torch.zeros_like(images[:, :1]).expand(-1, 2, -1, -1), "gaussian")


def _gaussian(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The weights of rows and of columns factorise, so only the pixels within reach are looked at, one at a time."""
    height, width = images.shape[-2:]
    flat = images.flatten(2)
    (columns, along), (rows, down) = _taps(x, width), _taps(y, height)
    result = torch.zeros_like(images)
    for row, weight_y in zip(rows, down, strict=True):
        for column, weight_x in zip(columns, along, strict=True):
            pixel = (row * width + column).flatten(1)[:, None].expand(-1, images.shape[1], -1)
            result = result + (weight_x * weight_y)[:, None] * flat.gather(2, pixel).view_as(images)
    return result


def _taps(position: Tensor, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """Pixels within reach of each position, and their normalised weights; those outside the image weigh nothing."""
    base = position.detach().floor()
    pixels = [base + offset for offset in range(1 - _REACH, 1 + _REACH)]
    weights = [
        torch.exp(-((pixel - position) ** 2) / (2 * _WIDTH**2)) * ((pixel >= 0) & (pixel < size)) for pixel in pixels
    ]
    total = torch.stack(weights).sum(0)
    return [pixel.clamp(0, size - 1).long() for pixel in pixels], [weight / total for weight in weights]
