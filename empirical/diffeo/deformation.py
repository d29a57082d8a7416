"""Images deformed by fields of given coefficients, the fastest way there is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from empirical.diffeo.interpolation import Interpolation, warp
from empirical.diffeo.sine_series import displacement_fields
from empirical.diffeo.warp_kernel import deform_arrays

__all__ = ["deform", "nearest_pixels"]

_PIXELS = 2**18  # deformed at a time


def deform(images: Tensor, coefficients: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """`warp` by the fields of these coefficients: fused on a CPU, where no gradient is asked for.

    Elsewhere a few images at a time, so that what they need in between stays in cache.
    """
    size = (int(images.shape[-2]), int(images.shape[-1]))
    if interpolation == "bilinear" and _fusible(images, coefficients):
        arrays = images.contiguous().numpy(), coefficients.to(images.dtype).contiguous().numpy()
        return torch.from_numpy(deform_arrays(*arrays, torch.get_num_threads()))
    together = max(1, _PIXELS // (size[0] * size[1]))
    parts = zip(images.split(together), coefficients.split(together), strict=True)
    return torch.cat([warp(part, displacement_fields(c, size), interpolation) for part, c in parts])


def _fusible(images: Tensor, coefficients: Tensor) -> bool:
    """Plain numbers on a CPU, no half precision, nothing to be differentiated or traced."""
    gradient = torch.is_grad_enabled() and (images.requires_grad or coefficients.requires_grad)
    plain = type(images) in (Tensor, nn.Parameter) and images.device.type == coefficients.device.type == "cpu"
    known = images.dtype in (torch.float32, torch.float64) and len(images) == len(coefficients)
    if not (plain and known) or gradient or torch.jit.is_tracing() or min(images.shape[-2:]) < 2:
        return False
    return all(_is_memory(tensor) for tensor in (images, coefficients))


def _is_memory(tensor: Tensor) -> bool:
    """Numbers in memory and no more: not what torch.func maps or differentiates, and without a forward derivative."""
    if torch.autograd.forward_ad.unpack_dual(tensor).tangent is not None:
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def nearest_pixels(values: Tensor, coefficients: Tensor) -> Tensor:
    """Values of any type, shape (count, ..., height, width), moved as they are: each pixel takes one other's.

    For labels, which no interpolation may mix. The pixel is that of `warp` with interpolation ``nearest``.
    """
    height, width = values.shape[-2:]
    fields = displacement_fields(coefficients, (height, width))
    x = (torch.arange(width, device=fields.device) - fields[:, 0]).clamp(0, width - 1).round().long()
    y = (torch.arange(height, device=fields.device)[:, None] - fields[:, 1]).clamp(0, height - 1).round().long()
    pixel = (y * width + x).flatten(1).view(len(fields), *([1] * (values.ndim - 3)), height * width)
    return values.flatten(-2).gather(-1, pixel.expand(*values.shape[:-2], -1)).view(values.shape)
