"""What nets are shown: images, each with its own deformation, and with noise of the same norm."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from empirical.diffeo.fields import Folding, Interpolation, MaxEntropyDiffeo, deform, folded, require_images
from empirical.diffeo.interpolation import gaussian_blur
from theory.common.errors import InputError, require_integer
from theory.ensemble.diffeomorphisms import Calibration

__all__ = ["Probes", "draw_and_count", "draw_probes", "noise_like", "require_moved", "smoothed"]


def noise_like(difference: Tensor, generator: torch.Generator) -> Tensor:
    """Isotropic Gaussian noise with, image by image, the norm of `difference`."""
    noise = torch.randn(difference.shape, generator=generator, dtype=torch.float32).to(difference)
    scale = difference.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    return noise * scale.view(-1, *([1] * (difference.ndim - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Images, each with its own deformation and noise: what any number of nets can be shown alike.

    Attributes
    ----------
    clean, deformed, noisy : shape (images, channels, n, n)
    cutoff, displacement, temperature : of the diffeomorphisms; the displacement is the paper's if T was given
    folded_fraction : of the fields used
    coefficients : of the fields, shape (images, 2, c, c), see `displacement_fields`
    """

    clean: Tensor
    deformed: Tensor
    noisy: Tensor
    cutoff: int
    displacement: float
    temperature: float
    folded_fraction: float
    coefficients: Tensor | None = None


def smoothed(images: Tensor, interpolation: Interpolation) -> Tensor:
    """The clean images that deformed ones are compared with: themselves, but for Gaussian interpolation."""
    if interpolation != "gaussian":
        return images
    return torch.cat([gaussian_blur(part) for part in images.split(64)])


def draw_probes(
    images: Tensor,
    *,
    cutoff: int = 3,
    displacement: float | None = None,
    temperature: float | None = None,
    rng: int | np.random.Generator = 0,
    calibration: Calibration = "paper",
    interpolation: Interpolation = "bilinear",
    folding: Folding = "keep",
) -> Probes:
    """One diffeomorphism and one noise of the same norm for every image; arguments as of `measure_stability`.

    An image that its diffeomorphism does not change, a blank one, moves no output. It is told in a warning.

    Gaussian interpolation smooths, so that the clean images, too, are smoothed, as the authors do: `clean` are those,
    and the noise is added to them.

    Raises
    ------
    InputError
        See `MaxEntropyDiffeo`; and if no image is changed by its diffeomorphism.
    """
    probes, unmoved = draw_and_count(
        images, cutoff=cutoff, displacement=displacement, temperature=temperature, rng=rng,
        calibration=calibration, interpolation=interpolation, folding=folding,
    )  # fmt: skip
    require_moved(unmoved, len(images))
    return probes


def require_moved(unmoved: int, count: int) -> None:
    """InputError if none of `count` images is changed by its diffeomorphism."""
    if count and unmoved == count:
        raise InputError("images", "unchanged by every diffeomorphism", "must not be constant")


def draw_and_count(
    images: Tensor,
    *,
    cutoff: int = 3,
    displacement: float | None = None,
    temperature: float | None = None,
    rng: int | np.random.Generator = 0,
    calibration: Calibration = "paper",
    interpolation: Interpolation = "bilinear",
    folding: Folding = "keep",
) -> tuple[Probes, int]:
    """`draw_probes` of a part of all images, and how many of them are unchanged by their diffeomorphisms."""
    size = require_images(images)
    if displacement is None and temperature is None:
        displacement = 1.0
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    diffeo = MaxEntropyDiffeo(
        cutoff, displacement, temperature,
        calibration=calibration, interpolation=interpolation, folding=folding, generator=generator,
    )  # fmt: skip
    # Probes are drawn on the CPU, so that every device sees the same.
    coefficients = diffeo.sample(len(images), size)
    dtype = torch.promote_types(images.dtype, torch.float32)
    deformed = deform(images.to(dtype), coefficients.to(images.device), interpolation)
    images = smoothed(images, interpolation)
    difference = deformed - images.to(dtype)
    # Interpolation weights sum to 1 up to rounding, so a constant image moves by as much and no more.
    rounding = 10 * torch.finfo(dtype).eps * images.to(dtype).flatten(1).norm(dim=1)
    still = difference.flatten(1).norm(dim=1) <= rounding
    unmoved = int(still.sum())
    if unmoved:
        warnings.warn(f"{unmoved} of {len(images)} images are unchanged by their diffeomorphism", stacklevel=4)
    noisy = images + noise_like(difference, generator).to(images.dtype)
    ensemble = diffeo.ensemble(size)
    probes = Probes(
        images,
        deformed.to(images.dtype),
        noisy,
        cutoff,
        float(displacement) if displacement is not None else ensemble.paper_displacement,
        ensemble.temperature,
        float(folded(coefficients, size).float().mean()),
        coefficients,
    )
    return probes, unmoved
