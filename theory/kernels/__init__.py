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

``numpy`` is the reference, written to be read. ``numba`` is compiled for this machine's CPU, on first use, and
``cupy`` for its GPU. ``get_batch_kernel`` binds that to several problems of one size, for which it needs one launch;
`theory.kernels.lockstep` lets trajectories meet for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Literal, Protocol

import numpy as np

from theory.common.choices import choices
from theory.common.errors import require_choice
from theory.model.network import Network

__all__ = ["Backend", "BatchField", "Field", "Kernel", "get_batch_kernel", "get_kernel"]


class Field(Protocol):
    """A kernel bound to its points."""

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]: ...


class BatchField(Protocol):
    """A kernel bound to several problems: one net, and the points to look at, for each slot that is named."""

    def __call__(
        self, networks: Sequence[Network], points: Sequence[np.ndarray | None], slots: Sequence[int]
    ) -> list[tuple[np.ndarray, Network]]: ...


Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, float, str], Field]
BatchKernel = Callable[[Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], float, str], BatchField]

Backend = Literal["auto", "numpy", "numba", "cupy"]
_FIELDS = {"numpy": "NumpyField", "numba": "NumbaField", "cupy": "CupyField"}


def get_kernel(backend: str = "auto") -> Kernel:
    """The kernel called `backend`; ``auto`` is numba, which runs everywhere and is fast where nets are small.

    Raises
    ------
    InputError
        On an unknown name, and on ``cupy`` where CuPy or a device is missing.
    """
    require_choice("backend", backend, choices(Backend))
    name = "numba" if backend == "auto" else backend
    module = import_module(f"theory.kernels.{name}_kernel")
    if name == "cupy":
        module.require_device()
    kernel: Kernel = getattr(module, _FIELDS[name])
    return kernel


def get_batch_kernel(backend: str = "auto") -> BatchKernel | None:
    """The same for several problems of one size, in one launch; None where that gains nothing, on a CPU."""
    if backend != "cupy":
        return None
    batch: BatchKernel = import_module("theory.kernels.cupy_kernel").CupyBatch
    return batch
