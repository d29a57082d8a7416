"""The simple model's net: parameters of a one-hidden-layer net and what can be computed of them alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Network", "lifted"]


def lifted(x: np.ndarray, multiple: int) -> np.ndarray:
    """x~ = (x / sqrt d, 1, 0, ...), so that w . x / sqrt d + b = (w, b, 0, ...) . x~; shape (P, D).

    D is the least multiple of `multiple` above d: what vectors of a processor, or of a memory, like to have.
    """
    points, dim = x.shape
    result = np.zeros((points, multiple * math.ceil((dim + 1) / multiple)), x.dtype)
    result[:, :dim] = x / math.sqrt(dim)
    result[:, dim] = 1
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    r"""The simple model's net of h relus.

    .. math:: f(x) = \frac{1}{h} \sum_{n=1}^{h} \beta_n \, \mathrm{relu}\left(\frac{w_n \cdot x}{\sqrt{d}} + b_n\right)

    Attributes
    ----------
    weight : w, shape (h, d)
    bias : b, shape (h,)
    output : beta, shape (h,)
    """

    weight: np.ndarray
    bias: np.ndarray
    output: np.ndarray

    @classmethod
    def initial(cls, width: int, dim: int, rng: np.random.Generator, dtype: str = "float64") -> Network:
        """Every parameter N(0, 1), drawn in double precision and then rounded to `dtype`."""
        weight, bias, output = (rng.standard_normal(shape) for shape in ((width, dim), width, width))
        return cls(weight.astype(dtype), bias.astype(dtype), output.astype(dtype))

    @classmethod
    def from_flat(cls, flat: np.ndarray, width: int, dim: int) -> Network:
        """The net whose parameters are these, w row by row, then b, then beta; views of `flat`, no copies."""
        end = width * dim
        return cls(flat[:end].reshape(width, dim), flat[end : end + width], flat[end + width :])

    @property
    def flat(self) -> np.ndarray:
        """All parameters in one vector, as `from_flat` takes them; a copy."""
        return np.concatenate([self.weight.ravel(), self.bias, self.output])

    @property
    def width(self) -> int:
        """h."""
        return len(self.bias)

    @property
    def dim(self) -> int:
        """d."""
        return self.weight.shape[1]

    @property
    def norm(self) -> float:
        """Euclidean norm of all parameters."""
        return math.sqrt(sum(float(np.vdot(part, part)) for part in (self.weight, self.bias, self.output)))

    def copy(self) -> Network:
        """An independent copy."""
        return Network(self.weight.copy(), self.bias.copy(), self.output.copy())

    def moved(self, velocity: Network, step: float) -> Network:
        """The net at theta + step * velocity."""
        dt = self.weight.dtype.type(step)
        return Network(
            self.weight + dt * velocity.weight,
            self.bias + dt * velocity.bias,
            self.output + dt * velocity.output,
        )

    def compression(self, informative_dim: int = 1) -> float:
        r"""Lambda, from squares per direction and averaged over neurons.

        .. math:: \Lambda = \sqrt{\langle w_\parallel^2 \rangle / \langle w_\perp^2 \rangle}
        """
        squares = (self.weight.astype(np.float64) ** 2).mean(0)
        return math.sqrt(squares[:informative_dim].mean() / squares[informative_dim:].mean())
