"""Torchvision's families for small images: their modules as they are, with another stem and a small head.

Built for ImageNet, they begin by reducing 224 pixels to 56 and end on 7 x 7 maps. For images of about 32 pixels the
stem keeps the resolution, and the head is one linear layer on the average over positions, as is usual on CIFAR (He
et al., arXiv 1512.03385, section 4.2), but for AlexNet. Images of 28 to 31 pixels are padded to 32 with zeros, which
behind a normalisation are the mean colour, as the authors of arXiv 2105.02468 pad MNIST.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

from theory.common.errors import InputError

__all__ = ["TORCHVISION_NETS", "require_size"]

_SIDE = 32  # the side that the stems are made for
_LEAST = 28

Factory = Callable[[int, int, int], nn.Module]


def _padded(net: nn.Module, size: int) -> nn.Module:
    """`net` behind black borders that bring images up to 32 pixels."""
    if size >= _SIDE:
        return net
    before = (_SIDE - size) // 2
    return nn.Sequential(nn.ZeroPad2d((before, _SIDE - size - before) * 2), net)


def _alexnet(channels: int, classes: int) -> nn.Module:
    """Its later layers; the first two convolutions are 3 x 3, and pooling halves 16 pixels down to 2.

    So do the authors of arXiv 2105.02468, with the three linear layers at the end.
    """
    net = models.AlexNet(num_classes=classes)
    net.features[0] = nn.Conv2d(channels, 64, 3, stride=2, padding=1)
    net.features[3] = nn.Conv2d(64, 192, 3, padding=1)
    for index in (2, 5, 12):
        net.features[index] = nn.MaxPool2d(2)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier[1] = nn.Linear(256 * 2 * 2, 4096)
    return net


def _vgg(name: str, channels: int, classes: int) -> nn.Module:
    net: models.VGG = getattr(models, name)(num_classes=classes)
    first = nn.Conv2d(channels, 64, 3, padding=1)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    assert first.bias is not None
    nn.init.zeros_(first.bias)
    net.features[0] = first
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier = nn.Linear(512, classes)
    return net


def _resnet(name: str, channels: int, classes: int) -> nn.Module:
    """One 3 x 3 convolution for the 7 x 7 one and the pooling."""
    net: models.ResNet = getattr(models, name)(num_classes=classes)
    net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net


def _unstrided(net: models.EfficientNet | models.MobileNetV2, channels: int) -> nn.Module:
    """The first convolution at full resolution."""
    first = nn.Conv2d(channels, 32, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out")
    net.features[0][0] = first
    return net


def _densenet(channels: int, classes: int) -> nn.Module:
    net = models.densenet121(num_classes=classes)
    net.features.conv0 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.features.conv0.weight)
    net.features.pool0 = nn.Identity()
    return net


def _vision_transformer(channels: int, size: int, classes: int) -> nn.Module:
    """Patches of 4 x 4, six layers of width 192 with three heads.

    Torchvision's last layer starts at zero, where a function has no stability; here it starts as its other layers do.
    """
    net = VisionTransformer(
        image_size=max(size, _SIDE), patch_size=4, num_layers=6, num_heads=3, hidden_dim=192, mlp_dim=768,
        num_classes=classes,
    )  # fmt: skip
    net.conv_proj = nn.Conv2d(channels, 192, 4, stride=4)
    nn.init.trunc_normal_(net.conv_proj.weight, std=(16 * channels) ** -0.5)
    assert net.conv_proj.bias is not None
    nn.init.zeros_(net.conv_proj.bias)
    nn.init.xavier_uniform_(net.heads[-1].weight)
    return net


def _convnext(channels: int, classes: int) -> nn.Module:
    """Patches of 2 x 2, stages of 2, 2, 6 and 2 blocks with 48 to 384 channels: half of ConvNeXt-T's width."""
    widths = [(48, 96, 2), (96, 192, 2), (192, 384, 6), (384, None, 2)]
    net = ConvNeXt([CNBlockConfig(*one) for one in widths], stochastic_depth_prob=0.1, num_classes=classes)
    net.features[0][0] = nn.Conv2d(channels, 48, 2, stride=2)
    nn.init.trunc_normal_(net.features[0][0].weight, std=0.02)
    nn.init.zeros_(net.features[0][0].bias)
    return net


def _at_any_size(name: str, make: Callable[[int, int], nn.Module]) -> Factory:
    """A factory of (channels, size, classes) from one that does not depend on the size, checked and padded."""

    def factory(channels: int, size: int, classes: int) -> nn.Module:
        require_size(name, size)
        return _padded(make(channels, classes), size)

    factory.__doc__ = make.__doc__
    return factory


def require_size(name: str, size: int) -> None:
    """InputError if the net of this name is not made for images of this side."""
    if name not in TORCHVISION_NETS:
        return
    if size < _LEAST:
        raise InputError("image_size", size, f"must be at least {_LEAST} for {name}")
    if name == "vit-small" and size > _SIDE and size % 4:
        raise InputError("image_size", size, "must be a multiple of 4 for vit-small above 32")


def _vit_small(channels: int, size: int, classes: int) -> nn.Module:
    require_size("vit-small", size)
    return _padded(_vision_transformer(channels, size, classes), size)


_VGGS = ("vgg11", "vgg11_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
_RESNETS = ("resnet18", "resnet34", "resnet50")

TORCHVISION_NETS: dict[str, Factory] = {
    "alexnet": _at_any_size("alexnet", _alexnet),
    **{name.replace("_", "-"): _at_any_size(name.replace("_", "-"), partial(_vgg, name)) for name in _VGGS},
    **{name: _at_any_size(name, partial(_resnet, name)) for name in _RESNETS},
    "efficientnet-b0": _at_any_size(
        "efficientnet-b0", lambda channels, classes: _unstrided(models.efficientnet_b0(num_classes=classes), channels)
    ),
    "mobilenet-v2": _at_any_size(
        "mobilenet-v2", lambda channels, classes: _unstrided(models.mobilenet_v2(num_classes=classes), channels)
    ),
    "densenet121": _at_any_size("densenet121", _densenet),
    "vit-small": _vit_small,
    "convnext-small": _at_any_size("convnext-small", _convnext),
}
