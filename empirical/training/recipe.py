"""How image nets are trained: the optimizer, the batches, and what random crops and flips do to them.

The default is that of arXiv 2105.02468 (appendix A): SGD with momentum 0.9, weight decay 5e-4, batches of 128, 250
epochs with the learning rate on a cosine, random crops and flips for CIFAR10; Adam without weight decay for nets
without convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.diffeo.fields import MaxEntropyDiffeo, deform
from empirical.stability.probes import noise_like
from empirical.training.config import ImageConfig

__all__ = ["Recipe", "crop_and_flip", "perturbed", "recipe"]

_MARGIN = 4  # black pixels around an image, out of which a crop of its size is taken


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a configuration comes to for one net and one training set: nothing is left to be chosen."""

    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    momentum: float
    weight_decay: float
    augmented: bool
    epochs: int
    batches: int
    perturbation: Literal["none", "noise", "diffeo"] = "none"

    @property
    def steps(self) -> int:
        return self.epochs * self.batches

    def make(self, model: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Optimizer, with no decay on biases and norms, and the cosine that takes its learning rate to zero."""
        groups = [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if self.optimizer == "adam":
            optimizer = torch.optim.Adam(groups, lr=self.learning_rate)
        else:
            optimizer = torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)

    def epoch(self, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Places of the points of each batch, in a new order; batches of one epoch differ by a point at most."""
        yield from torch.randperm(count, generator=generator).tensor_split(self.batches)


def recipe(config: ImageConfig, net: nn.Module, count: int) -> Recipe:
    """The recipe for `net` on `count` points.

    Left open in `config`, the learning rate is 0.001 for Adam; for SGD 0.1 with batch norm and 0.01 without, where
    0.1 diverges.
    """
    modules = list(net.modules())
    convolutional = any(isinstance(module, nn.Conv2d) for module in modules)
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)
    optimizer = config.optimizer
    if optimizer == "auto":
        optimizer = "sgd" if convolutional else "adam"
    usual = (0.1 if normed else 0.01, 5e-4) if optimizer == "sgd" else (1e-3, 0.0)
    batches = math.ceil(count / config.batch_size)
    return Recipe(
        optimizer,
        usual[0] if config.learning_rate is None else config.learning_rate,
        config.momentum if optimizer == "sgd" else 0.0,
        usual[1] if config.weight_decay is None else config.weight_decay,
        config.augmentation == "crop-flip" or (config.augmentation == "auto" and config.dataset == "cifar10"),
        max(config.epochs, math.ceil(config.min_steps / batches)),
        batches,
        config.augmentation if config.augmentation in ("noise", "diffeo") else "none",
    )


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to 4 pixels each way, black moving in, and half of them mirrored left to right.

    Shape (batch, channels, n, n), any dtype and device; `generator` is the CPU's, so that every device sees the same.
    """
    count, size = len(images), images.shape[-1]
    padded = functional.pad(images, (_MARGIN,) * 4)
    row, column = torch.randint(0, 2 * _MARGIN + 1, (2, count), generator=generator).to(images.device)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # a view: nothing is copied but the windows taken
    cropped = windows[torch.arange(count, device=images.device), :, row, column]
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored[:, None, None, None], cropped.flip(-1), cropped)


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
