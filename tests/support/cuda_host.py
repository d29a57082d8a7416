"""A device that runs ``field.cu`` on the CPU: the source compiled by the C++ compiler, through cuda_host.cpp."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from theory.kernels.cuda_field import SOURCE, compile_options

__all__ = ["HostDevice", "compiler"]

HOST = Path(__file__).with_suffix(".cpp")


def compiler() -> str | None:
    """A C++ compiler, if there is one."""
    return shutil.which("c++") or shutil.which("g++")


@cache
def _library(options: tuple[str, ...], folder: Path) -> ctypes.CDLL:
    program = compiler()
    assert program is not None
    target = folder / f"field{abs(hash(options))}.so"
    subprocess.run(
        [program, "-std=c++17", "-O2", "-w", "-shared", "-fPIC", f"-I{SOURCE.parent}", *options, str(HOST),
         "-o", str(target)],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(target))


class HostDevice:
    """As `theory.kernels.cuda_field.Device` asks; arrays are NumPy's, and what is `empty` is NaN."""

    def __init__(self, dim: int, dtype: np.dtype, loss: str, folder: Path, *extra: str) -> None:
        self._library = _library((*compile_options(dim, dtype, loss), *extra), folder)
        self.launches = 0

    def upload(self, host: np.ndarray) -> np.ndarray:
        return np.array(host, order="C")

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.full(shape, np.nan, dtype)

    def download(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def launch(self, kernel: str, grid: tuple[int, int, int], arguments: tuple[Any, ...]) -> None:
        self.launches += 1
        types = {
            "int32": ctypes.c_int, "int64": ctypes.c_longlong, "float32": ctypes.c_float, "float64": ctypes.c_double,
        }  # fmt: skip
        passed = [
            value.ctypes.data_as(ctypes.c_void_p) if isinstance(value, np.ndarray) else types[value.dtype.name](value)
            for value in arguments
        ]
        getattr(self._library, f"launch_{kernel}")((ctypes.c_int * 3)(*grid), *passed)
