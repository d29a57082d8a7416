"""Maximum-entropy diffeomorphisms of images, batched: sample, warp, and tell which fold.

The ensemble and its numbers are `theory.MaxEntropyEnsemble`; here its fields are drawn and applied. The
conventions are those of the authors' code (arXiv 2105.02468): field indexed [row y, column x], displacement
in pixels = n tau, and the value at pixel (y, x) read at (y - dy, x - dx), clamped to the image.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from theory.diffeo import Calibration, MaxEntropyEnsemble
from theory.errors import InputError, require_choice, require_integer

__all__ = [
    "Folding",
    "Interpolation",
    "MaxEntropyDiffeo",
    "displacement_fields",
    "folded",
    "require_images",
    "sample_coefficients",
    "warp",
]

Interpolation = Literal["bilinear", "nearest"]
Folding = Literal["keep", "reject", "allow"]


def require_images(images: Tensor, parameter: str = "images") -> int:
    """Side n of a batch of square floating-point images, shape (batch, channels, n, n); InputError otherwise."""
    if not isinstance(images, Tensor):
        raise InputError(parameter, type(images).__name__, "must be a torch tensor")
    if not images.is_floating_point():
        raise InputError(f"{parameter}.dtype", images.dtype, "must be a floating-point type")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[-1] != shape[-2] or shape[-1] < 2 or not images.numel():
        raise InputError(f"{parameter}.shape", shape, "must be (batch, channels, n, n) with n of at least 2")
    return shape[-1]


def _sine_modes(size: int, cutoff: int, like: Tensor) -> Tensor:
    """sin(k pi u) on the grid u = linspace(0, 1, size), shape (size, cutoff)."""
    u = torch.linspace(0, 1, size, dtype=like.dtype, device=like.device)
    k = torch.arange(1, cutoff + 1, dtype=like.dtype, device=like.device)
    modes = torch.sin(math.pi * u[:, None] * k)
    # sin(k pi) is zero, but not in floating point: without this the border would move by a rounding error.
    modes[[0, -1]] = 0
    return modes


def sample_coefficients(
    ensemble: MaxEntropyEnsemble,
    count: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Coefficients C_ij of `count` independent fields, shape (count, 2, c, c): components u = x, then v = y.

    Gaussian of mean 0 and standard deviation sqrt(T) / r below the cutoff, 0 above. The generator must live
    on `device`.
    """
    require_integer("count", count, 1)
    std = torch.as_tensor(ensemble.mode_std, dtype=dtype, device=device)
    shape = (count, 2, ensemble.cutoff, ensemble.cutoff)
    return torch.randn(shape, generator=generator, dtype=dtype, device=device) * std


def displacement_fields(coefficients: Tensor, size: int) -> Tensor:
    """Displacements (dx, dy) in pixels on an n x n grid, shape (count, 2, n, n), zero on the border.

    field[y, x] = n sum_ij C_ij sin(i pi x) sin(j pi y), as two small matrix products.
    """
    modes = _sine_modes(size, coefficients.shape[-1], coefficients)
    return size * (modes @ coefficients.transpose(-1, -2) @ modes.T)


def folded(coefficients: Tensor, size: int) -> Tensor:
    """Which fields are no diffeomorphism: det(1 - grad tau) <= 0 at some pixel; shape (count,), boolean.

    The gradient is that of the sine series itself, not a finite difference.
    """
    cutoff = coefficients.shape[-1]
    sine = _sine_modes(size, cutoff, coefficients)
    u = torch.linspace(0, 1, size, dtype=sine.dtype, device=sine.device)
    k = math.pi * torch.arange(1, cutoff + 1, dtype=sine.dtype, device=sine.device)
    slope = k * torch.cos(u[:, None] * k)
    swapped = coefficients.transpose(-1, -2)  # [j, i]: rows of the field are y
    along_x = sine @ swapped @ slope.T
    along_y = slope @ swapped @ sine.T
    determinant = (1 - along_x[:, 0]) * (1 - along_y[:, 1]) - along_y[:, 0] * along_x[:, 1]
    return (determinant <= 0).flatten(1).any(1)


def warp(images: Tensor, displacement: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """Images read at (clamp(y - dy), clamp(x - dx)), one field an image.

    Parameters
    ----------
    images : shape (batch, channels, n, n), floating point
    displacement : shape (batch, 2, n, n), pixels, component 0 along x (columns), 1 along y (rows)
    interpolation : ``bilinear`` (default) or ``nearest``
    """
    size = require_images(images)
    require_choice("interpolation", interpolation, ("bilinear", "nearest"))
    if displacement.shape != (len(images), 2, size, size):
        raise InputError(
            "displacement.shape", tuple(displacement.shape), f"must be {(len(images), 2, size, size)}"
        )
    # Positions to a fraction of a pixel need more than half precision.
    dtype = torch.promote_types(images.dtype, torch.float32)
    displacement = displacement.to(dtype)
    pixel = torch.arange(size, dtype=dtype, device=displacement.device)
    position = torch.stack((pixel - displacement[:, 0], pixel[:, None] - displacement[:, 1]), dim=-1)
    # grid_sample counts from -1 to 1 between the centres of the outer pixels; "border" is the clamp.
    grid = position * (2 / (size - 1)) - 1
    moved = functional.grid_sample(
        images.to(dtype), grid, mode=interpolation, padding_mode="border", align_corners=True
    )
    return moved.to(images.dtype)


class MaxEntropyDiffeo(nn.Module):
    """Deform every image of a batch by its own maximum-entropy diffeomorphism.

    Parameters
    ----------
    cutoff : c >= 2, the largest mode number
    displacement, temperature : exactly one of them; delta in pixels, or T
    calibration : how delta translates into T: ``paper`` (default) or ``exact``, see `MaxEntropyEnsemble`
    interpolation : ``bilinear`` (default) or ``nearest``
    folding : ``keep`` (default) refuses T > T_max and keeps the few fields that fold below it, as the paper
        does; ``reject`` also draws those anew; ``allow`` takes any T
    generator : source of randomness, on the images' device; None draws from torch's default

    Raises
    ------
    InputError
        On both or neither of displacement and temperature, images that are not square or not floating
        point, and a T that folds (see `folding`).

    Example
    -------
    >>> images = torch.rand(8, 3, 32, 32)
    >>> MaxEntropyDiffeo(cutoff=3, displacement=1.0)(images).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self,
        cutoff: int = 3,
        displacement: float | None = None,
        temperature: float | None = None,
        *,
        calibration: Calibration = "paper",
        interpolation: Interpolation = "bilinear",
        folding: Folding = "keep",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if (displacement is None) == (temperature is None):
            raise InputError(
                "displacement, temperature", (displacement, temperature), "exactly one of the two must be given"
            )
        self.cutoff = require_integer("cutoff", cutoff, 2)
        require_choice("calibration", calibration, ("paper", "exact"))
        self.displacement = displacement
        self.temperature = temperature
        self.calibration: Calibration = calibration
        self.interpolation = require_choice("interpolation", interpolation, ("bilinear", "nearest"))
        self.folding = require_choice("folding", folding, ("keep", "reject", "allow"))
        self.generator = generator
        self.ensemble(2 * self.cutoff)  # a wrong cutoff, displacement or temperature is told now

    def ensemble(self, size: int) -> MaxEntropyEnsemble:
        """The ensemble for images of side `size`, before any check for folding."""
        if self.temperature is not None:
            return MaxEntropyEnsemble(size, self.cutoff, self.temperature)
        return MaxEntropyEnsemble.from_displacement(
            size, self.cutoff, cast(float, self.displacement), self.calibration
        )

    def sample(
        self, count: int, size: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Coefficients of `count` fields for images of side `size`, shape (count, 2, c, c)."""
        ensemble = self.ensemble(size)
        if self.folding != "allow":
            name = "displacement" if self.temperature is None else "temperature"
            ensemble.require_below_folding(name, getattr(self, name))
        # Half precision is for images; the fields are drawn in at least single.
        dtype = torch.promote_types(dtype, torch.float32)
        coefficients = sample_coefficients(ensemble, count, self.generator, dtype, device)
        if self.folding == "reject":
            # Below T_max at most about half the fields fold (arXiv 2105.02468 says none do), so this ends soon.
            while (again := folded(coefficients, size)).any():
                coefficients[again] = sample_coefficients(
                    ensemble, int(again.sum()), self.generator, dtype, device
                )
        return coefficients

    def forward(self, images: Tensor) -> Tensor:
        """Deformed images, same shape and dtype."""
        size = require_images(images)
        coefficients = self.sample(len(images), size, images.dtype, images.device)
        return warp(images, displacement_fields(coefficients, size), cast(Interpolation, self.interpolation))

    def extra_repr(self) -> str:
        strength = (
            f"displacement={self.displacement}" if self.temperature is None else f"temperature={self.temperature}"
        )
        return f"cutoff={self.cutoff}, {strength}, interpolation={self.interpolation}, folding={self.folding}"
