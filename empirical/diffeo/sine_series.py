"""Fields as sums of sines: displacements on a grid and at points, which of them fold, and what undoes them.

tau_u(u, v) = sum_ij C_ij sin(i pi u) sin(j pi v) on the unit square, and tau_v likewise (arXiv 2105.02468, appendix A);
coefficients have shape (count, 2, c, c), components u = x, then v = y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from theory.common.errors import InputError

__all__ = ["displacement_fields", "folded", "inverse_fields", "moved_points", "sides"]

_ROUNDS = 1000  # of the inverse's fixed-point iteration
_STAGES = 4  # in which a field grows to its strength while points are followed
_STEPS = 8  # of Newton's at each
_REACHED = 1e-3  # pixels


def _sine_modes(size: int, cutoff: int, like: Tensor) -> Tensor:
    """sin(k pi u) on the grid u = linspace(0, 1, size), shape (size, cutoff)."""
    u = torch.linspace(0, 1, size, dtype=like.dtype, device=like.device)
    k = torch.arange(1, cutoff + 1, dtype=like.dtype, device=like.device)
    modes = torch.sin(math.pi * u[:, None] * k)
    # sin(k pi) is zero, but not in floating point: without this the border would move by a rounding error.
    modes[[0, -1]] = 0
    return modes


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width)."""
    return (size, size) if isinstance(size, int) else size


def displacement_fields(coefficients: Tensor, size: int | tuple[int, int]) -> Tensor:
    r"""Displacements (dx, dy) in pixels, shape (count, 2, height, width), zero on the border.

    .. math:: d_x = \text{width} \sum_{i, j} C_{ij} \sin(i \pi u) \sin(j \pi v)

    with u and v from 0 to 1 along x and y, as two small matrix products, and d_y likewise with the height. `size` is n
    for n x n pixels, or (height, width).
    """
    height, width = sides(size)
    along, down = (_sine_modes(n, coefficients.shape[-1], coefficients) for n in (width, height))
    with torch.autocast(coefficients.device.type, enabled=False):  # positions need more than half precision
        fields = down @ coefficients.transpose(-1, -2) @ along.T
    if height == width:
        return width * fields
    return fields * torch.tensor([width, height], dtype=fields.dtype, device=fields.device).view(1, 2, 1, 1)


def folded(coefficients: Tensor, size: int | tuple[int, int]) -> Tensor:
    r"""Which fields are no diffeomorphism: :math:`\det(1 - \nabla \tau) \le 0` at some pixel; shape (count,), boolean.

    The gradient is that of the sine series itself, not a finite difference.
    """
    cutoff = coefficients.shape[-1]
    height, width = sides(size)
    k = math.pi * torch.arange(1, cutoff + 1, dtype=coefficients.dtype, device=coefficients.device)

    def modes(n: int) -> tuple[Tensor, Tensor]:
        u = torch.linspace(0, 1, n, dtype=k.dtype, device=k.device)
        return _sine_modes(n, cutoff, coefficients), k * torch.cos(u[:, None] * k)

    (sine_x, slope_x), (sine_y, slope_y) = modes(width), modes(height)
    swapped = coefficients.transpose(-1, -2)  # [j, i]: rows of the field are y
    with torch.autocast(coefficients.device.type, enabled=False):
        along_x = sine_y @ swapped @ slope_x.T
        along_y = slope_y @ swapped @ sine_x.T
    determinant = (1 - along_x[:, 0]) * (1 - along_y[:, 1]) - along_y[:, 0] * along_x[:, 1]
    return (determinant <= 0).flatten(1).any(1)


def inverse_fields(coefficients: Tensor, size: int | tuple[int, int], tolerance: float = 1e-6) -> Tensor:
    r"""Displacements e that undo those d of `displacement_fields`: reading at p - d, then at p - e, reads at p.

    :math:`e(p) = -d(p - e(p))` is iterated to a change below `tolerance` pixels, with the sine series itself
    between pixels. Shape (count, 2, height, width).

    Raises
    ------
    InputError
        If that does not converge in 1000 rounds: a field that folds has no inverse.
    """
    height, width = sides(size)
    extent = torch.tensor([width, height], dtype=coefficients.dtype, device=coefficients.device).view(1, 2, 1, 1)
    grid = torch.meshgrid(
        *(torch.arange(n, dtype=coefficients.dtype, device=coefficients.device) for n in (height, width)), indexing="ij"
    )
    pixel = torch.stack((grid[1], grid[0]))[None]
    k = math.pi * torch.arange(1, coefficients.shape[-1] + 1, dtype=coefficients.dtype, device=coefficients.device)
    inverse = -displacement_fields(coefficients, size)
    for _ in range(_ROUNDS):
        fraction = ((pixel - inverse) / (extent - 1)).clamp(0, 1)
        waves = [torch.sin(fraction[:, axis, :, :, None] * k) for axis in (0, 1)]
        with torch.autocast(coefficients.device.type, enabled=False):
            moved = -extent * torch.einsum("baij,bhwi,bhwj->bahw", coefficients, *waves)
        change = float((moved - inverse).abs().max())
        inverse = moved
        if change < tolerance:
            return inverse
    raise InputError("coefficients", f"off by {change:.3g} pixels", "no inverse found: fields that fold have none")


def moved_points(coefficients: Tensor, size: int | tuple[int, int], points: Tensor) -> Tensor:
    """Where the deformed images show what stood at `points`: p with p - d(p) = q, shape (count, points, 2).

    `points` are (x, y) in pixels, the centre of the first at 0. By Newton's iteration while the field grows to its full
    strength. A point that this loses, near a fold, is put on the pixel that shows what is nearest to it.
    """
    height, width = sides(size)
    dtype = torch.promote_types(torch.promote_types(points.dtype, coefficients.dtype), torch.float32)
    coefficients, points = coefficients.to(dtype), points.to(dtype)
    found = points
    for stage in range(1, _STAGES + 1):
        for _ in range(_STEPS):
            shift, slope = _at(coefficients * (stage / _STAGES), (height, width), found)
            jacobian = torch.eye(2, dtype=dtype, device=points.device) - slope
            with torch.autocast(points.device.type, enabled=False):
                step = torch.linalg.pinv(jacobian) @ (found - shift - points)[..., None]
            found = found - step[..., 0].clamp(-1, 1)  # at most a pixel: no jump to another branch
    missed = (found - _at(coefficients, (height, width), found)[0] - points).norm(dim=-1) > _REACHED
    if not bool(missed.any()):
        return found
    grid = torch.cartesian_prod(*(torch.arange(n, dtype=dtype, device=points.device) for n in (width, height)))
    for one in missed.any(1).nonzero()[:, 0].tolist():
        shown = grid - _at(coefficients[one : one + 1], (height, width), grid[None])[0][0]
        nearest = torch.cdist(points[one, missed[one]], shown).argmin(1)
        found[one, missed[one]] = grid[nearest]
    return found


def _at(coefficients: Tensor, size: tuple[int, int], points: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement d in pixels at points, shape (count, points, 2), and its slope dd_a / dp_b, (count, points, 2, 2).

    Beyond the border it is zero, as on it.
    """
    height, width = size
    extent = torch.tensor([width - 1, height - 1], dtype=points.dtype, device=points.device)
    scale = torch.tensor([width, height], dtype=points.dtype, device=points.device)
    k = math.pi * torch.arange(1, coefficients.shape[-1] + 1, dtype=points.dtype, device=points.device)
    fraction = points / extent
    inside = ((fraction > 0) & (fraction < 1)).all(-1)[..., None]
    waves = torch.sin(fraction[..., None] * k) * inside[..., None]
    slopes = k * torch.cos(fraction[..., None] * k) * inside[..., None]

    def summed(along: Tensor, down: Tensor) -> Tensor:
        with torch.autocast(points.device.type, enabled=False):
            return torch.einsum("naij,npi,npj->npa", coefficients, along, down) * scale

    shift = summed(waves[..., 0, :], waves[..., 1, :])
    slope_x = summed(slopes[..., 0, :], waves[..., 1, :]) / extent[0]
    slope_y = summed(waves[..., 0, :], slopes[..., 1, :]) / extent[1]
    return shift, torch.stack((slope_x, slope_y), dim=-1)
