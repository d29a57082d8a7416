"""The fully connected nets that are trained on stripes: the simple model's, and deeper ones scaled alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from theory.model.network import Network

__all__ = ["OneHiddenLayer", "StripeNet"]

_DEPTHS = {1: "one", 2: "two", 3: "three"}


class StripeNet(nn.Module):
    r""":math:`F(x) = \alpha (f(x) - f_0(x))`, f_0 the net f at the start, with L hidden layers of h relus.

    .. math::

        f(x) = \frac{1}{h} \, \beta \cdot z_L, \qquad
        z_1 = \mathrm{relu}\left(\frac{W_1 x}{\sqrt d} + b_1\right), \qquad
        z_l = \mathrm{relu}\left(\frac{W_l z_{l-1}}{\sqrt h} + b_l\right)

    Every parameter is N(0, 1) at the start. L = 1 is the simple model (arXiv 2105.02468, section 5; arXiv 2007.11471,
    equation 1).

    Steps are taken in units of h: dW = -h dt grad. Then every layer learns features, at any width. The signal that
    comes back to a unit is of order 1/h, so that W_1, the biases and beta move by order dt, as with one hidden layer.
    W_l moves by :math:`dt \, b z^\top / \sqrt h`, with b and z of order 1: this is small against its elements, which
    are of order 1, but of rank one and in line with z, so that it moves :math:`W_l z / \sqrt h` by
    :math:`dt \, b |z|^2 / h`, again of order dt. (This is the maximal-update parameterisation, arXiv 2011.14522.) With
    steps of a given size, as Adam takes, those of W_l, l > 1, are divided by :math:`\sqrt h` for the same reason: see
    `inner`.

    forward: (batch, d) -> (batch, 1).
    """

    weight: Tensor
    bias: Tensor
    output: Tensor

    def __init__(
        self, dim: int, width: int, scale: float, generator: torch.Generator | None = None, hidden_layers: int = 1
    ) -> None:
        super().__init__()
        self.scale, self.hidden_layers = scale, hidden_layers
        shapes = {"weight": (width, dim), "bias": (width,), "output": (width,)}
        for layer in range(2, hidden_layers + 1):
            shapes |= {f"weight_{layer}": (width, width), f"bias_{layer}": (width,)}
        for name, shape in shapes.items():
            start = torch.randn(shape, generator=generator)
            setattr(self, name, nn.Parameter(start.clone()))
            self.register_buffer(f"initial_{name}", start)

    @property
    def architecture(self) -> str:
        """The net's name in curve tables: one-hidden-h1000, two-hidden-h256, ..."""
        return f"{_DEPTHS[self.hidden_layers]}-hidden-h{len(self.output)}"

    @property
    def inner(self) -> list[nn.Parameter]:
        """The matrices between hidden layers, W_2 ... W_L."""
        return [getattr(self, f"weight_{layer}") for layer in range(2, self.hidden_layers + 1)]

    def load_start(self, weight: Tensor, bias: Tensor, output: Tensor, *further: Tensor) -> None:
        """Take these as the parameters and as those of f_0; `further` are W_2, b_2, W_3, b_3."""
        layers = range(2, self.hidden_layers + 1)
        names = ["weight", "bias", "output", *(f"{kind}_{layer}" for layer in layers for kind in ("weight", "bias"))]
        with torch.no_grad():
            for name, value in zip(names, (weight, bias, output, *further), strict=True):
                getattr(self, name).copy_(value)
                getattr(self, f"initial_{name}").copy_(value)

    def net(self, x: Tensor) -> Tensor:
        """f(x), shape (batch,)."""
        return self._evaluate(x, "")

    def start(self, x: Tensor) -> Tensor:
        """f_0(x), shape (batch,)."""
        return self._evaluate(x, "initial_")

    def _evaluate(self, x: Tensor, prefix: str) -> Tensor:
        weight, bias, output = (getattr(self, prefix + name) for name in ("weight", "bias", "output"))
        hidden = torch.relu(functional.linear(x, weight / math.sqrt(x.shape[1]), bias))
        for layer in range(2, self.hidden_layers + 1):
            weight, bias = (getattr(self, f"{prefix}{name}_{layer}") for name in ("weight", "bias"))
            hidden = torch.relu(functional.linear(hidden, weight / math.sqrt(len(output)), bias))
        return hidden @ output / len(output)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (self.net(x) - self.start(x))[:, None]

    def in_double(self) -> StripeNet:
        """A copy in double precision: R_f is a ratio of small differences of outputs."""
        twin = StripeNet(
            self.weight.shape[1], len(self.output), self.scale, torch.Generator(), self.hidden_layers
        )  # fmt: skip
        twin.load_state_dict(self.state_dict())
        return twin.double()

    def compression(self, informative_dim: int) -> float:
        """Lambda of the first layer, see `theory.Network.compression`."""
        first = Network(*(getattr(self, name).detach().numpy() for name in ("weight", "bias", "output")))
        return first.compression(informative_dim)

    def largest_step(self, change: float) -> float:
        """The step dt of dtheta = -dt gradient that changes no parameter by more than the part `change` of its norm.

        The norm is Euclidean for W_1, each layer's biases and beta; it is the largest singular value for the inner
        matrices, to which the step, nearly of rank one, adds by its Euclidean norm at most.
        """
        ratios = []
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            inner = parameter.ndim == 2 and parameter is not self.weight
            size = torch.linalg.matrix_norm(parameter.detach(), 2) if inner else parameter.detach().norm()
            ratios.append(float(parameter.grad.norm() / size))
        steepest = max(ratios)
        return change / steepest if steepest > 0 else math.inf


class OneHiddenLayer(StripeNet):
    r"""The simple model's net: `StripeNet` with one hidden layer.

    .. math:: f(x) = \frac{1}{h} \sum_{n=1}^{h} \beta_n \, \mathrm{relu}\left(\frac{w_n \cdot x}{\sqrt{d}} + b_n\right)
    """

    def __init__(self, dim: int, width: int, scale: float, generator: torch.Generator | None = None) -> None:
        super().__init__(dim, width, scale, generator)
