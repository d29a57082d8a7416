"""Random diffeomorphisms as an augmentation, in the style of torchvision's transforms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from empirical.diffeo.interpolation import INTERPOLATIONS, Interpolation
from empirical.diffeo.sample_transform import SampleTransform
from empirical.diffeo.sine_series import folded
from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.ensemble.diffeomorphisms import MaxEntropyEnsemble

__all__ = ["RandomDiffeo"]


class RandomDiffeo(SampleTransform):
    r"""Deform every image by a diffeomorphism of random temperature and cutoff.

    For each image, with B and B' from Beta laws of their own,

    .. math::

        T = T_{\min} + B \, (T_{\max} - T_{\min}), \qquad
        c = \lfloor c_{\min} + B' (c_{\max} + 1 - c_{\min}) \rfloor, \qquad
        a = \frac{s r}{r + 1}, \quad b = \frac{s}{r + 1}

    A law's parameters are a and b: s = a + b says how peaked it is, r = a / b how far it leans towards T_max. That
    of B' is by default the uniform one.
    These are the laws of the authors' transform (github.com/pcsl-epfl/diffeomorphism) and of PRIME's
    (arXiv 2112.13547); T_min and T_max are the paper's (`MaxEntropyEnsemble.temperature_range`). docs/transforms.md
    translates their parameters.

    Parameters
    ----------
    concentration : s > 0
    lean : r > 0
    cutoff_min, cutoff_max : 2 <= cutoff_min <= cutoff_max; T_min < T_max asks for c < 2 n / pi besides
    cutoff_concentration, cutoff_lean : s and r of the cutoffs' law
    strength : alpha > 0; max(T_min, alpha T_max) is in the place of T_max
    probability : with which an image is deformed at all
    folding : ``reject`` (default) draws fields that fold anew; ``keep`` leaves them, and takes any cutoff: T = T_min
        where T_max is below
    generator : source of randomness, on the images' device, of one's own in each worker of a loader; None takes torch's
        default

    Takes one image (channels, height, width) or a batch, floating point or bytes, a Pillow image, or a sample with
    masks, boxes and key points in torchvision's types, and gives the same back: see `empirical.diffeo.samples`.
    `replay` deforms another sample as the last one.

    Raises
    ------
    InputError
        On parameters out of range, other images, and cutoffs that are too high for the images' size.
    """

    def __init__(
        self,
        concentration: float = 2.0,
        lean: float = 1.0,
        cutoff_min: int = 2,
        cutoff_max: int = 5,
        *,
        cutoff_concentration: float = 2.0,
        cutoff_lean: float = 1.0,
        strength: float = 1.0,
        probability: float = 1.0,
        interpolation: Interpolation = "bilinear",
        folding: str = "reject",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        self.concentration = require_real("concentration", concentration, above=0)
        self.lean = require_real("lean", lean, above=0)
        self.cutoff_min = require_integer("cutoff_min", cutoff_min, 2)
        self.cutoff_max = require_integer("cutoff_max", cutoff_max, self.cutoff_min)
        self.cutoff_concentration = require_real("cutoff_concentration", cutoff_concentration, above=0)
        self.cutoff_lean = require_real("cutoff_lean", cutoff_lean, above=0)
        self.strength = require_real("strength", strength, above=0)
        self.probability = require_real("probability", probability, minimum=0, maximum=1)
        require_choice("interpolation", interpolation, INTERPOLATIONS)
        self.interpolation: Interpolation = interpolation
        self.folding = require_choice("folding", folding, ("reject", "keep"))

    def draw(self, count: int, size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Cutoffs and temperatures of `count` images of side `size`, each of shape (count,)."""
        widest = MaxEntropyEnsemble(size, self.cutoff_max, 1.0).temperature_range
        if widest[0] >= widest[1] and self.folding == "reject":
            allowed = f"must be below 2 n / pi = {2 * size / math.pi:.3g} for images of {size} pixels"
            raise InputError("cutoff_max", self.cutoff_max, allowed)
        span = (self.cutoff_min, self.cutoff_max + 1)
        cutoffs = self._cutoffs(count, device)
        ranges = torch.tensor(
            [MaxEntropyEnsemble(size, c, 1.0).temperature_range for c in range(*span)],
            dtype=torch.float32,
            device=device,
        )[cutoffs - self.cutoff_min]
        part = _beta(self.concentration, self.lean, count, self.source(), device)
        highest = torch.maximum(ranges[:, 0], self.strength * ranges[:, 1])
        return cutoffs, ranges[:, 0] + part * (highest - ranges[:, 0])

    def _cutoffs(self, count: int, device: torch.device | str) -> Tensor:
        span = (self.cutoff_min, self.cutoff_max + 1)
        if self.cutoff_concentration == 2 and self.cutoff_lean == 1:
            return torch.randint(*span, (count,), generator=self.source(), device=device)
        part = _beta(self.cutoff_concentration, self.cutoff_lean, count, self.source(), device)
        return (span[0] + part * (span[1] - span[0])).long().clamp(max=self.cutoff_max)

    def coefficients(self, count: int, size: int | tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
        """C_ij of `count` fields, shape (count, 2, c, c) with c the largest cutoff."""
        side = size if isinstance(size, int) else min(size)
        cutoffs, temperatures = self.draw(count, side, device)
        k = torch.arange(1, self.cutoff_max + 1, device=device)
        radius = torch.hypot(k[:, None].float(), k.float())
        std = temperatures.sqrt()[:, None, None] / radius * (radius < cutoffs[:, None, None] + 0.5)

        def normal(which: Tensor) -> Tensor:
            shape = (int(which.sum()), 2, self.cutoff_max, self.cutoff_max)
            return torch.randn(shape, generator=self.source(), dtype=torch.float32, device=device) * std[which][:, None]

        found = normal(torch.ones(count, dtype=torch.bool, device=device))
        while self.folding == "reject" and (again := folded(found, size)).any():
            found[again] = normal(again)
        return found

    def _draw(self, count: int, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        found = self.coefficients(count, size, device)
        if self.probability < 1:
            kept = torch.rand(count, generator=self.source(), dtype=torch.float32, device=device) < self.probability
            found = found * kept.view(-1, 1, 1, 1)
        return found

    def extra_repr(self) -> str:
        return (
            f"concentration={self.concentration}, lean={self.lean}, cutoff_min={self.cutoff_min}, "
            f"cutoff_max={self.cutoff_max}, probability={self.probability}"
        )


def _beta(
    concentration: float, lean: float, count: int, generator: torch.Generator | None, device: torch.device | str
) -> Tensor:
    """Of two gamma variates x and y, y / (x + y) follows the Beta law of their shapes; torch's sampler takes none."""
    share = concentration / (lean + 1)
    low, high = (
        torch._standard_gamma(torch.full((count,), shape, dtype=torch.float32, device=device), generator=generator)
        for shape in (share, lean * share)
    )
    return high / (low + high)
