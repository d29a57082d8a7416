"""Stability of a trained function to diffeomorphisms, to noise, and of one relative to the other.

For a function f (logits), images x, diffeomorphisms tau and isotropic noise eta with ||eta|| = ||tau x - x||
image by image (arXiv 2105.02468, equations 4 to 6):

    D_f = avg_x ||f(tau x) - f(x)||^2 / avg_{x,z} ||f(x) - f(z)||^2,
    G_f = avg_x ||f(x + eta) - f(x)||^2 / avg_{x,z} ||f(x) - f(z)||^2,      R_f = D_f / G_f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from empirical.diffeo.fields import Folding, Interpolation
from empirical.nets.evaluation import BatchNorm, still
from empirical.stability.averages import AVERAGES, Average, Outputs, averages, bootstrap_weights
from empirical.stability.probes import Probes, draw_probes
from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.common.estimate import Estimate
from theory.ensemble.diffeomorphisms import Calibration

__all__ = [
    "AVERAGES",
    "Average",
    "Outputs",
    "Stability",
    "measure_outputs",
    "measure_probes",
    "measure_stability",
]

@dataclass(frozen=True, slots=True)
class Stability:
    """D_f, G_f and R_f of one function, each with a bootstrap interval over images and their probes.

    `temperature` and `folded_fraction` describe the diffeomorphisms used (NaN where none were).
    """

    diffeo: Estimate
    noise: Estimate
    relative: Estimate
    average: Average
    cutoff: int | None = None
    displacement: float = float("nan")
    temperature: float = float("nan")
    folded_fraction: float = float("nan")

    @classmethod
    def of(cls, probes: Probes, estimates: tuple[Estimate, Estimate, Estimate], average: Average) -> Stability:
        """D, G and R with the setting in which they were measured."""
        return cls(
            *estimates,
            average=average,
            cutoff=probes.cutoff,
            displacement=probes.displacement,
            temperature=probes.temperature,
            folded_fraction=probes.folded_fraction,
        )

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers."""
        return {
            "diffeo_stability": self.diffeo.summary(),
            "noise_stability": self.noise.summary(),
            "relative_stability": self.relative.summary(),
            "average": self.average,
            "cutoff": self.cutoff,
            **{
                name: value if np.isfinite(value := getattr(self, name)) else None
                for name in ("displacement", "temperature", "folded_fraction")
            },
        }

    def row(self) -> dict[str, Any]:
        """The columns of the curve table that this measurement fills."""
        columns: dict[str, Any] = {
            "average": self.average,
            "cutoff": self.cutoff,
            "displacement": self.displacement,
            "temperature": self.temperature,
            "folded_fraction": self.folded_fraction,
        }
        for name, estimate in (
            ("diffeo_stability", self.diffeo),
            ("noise_stability", self.noise),
            ("relative_stability", self.relative),
        ):
            columns |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return columns

    def __repr__(self) -> str:
        return f"Stability(D_f={self.diffeo}, G_f={self.noise}, R_f={self.relative}, average={self.average!r})"


def measure_outputs(
    outputs: Outputs,
    *,
    average: Average = "mean",
    rng: np.random.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> tuple[Estimate, Estimate, Estimate]:
    """D_f, G_f and R_f from a function's outputs, with percentile-bootstrap intervals over images.

    An image is resampled together with its diffeomorphism and its noise, so the intervals contain the spread
    of the probes. `resamples` = 0 gives no intervals (NaN), and neither do so few images that an end is infinite.

    Raises
    ------
    InputError
        If there are fewer than 2 images, an output is not finite, all clean outputs agree (the denominator
        vanishes), or the noise moves no output.
    """
    require_choice("average", average, AVERAGES)
    require_integer("resamples", resamples, 0)
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    count = len(outputs.clean)
    least = 3 if average == "coordinate-median" else 2  # of 2, the zero diagonal is half of all pairs
    if count < least:
        raise InputError("images", count, f"at least {least} are needed")
    for name, values in (("f(x)", outputs.clean), ("f(tau x)", outputs.deformed), ("f(x + eta)", outputs.noisy)):
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).any(1).sum())
            raise InputError(f"model output {name}", f"not finite for {bad} of {count} images", "must be finite")
    drawn = averages(outputs, bootstrap_weights(count, resamples, rng), average)
    diffeo, noise = drawn[:, 0]
    if not np.isfinite(diffeo):
        raise InputError("model output f(x)", "the same for all images", "must differ between images")
    if noise == 0:
        raise InputError("model output", "f(x + eta) = f(x)", "noise must move it: R_f = D_f / 0")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([drawn, drawn[:1] / drawn[1:]])
        tail = (1 - confidence) / 2
        intervals = np.quantile(ratios[:, 1:], [tail, 1 - tail], axis=1) if resamples else np.full((2, 3), np.nan)
    # Of few images a sample may hold one alone, whose pairs are no distance apart: its ratios are infinite.
    intervals[:, ~np.isfinite(intervals).all(0)] = np.nan
    estimates = [
        Estimate(float(value), float(low), float(high), count, confidence)
        for value, low, high in zip(ratios[:, 0], *intervals, strict=True)
    ]
    return estimates[0], estimates[1], estimates[2]


def measure_stability(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    cutoff: int = 3,
    displacement: float | None = None,
    temperature: float | None = None,
    average: Average = "mean",
    rng: int | np.random.Generator = 0,
    calibration: Calibration = "paper",
    interpolation: Interpolation = "bilinear",
    folding: Folding = "keep",
    batch_norm: BatchNorm = "running",
    batch_size: int = 64,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Stability:
    r"""D_f, G_f and R_f of `model` on `images`, one diffeomorphism and one noise an image.

    .. math::

        D_f = \frac{\langle \lVert f(\tau x) - f(x) \rVert^2 \rangle_{x, \tau}}
                   {\langle \lVert f(x) - f(z) \rVert^2 \rangle_{x, z}}, \qquad
        G_f = \frac{\langle \lVert f(x + \eta) - f(x) \rVert^2 \rangle_{x, \eta}}
                   {\langle \lVert f(x) - f(z) \rVert^2 \rangle_{x, z}}, \qquad
        R_f = \frac{D_f}{G_f}

    x and z are distinct images; the noise of an image has the norm of its tau x - x. Intervals are those of a
    bootstrap over images. Source: arXiv 2105.02468, equations 4 to 6.

    Parameters
    ----------
    model : maps (batch, channels, n, n) to (batch, K); a Module is put in eval mode meanwhile
    images : shape (images, channels, n, n), floating point, on the model's device
    cutoff, displacement, temperature, calibration, interpolation, folding : see `MaxEntropyDiffeo`;
        displacement is 1 pixel unless it or a temperature is given
    average : ``mean`` (default); ``median`` of the squared norms over images, over that of distinct pairs;
        ``coordinate-median``, the authors' published one: the lower median over images of each squared
        coordinate, summed, over the lower median of all pairs with the zero diagonal
    rng : seed or generator of diffeomorphisms, noise and bootstrap: the same one gives every model the same
        probes
    batch_norm : ``running`` (default) uses the model's running statistics; ``clean`` those of the clean images
        for all three batches, as a net at initialisation needs; ``own`` normalises clean, deformed and noisy images
        each by themselves, as the authors' code does at initialisation, all images in one batch
    batch_size : images in one forward pass
    resamples, confidence : of the bootstrap over images

    Raises
    ------
    InputError
        See `MaxEntropyDiffeo` and `measure_outputs`; and if no image is changed by its diffeomorphism.
    """
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    probes = draw_probes(
        images, cutoff=cutoff, displacement=displacement, temperature=temperature, rng=rng,
        calibration=calibration, interpolation=interpolation, folding=folding,
    )  # fmt: skip
    return measure_probes(
        model, probes, average=average, rng=rng, batch_norm=batch_norm, batch_size=batch_size, resamples=resamples,
        confidence=confidence,
    )  # fmt: skip


def measure_probes(
    model: nn.Module | Callable[[Tensor], Tensor],
    probes: Probes,
    *,
    average: Average = "mean",
    rng: int | np.random.Generator = 0,
    batch_norm: BatchNorm = "running",
    batch_size: int = 64,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Stability:
    """D_f, G_f and R_f of `model` on probes drawn before, which any number of nets can share; see `measure_stability`.

    `rng` is that of the bootstrap.
    """
    require_choice("average", average, AVERAGES)
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(require_integer("rng", rng, 0))
    with still(model, probes.clean, batch_norm, batch_size) as run:
        outputs = Outputs(run(probes.clean), run(probes.deformed), run(probes.noisy))
    estimates = measure_outputs(outputs, average=average, rng=rng, resamples=resamples, confidence=confidence)
    return Stability.of(probes, estimates, average)
