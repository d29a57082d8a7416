"""R_f, D_f and G_f in somebody's training loop, as numbers for a logger, without a trace in the training."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.diffeo.fields import require_images
from empirical.nets.evaluation import BatchNorm, evaluation
from empirical.nets.outputs import Logits
from empirical.stability.layers import measure_layers
from empirical.stability.measure import Stability, measure_probes
from empirical.stability.probes import Probes, draw_probes
from theory.common.errors import InputError, require_integer

__all__ = ["IMAGES", "StabilityAlongTraining", "first_images", "log_stability", "random_states_kept", "require_setting"]

#: Images taken from a loader: three times as many forward passes are below a hundredth of most epochs.
IMAGES = 256
_SIDE = 1024  # a displacement that folds on such an image folds on all


class StabilityAlongTraining:
    """``log(model)`` gives R_f, D_f and G_f with their intervals, by name, whenever it is called.

    The deformations and the noise are drawn once, so that the values along a training are paired. The net's modes, its
    weights and the random states of torch, NumPy and Python are afterwards what they were: the training goes on as
    it would have without.

    Parameters
    ----------
    images : shape (images, channels, n, n), as the net takes them, with their normalisation
    cutoff, displacement, temperature, batch_norm, batch_size : as of `measure_stability`
    layers : names of modules that are measured besides, as `measure_layers` takes them
    prefix : of the names
    seed : of deformations, noise and bootstrap

    Raises
    ------
    InputError
        See `draw_probes`, and `measure_stability` when the net is measured.

    Example
    -------
    >>> import torch
    >>> images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))
    >>> stability = StabilityAlongTraining(images)
    >>> sorted(stability.log(model))[:3]  # after each epoch, for a logger
    ['relstab/D_f', 'relstab/D_f_high', 'relstab/D_f_low']
    """

    def __init__(
        self,
        images: Tensor,
        *,
        cutoff: int = 3,
        displacement: float | None = None,
        temperature: float | None = None,
        batch_norm: BatchNorm = "running",
        batch_size: int = 64,
        layers: Sequence[str] = (),
        prefix: str = "relstab",
        seed: int = 0,
    ) -> None:
        require_images(images)
        self.seed = require_integer("seed", seed, 0)
        self.probes = draw_probes(
            images.detach().cpu(), cutoff=cutoff, displacement=displacement, temperature=temperature, rng=seed
        )
        self.batch_norm: BatchNorm = batch_norm
        self.batch_size = require_integer("batch_size", batch_size, 1)
        self.layers = tuple(layers)
        self.prefix = prefix

    def try_on(self, model: nn.Module) -> None:
        """Show the net three images, before a training begins. Nothing is changed, and nothing measured.

        Raises
        ------
        InputError
            If its outputs are none that `log` can measure, or if it has no layer of a name in `layers`.
        """
        if any(isinstance(one, nn.parameter.UninitializedParameter) for one in model.parameters()):
            return  # the first images it sees make its weights, which is for the training to do
        with random_states_kept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probes = _where_the_net_is(self.probes, model)
            few = replace(
                probes, clean=probes.clean[:3], deformed=probes.deformed[:3], noisy=probes.noisy[:3], coefficients=None
            )
            with evaluation(model):
                Logits(model)(few.clean)
            if self.layers:
                measure_layers(model, few, layers=self.layers, batch_norm=self.batch_norm, resamples=0)

    def log(self, model: nn.Module) -> dict[str, float]:
        """`prefix`/R_f, R_f_low, R_f_high, and likewise D_f and G_f; `prefix`/layers/NAME/R_k, ... of layers."""
        with random_states_kept():
            probes = _where_the_net_is(self.probes, model)
            shown = Logits(model)  # transformers' nets give their logits in a ModelOutput
            found = measure_probes(
                shown, probes, rng=self.seed, batch_norm=self.batch_norm, batch_size=self.batch_size
            )
            values = _named(f"{self.prefix}/", "f", found)
            if self.layers:
                for one in measure_layers(
                    model, probes, layers=self.layers, rng=self.seed, batch_norm=self.batch_norm,
                    batch_size=self.batch_size,
                ):  # fmt: skip
                    values |= _named(f"{self.prefix}/layers/{one.name}/", "k", one.stability)
        return values


def log_stability(model: nn.Module, images: Tensor, **setting: Any) -> dict[str, float]:
    """R_f, D_f and G_f by name, once; the keyword arguments are those of `StabilityAlongTraining`.

    A second call with the same images and seed draws the same deformations again.
    """
    return StabilityAlongTraining(images, **setting).log(model)


def require_setting(setting: dict[str, Any]) -> None:
    """What no image could be measured with is told when a callback is made, and not at the end of an epoch."""
    StabilityAlongTraining(torch.eye(_SIDE)[None, None], **setting)


def _named(before: str, index: str, found: Stability) -> dict[str, float]:
    values: dict[str, float] = {}
    for letter, estimate in (("R", found.relative), ("D", found.diffeo), ("G", found.noise)):
        name = f"{before}{letter}_{index}"
        values |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return values


def _where_the_net_is(probes: Probes, model: nn.Module) -> Probes:
    """On its device, in its type of numbers."""
    weight = next((one for one in model.parameters() if one.is_floating_point()), None)
    if weight is None:
        return probes
    clean, deformed, noisy = (part.to(weight.device, weight.dtype) for part in (
        probes.clean, probes.deformed, probes.noisy))  # fmt: skip
    return replace(probes, clean=clean, deformed=deformed, noisy=noisy)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Put back the random states of torch (on all devices), NumPy and Python as they were before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def first_images(loader: Any, count: int = IMAGES) -> Tensor:
    """The first images of a loader whose batches are a tensor, begin with one, or hold `pixel_values`; InputError else.

    Random states are kept: that a loader begins draws from torch's.
    """
    parts: list[Tensor] = []
    with random_states_kept():
        for batch in loader:
            images = batch
            if isinstance(batch, dict):
                images = batch.get("pixel_values", batch.get("image", batch.get("images")))
            elif isinstance(batch, (tuple, list)) and len(batch):
                images = batch[0]
            if not isinstance(images, Tensor) or images.ndim != 4:
                found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
                allowed = "must begin with images (batch, channels, n, n), or hold pixel_values; or give images"
                raise InputError("batches", found, allowed)
            parts.append(images)
            if sum(map(len, parts)) >= count:
                break
    if not parts:
        raise InputError("batches", "none", "must hold images")
    return torch.cat(parts)[:count]
