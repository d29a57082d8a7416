"""What nets are shown: images, each with its own deformation, and with noise of the same norm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from empirical.diffeo.fields import Folding, Interpolation, MaxEntropyDiffeo, deform, folded, require_images
from empirical.diffeo.interpolation import gaussian_blur
from theory.common.errors import InputError, require_choice, require_integer
from theory.ensemble.diffeomorphisms import Calibration

__all__ = [
    "NOISES", "Noise", "Probes", "Transformation",
    "draw_and_count", "draw_probes", "noise_like", "require_moved", "smoothed", "transform_probes",
]  # fmt: skip

#: From clean inputs and a generator to the moved inputs, one for one.
Transformation = Callable[[Tensor, np.random.Generator], Tensor]
Noise = Literal["each", "alike", "rectified"]
NOISES: tuple[Noise, ...] = ("each", "alike", "rectified")


def noise_like(difference: Tensor, generator: torch.Generator, noise: Noise = "each") -> Tensor:
    """Isotropic Gaussian noise with the norms of `difference`.

    Those of ``each`` input by itself; ``alike``, the root mean square of them all; or ``rectified``, the noise of arXiv
    2210.01506 in one dimension: relu(sigma N(0, 1)) in every number, with sigma^2 the mean of difference^2 over all
    inputs and numbers. Its norm is 1 / sqrt(2) of that, and it is never negative: nets that pool accumulate its mean.
    """
    drawn = torch.randn(difference.shape, generator=generator, dtype=torch.float32).to(difference)
    norms = difference.flatten(1).norm(dim=1)
    if noise == "rectified":
        return torch.relu(drawn) * (norms.square().mean() / difference[0].numel()).sqrt()
    if noise == "alike":
        norms = norms.square().mean().sqrt().expand(len(norms))
    scale = norms / drawn.flatten(1).norm(dim=1)
    return drawn * scale.view(-1, *([1] * (difference.ndim - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Images, each with its own deformation and noise: what any number of nets can be shown alike.

    Attributes
    ----------
    clean, deformed, noisy : shape (images, channels, n, n), or that of other inputs
    cutoff, displacement, temperature : of the diffeomorphisms; the displacement is the paper's if T was given
    folded_fraction : of the fields used
    coefficients : of the fields, shape (images, 2, c, c), see `displacement_fields`

    The last five say nothing (None, NaN) of other transformations than the max-entropy diffeomorphisms.
    """

    clean: Tensor
    deformed: Tensor
    noisy: Tensor
    cutoff: int | None = None
    displacement: float = math.nan
    temperature: float = math.nan
    folded_fraction: float = math.nan
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
    noisy, unmoved = _with_noise(images, deformed, generator)
    if unmoved:
        warnings.warn(f"{unmoved} of {len(images)} images are unchanged by their diffeomorphism", stacklevel=4)
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


def transform_probes(
    inputs: Tensor, transformation: Transformation, *, rng: int | np.random.Generator = 0, noise: Noise = "each"
) -> Probes:
    """Probes of any transformation: `transformation(inputs, rng)` is what the inputs are compared with.

    D_f then says how far that moves the net's outputs, G_f how far noise of the same norm does.

    Parameters
    ----------
    inputs : shape (N, ...), floating point
    transformation : a task's own, such as other places for what is informative; it draws from the generator it is given
    noise : see `noise_like`

    Raises
    ------
    InputError
        If the moved inputs have another shape, or none of them is moved.
    """
    require_choice("noise", noise, NOISES)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    moved = transformation(inputs, rng)
    if moved.shape != inputs.shape:
        raise InputError("transformation", tuple(moved.shape), f"must keep the shape {tuple(inputs.shape)}")
    noisy, unmoved = _with_noise(inputs, moved, generator, noise)
    if unmoved == len(inputs):
        raise InputError("inputs", "unchanged by every transformation", "must be moved")
    if unmoved and noise == "each":  # then it has no noise either
        warnings.warn(f"{unmoved} of {len(inputs)} inputs are unchanged by their transformation", stacklevel=2)
    return Probes(inputs, moved, noisy)


def _with_noise(
    clean: Tensor, moved: Tensor, generator: torch.Generator, noise: Noise = "each"
) -> tuple[Tensor, int]:
    """The clean inputs with noise as large as what moved them, and how many of them are not moved."""
    difference = moved - clean.to(moved.dtype)
    # Interpolation weights sum to 1 up to rounding, so a constant image moves by as much and no more.
    rounding = 10 * torch.finfo(moved.dtype).eps * clean.to(moved.dtype).flatten(1).norm(dim=1)
    unmoved = int((difference.flatten(1).norm(dim=1) <= rounding).sum())
    return clean + noise_like(difference, generator, noise).to(clean.dtype), unmoved
