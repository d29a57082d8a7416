"""Nets for small square images, by name.

A factory maps (channels, image size, classes) to a net whose forward takes (batch, channels, n, n) and
returns logits (batch, classes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import make_layers

from empirical.torchvision_nets import TORCHVISION_NETS
from theory.errors import require_choice

__all__ = ["ARCHITECTURES", "build", "seeded"]


def fully_connected(channels: int, size: int, classes: int) -> nn.Module:
    """Two hidden layers of 512 relus on the flattened image."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * size * size, 512), nn.ReLU(),
        nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, classes),
    )  # fmt: skip


def lenet(channels: int, size: int, classes: int) -> nn.Module:
    """LeNet-5 with relus and max-pooling: two 5 x 5 convolutions, then 120 and 84 hidden units.

    The first convolution is padded by 2 up to 28 pixels, as LeNet-5 pads 28-pixel digits to 32, and the
    second one below 16 pixels, where nothing would be left otherwise.
    """
    first, second = 2 * (size <= 28), 2 * (size < 16)
    side = ((size - 4 + 2 * first) // 2 - 4 + 2 * second) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=first), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, padding=second), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side * side, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, classes),
    )  # fmt: skip


def resnet_small(channels: int, size: int, classes: int) -> nn.Module:
    """Three stages of one residual block (torchvision's BasicBlock) with 16, 32 and 64 channels.

    The ResNet-8 of the family that He et al. (arXiv 1512.03385, section 4.2) built for 32 x 32 images, with
    projection shortcuts; its stem is one 3 x 3 convolution.
    """

    def stage(inside: int, outside: int, stride: int) -> nn.Module:
        shortcut = None
        if stride != 1 or inside != outside:
            shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
        return BasicBlock(inside, outside, stride, shortcut)

    net = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(64, classes),
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.Conv2d):  # as torchvision's ResNet does
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def _vgg_small(batch_norm: bool, channels: int, size: int, classes: int) -> nn.Module:
    """Six 3 x 3 convolutions of 16, 16, 32, 32, 64, 64 channels by torchvision's VGG, pooled after every two; one head.

    The VGG that a processor trains in a minute; weights start as torchvision's (Kaiming's normal law, biases at 0).
    """
    convolutions = make_layers([16, 16, "M", 32, 32, "M", 64, 64, "M"], batch_norm=batch_norm)
    assert isinstance(convolutions[0], nn.Conv2d)
    convolutions[0] = nn.Conv2d(channels, 16, 3, padding=1)
    for module in convolutions:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return nn.Sequential(convolutions, nn.Flatten(), nn.Linear(64 * (size // 8) ** 2, classes))


def _narrow(layers: int, channels: int, size: int, classes: int) -> nn.Module:
    """So many hidden layers of 64 relus, the fully connected nets of arXiv 2105.02468."""
    widths = [channels * size * size] + [64] * layers
    hidden = [part for pair in pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, classes))


ARCHITECTURES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "fully-connected": fully_connected,
    **{f"fc{layers}": partial(_narrow, layers) for layers in (2, 4, 6)},
    "lenet": lenet,
    "resnet-small": resnet_small,
    **{f"vgg-small{'-bn' * normed}": partial(_vgg_small, normed) for normed in (False, True)},
    **TORCHVISION_NETS,
}


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Torch's default generators, the CPU's and that of `device`, seeded inside, and put back as they were after.

    Modules initialise themselves from the default generator; this makes that explicit without a trace.
    """
    others = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=others):
        torch.default_generator.manual_seed(seed)
        for other in others:
            with torch.cuda.device(other):
                torch.cuda.manual_seed(seed)
        yield


def build(name: str, channels: int, size: int, classes: int, seed: int) -> nn.Module:
    """The net called `name`, initialised from `seed`; InputError if there is none of that name."""
    require_choice("architecture", name, tuple(ARCHITECTURES))
    with seeded(seed):
        return ARCHITECTURES[name](channels, size, classes)
