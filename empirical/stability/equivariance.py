"""Whether a layer follows a deformation of its input: its output, deformed by the same field at its own resolution."""

from __future__ import annotations

import torch
from torch import Tensor

from empirical.diffeo.fields import deform

__all__ = ["is_spatial", "moved_output"]


def is_spatial(output: Tensor) -> bool:
    """Whether it is (images, channels, height, width), with more than one pixel along each."""
    return output.ndim == 4 and min(output.shape[-2:]) >= 2


def moved_output(output: Tensor, coefficients: Tensor) -> Tensor:
    """tau_k f_k(x): every channel at the layer's h x w pixels displaced by (w tau_u, h tau_v), bilinear, flattened.

    `coefficients` are those of the images' fields, in order.
    """
    dtype = torch.promote_types(output.dtype, torch.float32)
    return deform(output.detach().to(dtype), coefficients.to(output.device, dtype)).flatten(1)
