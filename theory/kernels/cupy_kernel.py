"""The GPU kernel on CuPy: compiles ``field.cu`` for the card at hand, on first use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from theory.common.errors import InputError
from theory.kernels.cuda_field import SOURCE, THREADS, CudaBatch, Problem, compile_options
from theory.model.network import Network

__all__ = ["CupyBatch", "CupyDevice", "CupyField", "require_device"]

def require_device() -> Any:
    """The cupy module if it is installed and sees a device; InputError that says what is missing otherwise."""
    try:
        import cupy
    except ImportError as error:
        allowed = "needs CuPy, which is not installed: pip install 'relstab[gpu]' (CUDA 12), or another backend"
        raise InputError("backend", "cupy", allowed) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError("backend", "cupy", f"needs a CUDA device, and CuPy finds none ({reason})") from error
    if count == 0:
        raise InputError("backend", "cupy", "needs a CUDA device, and CuPy finds none")
    return cupy


@cache
def _module(options: tuple[str, ...], device: int) -> Any:
    """Compiled code belongs to one device."""
    return require_device().RawModule(code=SOURCE.read_text(), options=(*options, "-std=c++14"))


class CupyDevice:
    """The current CUDA device."""

    def __init__(self, dim: int, dtype: np.dtype, loss: str) -> None:
        self._cupy = require_device()
        self._module = _module(compile_options(dim, dtype, loss), self._cupy.cuda.runtime.getDevice())

    def upload(self, host: np.ndarray) -> Any:
        return self._cupy.asarray(host)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        return self._cupy.empty(shape, dtype)

    def download(self, array: Any) -> np.ndarray:
        return self._cupy.asnumpy(array)

    def launch(self, kernel: str, grid: tuple[int, int, int], arguments: tuple[Any, ...]) -> None:
        self._module.get_function(kernel)(grid, (THREADS, 1, 1), arguments)


class CupyBatch(CudaBatch):
    """Several problems of one size, one launch for all."""

    def __init__(self, problems: Sequence[Problem], scale: float, loss: str) -> None:
        x = problems[0][0]
        super().__init__(CupyDevice(x.shape[1], x.dtype, loss), problems, scale, loss)


class CupyField:
    """(F, velocity) of the net at given points, see `theory.kernels`."""

    def __init__(self, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, scale: float, loss: str) -> None:
        self._batch = CupyBatch([(x, y, baseline)], scale, loss)

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
        return self._batch([network], [points], [0])[0]
