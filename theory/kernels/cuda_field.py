"""The GPU kernel, host side: sizes, launches and transfers, on any `Device` that runs ``field.cu``.

Memory on the device, for S problems of P points in d dimensions and h neurons: S P (d + 4) reals for the points,
some S P more for F and the forces, and partial sums of at most about 1024 blocks, 128 (d + 5) reals each or h (d
+ 5) if that is more. There is nothing of size P h: P = 10^6 and h = 10^4 in d = 30 take 0.2 GB in single
precision, see `device_bytes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from theory.common.errors import InputError
from theory.model.losses import LOSSES, SHARPNESS, reach
from theory.model.network import Network, lifted

__all__ = ["SOURCE", "THREADS", "CudaBatch", "Device", "Problem", "compile_options", "device_bytes"]

SOURCE = Path(__file__).with_name("field.cu")

#: (x, y, baseline) of one problem, as a kernel takes them.
Problem = tuple[np.ndarray, np.ndarray, np.ndarray]

THREADS = 128  # in a block, as in field.cu
_TILE = 32  # rows in shared memory, at most; and the least that is worth a part of its own
_SHARED_BYTES = 40_960  # for those rows, of the 48 kB that a block may have without being asked
_BLOCKS = 1024  # in a launch, about, if there is enough to do: some for each of a card's multiprocessors


class Device(Protocol):
    """What the host side needs of a GPU; arrays are the device's own."""

    def upload(self, host: np.ndarray) -> Any: ...

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any: ...

    def download(self, array: Any) -> np.ndarray: ...

    def launch(self, kernel: str, grid: tuple[int, int, int], arguments: tuple[Any, ...]) -> None: ...


def lifted_dim(dim: int) -> int:
    """D: d coordinates, one for the bias, filled up to a multiple of 4."""
    return 4 * math.ceil((dim + 1) / 4)


def _each(dim: int) -> int:
    """Points that a thread of `outputs` holds: two while their coordinates fit its registers."""
    return 2 if lifted_dim(dim) <= 48 else 1


def compile_options(dim: int, dtype: np.dtype, loss: str) -> tuple[str, ...]:
    """What ``field.cu`` is compiled with; InputError if not one row of d coordinates fits its shared memory."""
    real = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    row = lifted_dim(dim) * np.dtype(dtype).itemsize
    tile = next((rows for rows in (_TILE, 16, 8, 4, 2, 1) if rows * row <= _SHARED_BYTES), None)
    if tile is None:
        raise InputError("dim", dim, f"must be at most {_SHARED_BYTES // np.dtype(dtype).itemsize - 4} on a GPU")
    return (
        f"-DREAL={real}", f"-DDIM={lifted_dim(dim)}", f"-DLOSS={LOSSES.index(loss)}", f"-DEACH={_each(dim)}",
        f"-DTILE={tile}",
    )  # fmt: skip


def _splits(points: int, width: int, dim: int) -> int:
    """Parts of the neurons in `outputs`: more than one only where few points leave the card idle."""
    blocks = math.ceil(max(points, 1) / (THREADS * _each(dim)))
    return min(max(_BLOCKS // blocks, 1), math.ceil(width / _TILE))


def _chunks(points: int, width: int) -> int:
    """Parts of the points in `sums`."""
    blocks = math.ceil(width / THREADS)
    return min(max(_BLOCKS // blocks, 1), max(math.ceil(points / _TILE), 1))


def device_bytes(points: int, width: int, dim: int, dtype: str = "float32", problems: int = 1) -> int:
    """Memory on the device for problems of this size, all points awake."""
    rows = lifted_dim(dim)
    reals = points * (rows + 4) + width * (2 * rows + 3)
    reals += points * _splits(points, width, dim) + _chunks(points, width) * width * (rows + 1)
    return problems * (reals * np.dtype(dtype).itemsize + 4 * points)


class CudaBatch:
    """Several problems of one size, whose points stay on the device; see `theory.kernels`."""

    def __init__(self, device: Device, problems: Sequence[Problem], scale: float, loss: str) -> None:
        self._device = device
        points, dim = problems[0][0].shape
        dtype = problems[0][0].dtype
        self._x = device.upload(np.stack([lifted(x, 4) for x, _, _ in problems]))
        # The device reads every array as the points' type.
        self._y = device.upload(np.stack([y for _, y, _ in problems]).astype(dtype))
        self._baseline = device.upload(np.stack([baseline for _, _, baseline in problems]).astype(dtype))
        self._points, self._dim, self._dtype = points, dim, dtype
        self._constants = tuple(dtype.type(value) for value in (scale, SHARPNESS, reach(loss, dtype)))
        self._all = np.arange(points, dtype=np.int32)

    def __call__(
        self, networks: Sequence[Network], points: Sequence[np.ndarray | None], slots: Sequence[int]
    ) -> list[tuple[np.ndarray, Network]]:
        """(F, velocity) of one net for each slot that is named, at these points of it; None: all."""
        device, dtype, dim = self._device, self._dtype, self._dim
        requests, width, rows = len(networks), networks[0].width, lifted_dim(dim)
        chosen = [self._all if indices is None else indices for indices in points]
        counts = [len(indices) for indices in chosen]
        capacity = max(*counts, 1)
        splits = [_splits(count, width, dim) for count in counts]
        chunks = [_chunks(count, width) for count in counts]
        index = np.zeros((requests, capacity), np.int32)
        weight = np.zeros((requests, width, rows), dtype)
        output = np.stack([network.output for network in networks]).astype(dtype)
        for i, (indices, network) in enumerate(zip(chosen, networks, strict=True)):
            index[i, : len(indices)] = indices
            weight[i, :, :dim] = network.weight
            weight[i, :, dim] = network.bias

        slot_d, count_d, split_d, chunk_d = (
            device.upload(np.array(values, np.int32)) for values in (slots, counts, splits, chunks)
        )
        index_d, weight_d, output_d = map(device.upload, (index, weight, output))
        # One after the other: a request with few points has many splits, one with many has few.
        offsets = np.cumsum([0, *(s * c for s, c in zip(splits, counts, strict=True))], dtype=np.int64)
        partial = device.empty((max(int(offsets[-1]), 1),), dtype)
        predictor, force = (device.empty((requests, capacity), dtype) for _ in range(2))
        sums = device.empty((requests, max(chunks), rows + 1, width), dtype)
        velocity = device.empty((requests, rows + 1, width), dtype)

        total = np.int64(self._points)
        size, neurons = np.int32(capacity), np.int32(width)
        forward = (slot_d, count_d, split_d, index_d, size, device.upload(offsets[:-1]), total, neurons)
        backward = (slot_d, count_d, chunk_d, index_d, size, np.int32(max(chunks)), total, neurons)
        tiles = math.ceil(capacity / (THREADS * _each(dim)))
        blocks, neuron_blocks = math.ceil(capacity / THREADS), math.ceil(width / THREADS)
        device.launch("outputs", (tiles, max(splits), requests), (*forward, self._x, weight_d, output_d, partial))
        device.launch(
            "forces", (blocks, 1, requests),
            (*forward, *self._constants, self._y, self._baseline, partial, predictor, force),
        )  # fmt: skip
        device.launch("sums", (neuron_blocks, max(chunks), requests), (*backward, self._x, force, weight_d, sums))
        device.launch(
            "collect", (neuron_blocks, rows + 1, requests),
            (chunk_d, np.int32(max(chunks)), neurons, output_d, sums, velocity),
        )  # fmt: skip
        found, moved = device.download(predictor), device.download(velocity)
        return [
            (
                found[i, :count].copy(),
                Network(np.ascontiguousarray(moved[i, :dim].T), moved[i, dim].copy(), moved[i, rows].copy()),
            )
            for i, count in enumerate(counts)
        ]
