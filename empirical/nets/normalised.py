"""A net and the normalisation of its images, as one."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Normalised"]


class Normalised(nn.Module):
    """A net behind a fixed normalisation of its input channels, (x - mean) / std."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images - self.mean) / self.std)
