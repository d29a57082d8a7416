"""Maximum-entropy diffeomorphisms of images, batched: sample, warp, and tell which fold.

The ensemble and its numbers are `theory.MaxEntropyEnsemble`; here its fields are drawn and applied. The
conventions are those of the authors' code (arXiv 2105.02468): field indexed [row y, column x], displacement
in pixels = n tau, and the value at pixel (y, x) read at (y - dy, x - dx), clamped to the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor

from empirical.diffeo.deformation import deform
from empirical.diffeo.interpolation import INTERPOLATIONS, Interpolation, warp
from empirical.diffeo.sample_transform import SampleTransform
from empirical.diffeo.sine_series import displacement_fields, folded, inverse_fields, sides
from theory.common.errors import InputError, require_choice, require_integer
from theory.ensemble.diffeomorphisms import Calibration, MaxEntropyEnsemble

__all__ = [
    "Folding",
    "Interpolation",
    "MaxEntropyDiffeo",
    "deform",
    "displacement_fields",
    "folded",
    "inverse_fields",
    "require_images",
    "sample_coefficients",
    "warp",
]

Folding = Literal["keep", "reject", "allow"]


def require_images(images: Tensor, parameter: str = "images") -> int:
    """Side n of a batch of square floating-point images, shape (batch, channels, n, n); InputError otherwise."""
    if not isinstance(images, Tensor):
        raise InputError(parameter, type(images).__name__, "must be a torch tensor")
    if images.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise InputError(f"{parameter}.dtype", images.dtype, "must be a floating-point type of 16 bits or more")
    if images.is_nested or images.layout != torch.strided:
        raise InputError(f"{parameter}.layout", "nested" if images.is_nested else str(images.layout), "must be dense")
    if images.is_meta:
        raise InputError(f"{parameter}.device", "meta", "must hold numbers")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[-1] != shape[-2] or shape[-1] < 2 or not images.numel():
        raise InputError(f"{parameter}.shape", shape, "must be (batch, channels, n, n) with n of at least 2")
    return shape[-1]


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


def _one_or_each(name: str, given: float | Sequence[float] | Tensor | None) -> float | tuple[float, ...] | None:
    """A number as it is; a tensor or a sequence as a tuple."""
    if given is None or isinstance(given, (int, float)):
        return given
    if isinstance(given, Tensor):
        if given.ndim > 1:
            raise InputError(name, f"of shape {tuple(given.shape)}", "must be one number, or one for each image")
        given = given.tolist()
        if isinstance(given, float):
            return given
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or not len(given):
        raise InputError(name, given, "must be one number, or one for each image")
    return tuple(given)


class MaxEntropyDiffeo(SampleTransform):
    """Deform every image of a batch by its own maximum-entropy diffeomorphism.

    Parameters
    ----------
    cutoff : c >= 2, the largest mode number
    displacement, temperature : exactly one of them; delta in pixels, or T; a number for all images, or a tensor or
        sequence with one for each
    calibration : how delta translates into T: ``paper`` (default) or ``exact``, see `MaxEntropyEnsemble`
    interpolation : ``bilinear`` (default), ``nearest`` or ``gaussian``, see `warp`
    folding : ``keep`` (default) refuses T > T_max and keeps the few fields that fold below it, as the paper
        does; ``reject`` also draws those anew; ``allow`` takes any T
    generator : source of randomness, on the images' device; None draws from torch's default

    Raises
    ------
    InputError
        On both or neither of displacement and temperature, or as many of them as there are not images; images that
        are not floating point, and a T that folds (see `folding`).

    Takes what `RandomDiffeo` takes, single images, masks, boxes and key points among it.

    Images of height x width pixels are displaced by (width tau_u, height tau_v); their delta is the root mean square
    over the square's times sqrt((height^2 + width^2) / 2), which is n for n x n pixels.

    Example
    -------
    >>> images = torch.rand(8, 3, 32, 32)
    >>> MaxEntropyDiffeo(cutoff=3, displacement=1.0)(images).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self,
        cutoff: int = 3,
        displacement: float | Sequence[float] | Tensor | None = None,
        temperature: float | Sequence[float] | Tensor | None = None,
        *,
        calibration: Calibration = "paper",
        interpolation: Interpolation = "bilinear",
        folding: Folding = "keep",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if (displacement is None) == (temperature is None):
            raise InputError(
                "displacement, temperature", (displacement, temperature), "exactly one of the two must be given"
            )
        self.cutoff = require_integer("cutoff", cutoff, 2)
        require_choice("calibration", calibration, ("paper", "exact"))
        self.displacement = _one_or_each("displacement", displacement)
        self.temperature = _one_or_each("temperature", temperature)
        self.calibration: Calibration = calibration
        self.interpolation = require_choice("interpolation", interpolation, INTERPOLATIONS)
        self.folding = require_choice("folding", folding, ("keep", "reject", "allow"))
        for number in self._given if isinstance(self._given, tuple) else (self._given,):
            self._ensemble(2 * self.cutoff, number)  # a wrong cutoff, displacement or temperature is told now

    @property
    def _given(self) -> float | tuple[float, ...]:
        return cast("float | tuple[float, ...]", self.displacement if self.temperature is None else self.temperature)

    @property
    def _name(self) -> str:
        return "displacement" if self.temperature is None else "temperature"

    def _ensemble(self, size: int, given: float) -> MaxEntropyEnsemble:
        if self.temperature is not None:
            return MaxEntropyEnsemble(size, self.cutoff, given)
        return MaxEntropyEnsemble.from_displacement(size, self.cutoff, given, self.calibration)

    def ensemble(self, size: int) -> MaxEntropyEnsemble:
        """The ensemble for images of side `size`, before any check for folding; one for all images, or InputError."""
        if isinstance(self._given, tuple):
            raise InputError(self._name, f"{len(self._given)} numbers", "differs between images: no one ensemble")
        return self._ensemble(size, self._given)

    def _ensembles(self, count: int, size: int | tuple[int, int]) -> list[MaxEntropyEnsemble]:
        """One for each of the images, or a single one for all; InputError where T folds and may not."""
        height, width = sides(size)
        given = self._given if isinstance(self._given, tuple) else (self._given,)
        if isinstance(self._given, tuple) and len(given) != count:
            raise InputError(self._name, f"{len(given)} numbers", f"must be one, or {count}: one for each image")
        # What a displacement of delta is on the rectangle, it is on the square of this side.
        stretch = 1.0 if height == width else width / math.sqrt((height**2 + width**2) / 2)
        scale = stretch if self.temperature is None else 1.0
        found = [self._ensemble(width, number * scale) for number in given]
        if self.folding != "allow":
            for ensemble, number in zip(found, given, strict=True):
                ensemble.require_below_folding(self._name, number)
        return found

    def sample(
        self,
        count: int,
        size: int | tuple[int, int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Coefficients of `count` fields for images of side n, or of (height, width), shape (count, 2, c, c)."""
        ensembles = self._ensembles(count, size)
        # Half precision is for images; the fields are drawn in at least single.
        dtype = torch.promote_types(dtype, torch.float32)
        if len(ensembles) == 1:
            law, roots = ensembles[0], None
        else:
            law = MaxEntropyEnsemble(ensembles[0].size, self.cutoff, 1.0)
            temperatures = torch.tensor([one.temperature for one in ensembles], dtype=dtype, device=device)
            roots = temperatures.sqrt().view(-1, 1, 1, 1)

        source = self.source()

        def draw(which: Tensor) -> Tensor:
            drawn = sample_coefficients(law, int(which.sum()), source, dtype, device)
            return drawn if roots is None else drawn * roots[which]

        coefficients = draw(torch.ones(count, dtype=torch.bool, device=device))
        if self.folding == "reject":
            # Below T_max at most about half the fields fold (arXiv 2105.02468 says none do), so this ends soon.
            while (again := folded(coefficients, size)).any():
                coefficients[again] = draw(again)
        return coefficients

    def _draw(self, count: int, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        return self.sample(count, size, dtype, device)

    def extra_repr(self) -> str:
        strength = (
            f"displacement={self.displacement}" if self.temperature is None else f"temperature={self.temperature}"
        )
        return f"cutoff={self.cutoff}, {strength}, interpolation={self.interpolation}, folding={self.folding}"
