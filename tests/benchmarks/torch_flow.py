"""The flow in plain torch: what one would write first, as the kernels' signature asks, for comparison."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from theory.model.losses import SHARPNESS
from theory.model.network import Network

__all__ = ["AutogradField", "TorchField"]


class TorchField:
    """addmm, relu, the mask and two matrix products, with every P x h array stored; or a few points at a time."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, scale: float, loss: str, chunk: int | None = None
    ) -> None:
        assert loss in ("softhinge", "hinge")
        self.x, self.y, self.baseline = map(torch.as_tensor, (x, y, baseline))
        self.hinge = loss == "hinge"
        self.scale, self.chunk = scale, chunk or len(x)

    def part(self, start: int, parameters: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        weight, bias, output = parameters
        part = slice(start, start + self.chunk)
        x, y = self.x[part], self.y[part]
        root = x.shape[1] ** -0.5
        z = torch.addmm(bias, x, weight.T, alpha=root)
        hidden = torch.relu(z)
        predictor = self.scale * (hidden @ output / len(output) - self.baseline[part])
        gap = 1 - y * predictor
        force = y * ((gap > 0).to(gap.dtype) if self.hinge else torch.sigmoid(SHARPNESS * gap)) / len(self.x)
        pulled = force[:, None] * (z > 0) * output
        return predictor, pulled.T @ x * root, pulled.sum(0), hidden.T @ force

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
        assert points is None, "plain torch looks at all points"
        parameters = tuple(torch.as_tensor(part) for part in (network.weight, network.bias, network.output))
        parts = [self.part(start, parameters) for start in range(0, len(self.x), self.chunk)]  # type: ignore[arg-type]
        predictor = torch.cat([part[0] for part in parts])
        velocity = [sum(part[i] for part in parts).numpy() for i in (1, 2, 3)]  # type: ignore[union-attr]
        return predictor.numpy(), Network(*velocity)


class AutogradField:
    """The same through autograd, which masks inside relu's backward pass."""

    def __init__(self, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, scale: float, loss: str) -> None:
        assert loss == "softhinge"
        self.x, self.y, self.baseline, self.scale = *map(torch.as_tensor, (x, y, baseline)), scale

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
        assert points is None, "plain torch looks at all points"
        parameters = [torch.tensor(p, requires_grad=True) for p in (network.weight, network.bias, network.output)]
        weight, bias, output = parameters
        z = torch.addmm(bias, self.x, weight.T, alpha=self.x.shape[1] ** -0.5)
        predictor = self.scale * (torch.relu(z) @ output / len(output) - self.baseline)
        loss = functional.softplus(1 - self.y * predictor, beta=SHARPNESS, threshold=50).mean()
        gradients = torch.autograd.grad(loss * (-len(output) / self.scale), parameters)
        return predictor.detach().numpy(), Network(*(gradient.numpy() for gradient in gradients))
