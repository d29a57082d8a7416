"""How image nets are trained: the optimizer, the batches, and what random crops and flips do to them.

Two recipes. "paper" is that of arXiv 2105.02468 (appendix A): SGD with momentum 0.9, weight decay 5e-4, batches of
128, 250 epochs with the learning rate on a cosine, random crops and flips for CIFAR10; Adam without weight decay for
nets without convolutions.

"fast" is for nets with convolutions and some ten epochs. The learning rate goes linearly from a fifth of its peak up to
it in the first fifth of the steps, then linearly to zero (`triangle`). Labels are smoothed by 0.2. Images are moved by
up to 2 pixels, mirrored at the border, and flipped left to right every other epoch: half of them, drawn at the start,
in the odd epochs, the others in the even ones (K. Jordan, arXiv 2404.00498), for CIFAR10 and FashionMNIST, or where
crop-flip is asked for. SGD is Nesterov's, with the same momentum and decay as the paper's, and a gradient of norm above
1 is shortened to 1: at rates that are good later, nets with a linear layer on many features diverge in the first steps.
"muon", airbench's own optimizer, is FilterMuon for the weights of convolutions and Nesterov SGD for all else. Nothing
is shortened there.

Batch norm has its running statistics in the end, those of the last steps, at a rate of nearly zero. Weights are not
averaged, and a test image is shown once: R_f is that of one function.

Learning rates of the fast recipe, by a rule: the peak of SGD is 0.2 with batch norm and 0.08 without, that of Muon 0.12
(the part of a filter's norm that a step changes), for batches of 128 and in proportion to the square root of the batch.
They were tried, beside half and twice the rate, on a held-out part of the training set, two nets for each rate of SGD
(`paper/data/learning_rates.csv`): half the rate is worse for all four, twice is better for three by up to 0.03, and is
left as a margin for deeper nets. No test image was seen. With Muon, all else has Nesterov SGD at 1.6 times that rate,
biases at 100 times: airbench's ratios at these batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from empirical.diffeo.fields import MaxEntropyDiffeo, deform
from empirical.stability.probes import noise_like
from empirical.training.config import ImageConfig
from theory.common.errors import InputError

__all__ = ["Recipe", "crop_and_flip", "cropped", "perturbed", "recipe", "reflected", "triangle"]

_MARGIN = 4  # black pixels around an image, out of which a crop of its size is taken
_REFLECTED = 2  # mirrored ones around it in the fast recipe
# Runs in stores and their checkpoints are named by the recipe alone: whoever changes its numbers gives it another name.
_SMOOTHING = 0.2
_LONGEST = 1.0  # norm of a gradient, of all parameters together
_WARMING = 0.2  # part of the steps in which the rate rises, and the part of its peak that it rises from
_FLIPPED = ("cifar10", "fashion-mnist")  # data sets that the fast recipe flips unasked: a mirrored digit is none
_FILTER_MOMENTUM = 0.6
_NORMED, _UNNORMED, _MUON = 0.2, 0.08, 0.12  # peaks of the learning rate at batches of 128, see above
_HEAD, _SHIFT = 1.6, 100.0  # rates of airbench's linear layer and of its biases, over that of the filters


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a configuration comes to for one net and one training set: nothing is left to be chosen."""

    optimizer: Literal["sgd", "adam", "muon"]
    learning_rate: float
    momentum: float
    weight_decay: float
    augmented: bool
    epochs: int
    batches: int
    perturbation: Literal["none", "noise", "diffeo"] = "none"
    kind: Literal["paper", "fast"] = "paper"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"

    @property
    def steps(self) -> int:
        return self.epochs * self.batches

    @property
    def label_smoothing(self) -> float:
        return _SMOOTHING if self.kind == "fast" else 0.0

    @property
    def longest_gradient(self) -> float:
        """The norm that longer gradients are shortened to."""
        return _LONGEST if self.kind == "fast" and self.optimizer == "sgd" else math.inf

    def make(self, model: nn.Module) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        """Optimizers, with no decay on biases and norms, and what takes their learning rates to zero."""
        filters = [p for p in model.parameters() if p.ndim == 4] if self.optimizer == "muon" else []
        taken = {id(one) for one in filters}
        rest = [p for p in model.parameters() if id(p) not in taken]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizers: list[torch.optim.Optimizer] = []
        if self.optimizer == "muon":
            from empirical.training.filter_descent import FilterMuon  # older torch has no Muon

            optimizers.append(FilterMuon(filters, self.learning_rate, _FILTER_MOMENTUM))
            groups[0]["lr"], groups[1]["lr"] = _HEAD * self.learning_rate, _SHIFT * self.learning_rate
        if self.optimizer == "adam":
            optimizers.append(torch.optim.Adam(groups, lr=self.learning_rate))
        else:
            nesterov = self.kind == "fast" and self.momentum > 0
            optimizers.append(torch.optim.SGD(groups, self.learning_rate, self.momentum, nesterov=nesterov))
        if self.kind == "fast":
            return optimizers, [LambdaLR(one, lambda step: triangle(step, self.steps)) for one in optimizers]
        return optimizers, [CosineAnnealingLR(one, self.steps) for one in optimizers]

    def epoch(self, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Places of the points of each batch, in a new order; batches of one epoch differ by a point at most."""
        yield from torch.randperm(count, generator=generator).tensor_split(self.batches)


def triangle(step: int, steps: int) -> float:
    """The learning rate at a step over its peak: 0.2 at first, 1 after a fifth of the steps, 0 at the end."""
    peak = _WARMING * steps
    return _WARMING + (1 - _WARMING) * step / peak if step < peak else (steps - step) / (steps - peak)


def recipe(config: ImageConfig, net: nn.Module, count: int) -> Recipe:
    """The recipe for `net` on `count` points.

    Left open in `config`, the learning rate of the paper's recipe is 0.001 for Adam; for SGD 0.1 with batch norm and
    0.01 without, where 0.1 diverges. That of the fast one is in the module's docstring.

    Raises
    ------
    InputError
        If the recipe is the fast one and the net has no convolutions; if Muon is asked for and the net has no batch
        norm, or torch has no Muon (it came with 2.9).
    """
    modules = list(net.modules())
    convolutional = any(isinstance(module, nn.Conv2d) for module in modules)
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)
    fast = config.recipe == "fast"
    if fast and not convolutional:
        allowed = f"is for nets with convolutions, and {config.architecture} has none: take the paper's"
        raise InputError("recipe", config.recipe, allowed)
    optimizer = config.optimizer
    if optimizer == "auto":
        optimizer = "muon" if fast and config.architecture == "airbench" else "sgd" if convolutional else "adam"
    if optimizer == "muon" and not normed:
        allowed = f"keeps the norm of filters, which only batch norm makes up for, and {config.architecture} has none"
        raise InputError("optimizer", optimizer, allowed)
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError("optimizer", optimizer, f"needs torch 2.9 or later, and this is {torch.__version__}: take sgd")
    usual = 1e-3 if optimizer == "adam" else 0.1 if normed else 0.01
    if fast:
        peak = _MUON if optimizer == "muon" else _NORMED if normed else _UNNORMED
        usual = peak * math.sqrt(config.batch_size / 128)
    batches = math.ceil(count / config.batch_size)
    flipped = config.dataset in (_FLIPPED if fast else ("cifar10",))
    return Recipe(
        optimizer,
        usual if config.learning_rate is None else config.learning_rate,
        0.0 if optimizer == "adam" else config.momentum,
        (0.0 if optimizer == "adam" else 5e-4) if config.weight_decay is None else config.weight_decay,
        config.augmentation == "crop-flip" or (config.augmentation == "auto" and flipped),
        max(config.epochs, math.ceil(config.min_steps / batches)),
        batches,
        config.augmentation if config.augmentation in ("noise", "diffeo") else "none",
        config.recipe,
        config.precision,
    )


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to 4 pixels each way, black moving in, and half of them mirrored left to right.

    Shape (batch, channels, n, n), any dtype and device; `generator` is the CPU's, so that every device sees the same.
    """
    shifted = cropped(functional.pad(images, (_MARGIN,) * 4), images.shape[-1], generator)
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device, non_blocking=True)
    return torch.where(mirrored[:, None, None, None], shifted.flip(-1), shifted)


def cropped(padded: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Of each image the window of `size` pixels a side at a place of its own, uniform over all places."""
    count = len(padded)
    places = torch.randint(0, padded.shape[-1] - size + 1, (2, count), generator=generator)
    row, column = places.to(padded.device, non_blocking=True)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # a view: nothing is copied but the windows taken
    return windows[torch.arange(count, device=padded.device), :, row, column]


def reflected(images: Tensor) -> Tensor:
    """Images within 2 mirrored pixels, any dtype: torch's own reflection does not know bytes."""
    size = images.shape[-1]
    places = torch.arange(-_REFLECTED, size + _REFLECTED, device=images.device).abs()
    places = size - 1 - (size - 1 - places).abs()
    return images[:, :, places][..., places]


def perturbed(
    images: Tensor, kind: Literal["noise", "diffeo"], cutoff: int, displacement: float, generator: torch.Generator
) -> Tensor:
    """Each image deformed by a max-entropy diffeomorphism of its own, or with noise of the norm of such a deformation.

    Shape (batch, channels, n, n), floating point; `generator` is the CPU's. With one state of it the noise has, image
    by image, the norm of the very deformation that "diffeo" would make.
    """
    diffeo = MaxEntropyDiffeo(cutoff, displacement, generator=generator)
    coefficients = diffeo.sample(len(images), images.shape[-1])
    deformed = deform(images, coefficients.to(images.device))
    if kind == "diffeo":
        return deformed
    difference = deformed - images
    # A constant image is not moved, and then gets no noise.
    moved = difference.flatten(1).norm(dim=1) > 0
    noise = noise_like(difference, generator)
    return images + torch.where(moved.view(-1, 1, 1, 1), noise, torch.zeros_like(noise))
