"""Kernels of the gradient flow, by name: one signature, one for each kind of hardware.

A kernel maps (x, y, network, baseline, scale, loss) to (F, velocity):

- x, shape (P, d), y, shape (P,): points and labels, C-contiguous, in the network's dtype;
- baseline, shape (P,): f_0 at the points;
- F = scale (f - f_0) at the points, shape (P,);
- velocity: the time derivative of the parameters under gradient flow in time units of h, a `Network`,

    w' = (beta / sqrt d) mean(A y 1[active] x),   b' = beta mean(A y 1[active]),   beta' = mean(A y relu),

  with A = -l'(y F).

``numpy`` is the reference, written to be read. ``numba`` is compiled for this machine's CPU, on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from theory.errors import require_choice
from theory.network import Network

__all__ = ["BACKENDS", "Kernel", "get_kernel"]

Kernel = Callable[[np.ndarray, np.ndarray, Network, np.ndarray, float, str], tuple[np.ndarray, Network]]

BACKENDS = ("numpy", "numba")


def get_kernel(backend: str = "auto") -> Kernel:
    """The kernel called `backend`; ``auto`` is the fastest that runs here, numba.

    Raises
    ------
    InputError
        On an unknown name.
    """
    require_choice("backend", backend, ("auto", *BACKENDS))
    name = "numba" if backend == "auto" else backend
    kernel: Kernel = import_module(f"theory.kernels.{name}_kernel").field
    return kernel
