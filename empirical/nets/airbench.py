"""Airbench: a small convolutional net whose first layer whitens patches of the training images, fixed before training.

After K. Jordan, arXiv 2404.00498: a 2 x 2 convolution that whitens; three groups of two 3 x 3 convolutions with 64, 256
and 256 channels, pooling, batch norm without a scale and GELUs; filters that start as the identity on their input;
one linear layer whose outputs are divided by 9.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SEEN", "PatchWhitening", "airbench", "show_training_images"]

_REGULARISER = 5e-4  # added to the eigenvalues, of images whose channels have variance 1
SEEN = 5000  # images that covariances are taken from
_LOGIT_SCALE = 1 / 9


class PatchWhitening(nn.Module):
    """A convolution whose filters are E_i / sqrt(l_i + eps) and their negatives, and a bias that trains.

    E_i are the eigenvectors, l_i the eigenvalues of the covariance of patches, so that the first half of the outputs
    has the identity for covariance, but for eps. Until it has seen images the filters are random directions.
    """

    weight: Tensor

    def __init__(self, channels: int, side: int = 2) -> None:
        super().__init__()
        values = channels * side * side
        directions = nn.init.orthogonal_(torch.empty(values, values))
        self.side = side
        self.register_buffer("weight", self._filters(directions, channels))
        self.bias = nn.Parameter(torch.zeros(2 * values))

    def _filters(self, rows: Tensor, channels: int) -> Tensor:
        half = rows.view(len(rows), channels, self.side, self.side)
        return torch.cat([half, -half])

    @torch.no_grad()
    def see_training_images(self, images: Tensor) -> None:
        """Take the filters from images as the layer will get them, shape (N, channels, n, n)."""
        patches = functional.unfold(images, self.side).transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(patches.T.cov())
        rows = vectors.T / (values.clamp_min(0) + _REGULARISER).sqrt()[:, None]
        self.weight.copy_(self._filters(rows, images.shape[1]))

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight, self.bias)


class _ShiftedNorm(nn.BatchNorm2d):
    """Batch norm that adds a bias of each channel and does not scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps) + self.shift.view(-1, 1, 1)


class _Scaled(nn.Linear):
    """A linear layer without bias whose outputs are multiplied by a number."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) * _LOGIT_SCALE


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    """3 x 3, as many of its filters as there are channels inside being the identity on one of these."""
    made = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(made.weight[:inside])
    return made


def airbench(channels: int, size: int, classes: int) -> nn.Module:
    """The net for images of 9 pixels on, which sees training images before it is trained (`show_training_images`)."""
    layers: list[nn.Module] = [PatchWhitening(channels), nn.GELU()]
    inside = 2 * 4 * channels
    for outside in (64, 256, 256):
        layers += [
            _convolution(inside, outside), nn.MaxPool2d(2), _ShiftedNorm(outside), nn.GELU(),
            _convolution(outside, outside), _ShiftedNorm(outside), nn.GELU(),
        ]  # fmt: skip
        inside = outside
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), _Scaled(inside, classes, bias=False))


def show_training_images(net: nn.Module, images: Tensor) -> None:
    """Show training images to every layer of `net` that has a method ``see_training_images(images)``, and to the net.

    Called by a run before it trains, with images as the net gets them: in random order, normalised, shape
    (N, channels, n, n); layers see the first 5000. What they take from them is to be in their state, parameters or
    buffers, so that weights that are kept need no images. Nothing is drawn at random.
    """
    for module in net.modules():
        see = getattr(module, "see_training_images", None)
        if callable(see):
            see(images[:SEEN])
