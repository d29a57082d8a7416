"""Nets for small square images, by name.

A factory maps (channels, image size, classes) to a net whose forward takes (batch, channels, n, n) and
returns logits (batch, classes). A user's own is named by where it is, package.module:function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import make_layers

from empirical.nets.airbench import airbench
from empirical.nets.evaluation import evaluation
from empirical.nets.seeding import seeded
from empirical.nets.torchvision_nets import TORCHVISION_NETS
from empirical.nets.user_code import failing, load_function
from theory.common.errors import InputError

__all__ = ["ARCHITECTURES", "build", "require_architecture", "seeded"]


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
    "airbench": airbench,
    **TORCHVISION_NETS,
}


def require_architecture(name: str) -> Callable[[int, int, int], nn.Module]:
    """The factory called `name`: one of `ARCHITECTURES`, or a function of the user's own, package.module:function.

    The latter is imported where it is asked for, in worker processes too, which know nothing of what the first process
    has added to `ARCHITECTURES`.

    Raises
    ------
    InputError
        If there is none of that name, or its module cannot be imported or holds no such function.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if isinstance(name, str) and ":" in name:
        return load_function("architecture", name)
    raise InputError("architecture", name, f"must be one of {', '.join(ARCHITECTURES)}, or package.module:function")


def build(name: str, channels: int, size: int, classes: int, seed: int) -> nn.Module:
    """The net called `name` (see `require_architecture`), initialised from `seed`.

    Raises
    ------
    InputError
        If there is none of that name, it is not made for images of this size, or a function of the user's own fails or
        makes no module that maps images to logits.
    """
    factory = require_architecture(name)
    with seeded(seed):
        if name in ARCHITECTURES:
            return factory(channels, size, classes)
        return _own(name, factory, channels, size, classes)


def _own(name: str, factory: Callable[..., Any], channels: int, size: int, classes: int) -> nn.Module:
    """What a user's factory makes, tried on two images: its mistakes are told here, not in the midst of a training."""

    try:
        net = factory(channels, size, classes)
    except Exception as error:  # whatever a user's function raises
        what = f"fails for ({channels}, {size}, {classes}), channels, side and classes"
        raise failing("architecture", name, what, error) from error
    if not isinstance(net, nn.Module):
        raise InputError("architecture", name, f"must make a torch module, not {type(net).__name__}")
    images = torch.zeros(2, channels, size, size)
    try:
        with evaluation(net):
            logits = net(images)
    except Exception as error:
        what = f"cannot take images of shape {tuple(images.shape)}"
        raise failing("architecture", name, what, error) from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (2, classes):
        allowed = f"must give logits of shape (2, {classes}) for two images of {classes} classes, not {shape}"
        raise InputError("architecture", name, allowed)
    return net
