"""Nets whose layers mirror a hierarchy: convolutional, locally connected, fully connected, in mean-field scaling.

Inputs are (batch, positions, channels): with the channels innermost a patch is a reshape, and a layer one product.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.nets.rings import require_ring
from theory.common.errors import InputError, require_choice

__all__ = ["HIERARCHY_NETS", "ChannelMeans", "ConstantFilterCNN", "HierarchyNet", "ScaleCNN"]

#: Convolutional, locally connected (as the former, without weight sharing), fully connected.
HIERARCHY_NETS = ("cnn", "lcn", "fcn")
#: What multiplies the biases, N(0, 1) at the start.
_BIAS = 0.1


class PatchLayer(nn.Module):
    """relu of an affine function of each of the patches, of k positions side by side, that the input is cut into.

    (batch, positions, c) -> (batch, positions / k, h); the pre-activation is w . x / sqrt(c) + 0.1 b, summed over the k
    positions and c channels of a patch, with w and b N(0, 1) at the start. w is shared by all patches or has its own
    values at each; b has them always (so that a "shared" layer can tell positions apart).
    """

    def __init__(
        self, positions: int, patch: int, channels: int, width: int, shared: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.patch, self.channels, self.shared = patch, channels, shared
        patches = positions // patch
        shape = (patch * channels, width) if shared else (patches, patch * channels, width)
        self.weight = nn.Parameter(torch.randn(shape, generator=generator))
        self.bias = nn.Parameter(torch.randn((patches, width), generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        patches = x.reshape(len(x), -1, self.patch * self.channels)
        scale = 1 / math.sqrt(self.channels)
        if self.shared:
            return torch.relu(torch.add(_BIAS * self.bias, patches @ self.weight, alpha=scale))
        products = torch.baddbmm(self.bias[:, None] * _BIAS, patches.transpose(0, 1), self.weight, alpha=scale)
        return torch.relu(products.transpose(0, 1))


class DenseLayer(nn.Module):
    """relu(W x / sqrt(n) + 0.1 b) of all n numbers of the input; W and b N(0, 1) at the start."""

    def __init__(self, inputs: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((inputs, width), generator=generator))
        self.bias = nn.Parameter(torch.randn(width, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        scale = 1 / math.sqrt(len(self.weight))
        return torch.relu(torch.addmm(self.bias, x.flatten(1), self.weight, beta=_BIAS, alpha=scale))


class MeanReadout(nn.Module):
    """(batch, positions, h) -> (batch, outputs): beta . (mean over positions) / h + bias, beta N(0, 1) at the start."""

    def __init__(self, width: int, outputs: int, generator: torch.Generator, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((width, outputs), generator=generator))
        self.bias = nn.Parameter(torch.randn(outputs, generator=generator)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(1) if x.ndim == 3 else x
        outputs = pooled @ self.weight / len(self.weight)
        return outputs if self.bias is None else outputs + self.bias


class HierarchyNet(nn.Module):
    """L hidden layers of h relus for inputs of k^L positions, then a linear readout without bias.

    Layer l of "cnn" and "lcn" takes patches of k positions at a stride of k, with weights shared or not
    (`PatchLayer`); after L of them one position is left. "fcn" has a `DenseLayer` each. The scaling is the mean
    field's: the readout is divided by h, and steps of gradient descent are h times as long as usual, so that features
    are learnt at every width. Modules that can be measured: layer1, ..., layerL, readout.

    Parameters
    ----------
    architecture : cnn, lcn or fcn
    positions, channels : of the input
    patch : k; positions must be k^L
    layers : L
    width : h
    outputs : n_c

    Source: arXiv 2404.10727; the parameterisation is that of its authors' code.
    """

    def __init__(
        self,
        architecture: Literal["cnn", "lcn", "fcn"],
        *,
        positions: int,
        channels: int,
        patch: int,
        layers: int,
        width: int,
        outputs: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        require_choice("architecture", architecture, HIERARCHY_NETS)
        if patch**layers != positions:
            allowed = f"must be patch^layers = {patch}^{layers} = {patch**layers}: patches must fit"
            raise InputError("positions", positions, allowed)
        self.layers: list[str] = []
        inputs, here = channels, positions
        for depth in range(1, layers + 1):
            layer: nn.Module
            if architecture == "fcn":
                layer = DenseLayer(positions * channels if depth == 1 else width, width, generator)
            else:
                layer = PatchLayer(here, patch, inputs, width, architecture == "cnn", generator)
            self.layers.append(f"layer{depth}")
            self.add_module(self.layers[-1], layer)
            inputs, here = width, here // patch
        self.readout = MeanReadout(width, outputs, generator)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return self.readout(x)


def _windows(x: Tensor, filter_size: int, stride: int) -> Tensor:
    """(batch, positions, c) -> (batch, positions / stride, c F): the windows, the line closed to a ring.

    The window of position p is the F pixels about it, one more to the right than to the left if F is even; windows that
    do not overlap (F = s) are the blocks of the line, from its first pixel on.
    """
    left = (filter_size - 1) // 2
    if filter_size == stride:
        return x.reshape(len(x), -1, stride * x.shape[2])
    ring = functional.pad(x.transpose(1, 2), (left, filter_size - 1 - left), mode="circular")
    return ring.unfold(2, filter_size, stride).permute(0, 2, 1, 3).flatten(2)


class RingLayer(nn.Module):
    """sqrt(F) relu(w . x / sqrt(F c) + b) on a ring, windows of F positions at a stride; w, b N(0, 1) at the start."""

    def __init__(self, channels: int, width: int, filter_size: int, stride: int, generator: torch.Generator) -> None:
        super().__init__()
        self.filter_size, self.stride = filter_size, stride
        self.weight = nn.Parameter(torch.randn((channels * filter_size, width), generator=generator))
        self.bias = nn.Parameter(torch.randn(width, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        windows = _windows(x, self.filter_size, self.stride)
        products = torch.add(self.bias, windows @ self.weight, alpha=1 / math.sqrt(len(self.weight)))
        return math.sqrt(self.filter_size) * torch.relu(products)


class ScaleCNN(nn.Module):
    """L convolutional layers on a ring, the mean over positions, one output: the net that learns to detect a scale.

    (batch, positions, 1) -> (batch, 1). Mean-field scaling as in `HierarchyNet`. Modules: layer1, ..., readout.

    Raises
    ------
    InputError
        If so many layers do not fit the line.

    Source: arXiv 2210.01506; the parameterisation is that of its authors' code.
    """

    def __init__(
        self, *, positions: int, layers: int, width: int, filter_size: int, stride: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        require_ring(positions, layers, filter_size, stride)
        self.layers = [f"layer{depth}" for depth in range(1, layers + 1)]
        for depth, name in enumerate(self.layers):
            self.add_module(name, RingLayer(1 if depth == 0 else width, width, filter_size, stride, generator))
        self.readout = MeanReadout(width, 1, generator, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return self.readout(x)


class ChannelMeans(nn.Module):
    """A `ScaleCNN` whose layers are seen as their means over channels: what of D and G is owed to space alone.

    Modules: mean1, ..., meanL, each (batch, positions, h) -> (batch, positions, 1); the output is that of the net.

    Source: arXiv 2210.01506, which tells pooling in space from pooling of channels by it.
    """

    def __init__(self, net: ScaleCNN) -> None:
        super().__init__()
        self.net = net
        self.layers = [f"mean{depth}" for depth in range(1, len(net.layers) + 1)]
        for name in self.layers:
            self.add_module(name, ChannelMean())

    def forward(self, x: Tensor) -> Tensor:
        for layer, mean in zip(self.net.layers, self.layers, strict=True):
            x = self.net.get_submodule(layer)(x)
            self.get_submodule(mean)(x)
        return self.net.readout(x)


class ChannelMean(nn.Module):
    """The mean over channels, the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(2, keepdim=True)


class ConstantLayer(nn.Module):
    """relu of s / F times the sum of each window of F positions, at a stride of s."""

    def __init__(self, filter_size: int, stride: int) -> None:
        super().__init__()
        self.filter_size, self.stride = filter_size, stride

    def forward(self, x: Tensor) -> Tensor:
        windows = _windows(x, self.filter_size, self.stride)
        return torch.relu(windows.sum(2, keepdim=True) * (self.stride / self.filter_size))


class ConstantFilterCNN(nn.Sequential):
    """The solved model of arXiv 2210.01506: a CNN on a ring whose filters are constant, s / F, no bias.

    For inputs of one lit pixel, moved by one, and rectified noise, with numerators over avg ||f_k(x) - f_k(y)||^2, the
    layer k has D_k ~ 2^-k, G_k ~ 2^k, R_k ~ 4^-k at F = s = 2; D_k ~ 4^-k, R_k ~ 8^-k at F = 4, s = 2; D_k ~ k^-1,
    R_k ~ k^(-3/2) at F = 3, s = 1. A strided filter of odd size gains nothing: with F = 3, s = 2 a pixel is seen by one
    or by two windows, according to whether its place is even or odd, in every layer anew; one step changes which, and
    D_k stays near 0.24 however deep the net.

    (batch, positions, 1) -> (batch, positions / s^L, 1). Modules: 0, ..., L - 1.
    """

    def __init__(self, *, positions: int, layers: int, filter_size: int, stride: int) -> None:
        require_ring(positions, layers, filter_size, stride)
        super().__init__(*[ConstantLayer(filter_size, stride) for _ in range(layers)])
