"""Kernels of the gradient flow, by name: one signature, one for each kind of hardware.

``get_kernel(name)(x, y, baseline, scale, loss)`` binds a kernel to its points,

- x, shape (P, d), y, shape (P,): points and labels, in the network's dtype;
- baseline, shape (P,): f_0 at the points;

and gives a `Field`, a function of the network and, optionally, of the indices of some of the points. It returns

- F = scale (f - f_0) at these points, in the order of the indices;
- velocity: the time derivative of the parameters under gradient flow in time units of h, a `Network`, as far as
  these points exert it (the mean is over all P),

    w' = (beta / sqrt d) mean(A y 1[active] x),   b' = beta mean(A y 1[active]),   beta' = mean(A y relu),

  with A = -l'(y F).

``numpy`` is the reference, written to be read. ``numba`` is compiled for this machine's CPU, on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

import numpy as np

from theory.errors import require_choice
from theory.network import Network

__all__ = ["BACKENDS", "Field", "Kernel", "get_kernel"]


class Field(Protocol):
    """A kernel bound to its points."""

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]: ...


Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, float, str], Field]

_KERNELS = {"numpy": "NumpyField", "numba": "NumbaField"}
BACKENDS = tuple(_KERNELS)


def get_kernel(backend: str = "auto") -> Kernel:
    """The kernel called `backend`; ``auto`` is the fastest that runs here, numba.

    Raises
    ------
    InputError
        On an unknown name.
    """
    require_choice("backend", backend, ("auto", *BACKENDS))
    name = "numba" if backend == "auto" else backend
    kernel: Kernel = getattr(import_module(f"theory.kernels.{name}_kernel"), _KERNELS[name])
    return kernel
