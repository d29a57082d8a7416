"""The CPU kernel: forward and backward fused, compiled by numba, vectorised and threaded.

All neurons' pre-activations of one block of points are kept (a block of 32 by 1000 is 128 kB in single
precision, within a second-level cache), so that the backward pass uses them again: 4 P h d flops in all, and
no P x h array. The bias is one more coordinate of the weights, x -> (x / sqrt d, 1). Blocks on which no force
acts have no backward pass.

Neurons come in strips of 128, padded with silent ones, and every array is flat with constant strides. Tiles are
sliced out before the innermost loop, so that its indices are provably not negative: only so does the compiler
see that the rows it writes are apart from those it reads, and vectorises. Both matrix products run in tiles of
4 points by 4 coordinates with the neurons innermost: 16 fused multiply-adds for 8 loads and 4 stores, and no
sum across vector lanes.

Points are divided into chunks whose number depends on how many points there are, and on nothing else; each has
its own sums, added in order. So the result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share
from theory.model.losses import LOSSES, SHARPNESS, reach
from theory.model.network import Network, lifted

__all__ = ["NumbaField"]

_BLOCK = 32  # points whose pre-activations are kept
_STRIP = 128  # neurons in a strip, whose weights stay in the first-level cache
_CHUNK = 128  # points in a chunk, at least
_CHUNKS = 32  # chunks, at most


@compiled(inline="always")
def _pull(loss: int, z: float, end: float) -> float:
    """A = -l'(z) for the loss of this code, see `theory.model.losses.pull`."""
    gap = 1.0 - z
    if gap <= -end:
        return 0.0
    if loss == 0:
        return 1.0
    if loss == 1:
        return 0.5 * (1.0 + math.tanh(0.5 * SHARPNESS * gap))
    return gap


@compiled(inline="always")
def _rows(x, p, padded):  # type: ignore[no-untyped-def]
    """Four consecutive rows of the flat x."""
    start = p * padded
    return (
        x[start : start + padded],
        x[start + padded : start + 2 * padded],
        x[start + 2 * padded : start + 3 * padded],
        x[start + 3 * padded : start + 4 * padded],
    )


@compiled(fastmath=True)
def _preactivations(x, weight, z, padded):  # type: ignore[no-untyped-def]
    """z[p, n] = sum_k x[p, k] weight[k, n] for one strip; all three flat."""
    for p in range(0, _BLOCK, 4):
        x0, x1, x2, x3 = _rows(x, p, padded)
        tile = z[p * _STRIP : (p + 4) * _STRIP]
        for n in range(4 * _STRIP):
            tile[n] = 0
        for k in range(0, padded, 4):
            x00, x01, x02, x03 = x0[k], x0[k + 1], x0[k + 2], x0[k + 3]
            x10, x11, x12, x13 = x1[k], x1[k + 1], x1[k + 2], x1[k + 3]
            x20, x21, x22, x23 = x2[k], x2[k + 1], x2[k + 2], x2[k + 3]
            x30, x31, x32, x33 = x3[k], x3[k + 1], x3[k + 2], x3[k + 3]
            w = weight[k * _STRIP : (k + 4) * _STRIP]
            for n in range(_STRIP):
                w0 = w[n]
                w1 = w[n + _STRIP]
                w2 = w[n + 2 * _STRIP]
                w3 = w[n + 3 * _STRIP]
                tile[n] += x00 * w0 + x01 * w1 + x02 * w2 + x03 * w3
                tile[n + _STRIP] += x10 * w0 + x11 * w1 + x12 * w2 + x13 * w3
                tile[n + 2 * _STRIP] += x20 * w0 + x21 * w1 + x22 * w2 + x23 * w3
                tile[n + 3 * _STRIP] += x30 * w0 + x31 * w1 + x32 * w2 + x33 * w3


@compiled(fastmath=True)
def _weight_sums(x, g, sums, padded):  # type: ignore[no-untyped-def]
    """sums[k, n] += sum_p x[p, k] g[p, n] for one strip; all three flat."""
    for k in range(0, padded, 4):
        tile = sums[k * _STRIP : (k + 4) * _STRIP]
        for p in range(0, _BLOCK, 4):
            x0, x1, x2, x3 = _rows(x, p, padded)
            x00, x01, x02, x03 = x0[k], x0[k + 1], x0[k + 2], x0[k + 3]
            x10, x11, x12, x13 = x1[k], x1[k + 1], x1[k + 2], x1[k + 3]
            x20, x21, x22, x23 = x2[k], x2[k + 1], x2[k + 2], x2[k + 3]
            x30, x31, x32, x33 = x3[k], x3[k + 1], x3[k + 2], x3[k + 3]
            rows = g[p * _STRIP : (p + 4) * _STRIP]
            for n in range(_STRIP):
                g0 = rows[n]
                g1 = rows[n + _STRIP]
                g2 = rows[n + 2 * _STRIP]
                g3 = rows[n + 3 * _STRIP]
                tile[n] += x00 * g0 + x10 * g1 + x20 * g2 + x30 * g3
                tile[n + _STRIP] += x01 * g0 + x11 * g1 + x21 * g2 + x31 * g3
                tile[n + 2 * _STRIP] += x02 * g0 + x12 * g1 + x22 * g2 + x32 * g3
                tile[n + 3 * _STRIP] += x03 * g0 + x13 * g1 + x23 * g2 + x33 * g3


@compiled(fastmath=True)
def _outputs(z, output, f):  # type: ignore[no-untyped-def]
    """f[p] += sum_n output[n] relu(z[p, n]) for one strip."""
    zero = z.dtype.type(0)
    for p in range(_BLOCK):
        row = z[p * _STRIP : (p + 1) * _STRIP]
        total = zero
        for n in range(_STRIP):
            total += output[n] * max(row[n], zero)
        f[p] += total


@compiled(fastmath=True)
def _activity(z, force, output_sums):  # type: ignore[no-untyped-def]
    """Adds force relu(z) to the output's sums, and turns z into force 1[z > 0]."""
    zero = z.dtype.type(0)
    for p in range(_BLOCK):
        row = z[p * _STRIP : (p + 1) * _STRIP]
        pulled = force[p]
        for n in range(_STRIP):
            output_sums[n] += pulled * max(row[n], zero)
            row[n] = pulled if row[n] > zero else zero


@compiled()
def _pack(weight, bias, output, packed, packed_output, strip):  # type: ignore[no-untyped-def]
    """One strip of neurons: coordinates first, neurons last; those beyond the last have no weight."""
    width, dim = weight.shape
    first = strip * _STRIP
    count = min(_STRIP, width - first)
    row = packed[strip]
    row[:] = 0
    packed_output[strip, :] = 0
    for n in range(count):
        for k in range(dim):
            row[k * _STRIP + n] = weight[first + n, k]
        row[dim * _STRIP + n] = bias[first + n]
        packed_output[strip, n] = output[first + n]


@compiled(fastmath=True)
def _collect(sums, output_sums, chunks, strip, output, total, velocity):  # type: ignore[no-untyped-def]
    """Adds the chunks' sums of one strip in their order, and writes the strip's velocity."""
    velocity_weight, velocity_bias, velocity_output = velocity
    width, dim = velocity_weight.shape
    first = strip * _STRIP
    count = min(_STRIP, width - first)
    total[:] = 0
    for chunk in range(chunks):
        part = sums[chunk, strip]
        for i in range(len(total)):
            total[i] += part[i]
    for n in range(count):
        beta = output[first + n]
        for k in range(dim):
            velocity_weight[first + n, k] = beta * total[k * _STRIP + n]
        velocity_bias[first + n] = beta * total[dim * _STRIP + n]
        beta_sum = output_sums[0, strip, n]
        for chunk in range(1, chunks):
            beta_sum += output_sums[chunk, strip, n]
        velocity_output[first + n] = beta_sum


@compiled()
def _pack_all(weight, bias, output, packed, packed_output):  # type: ignore[no-untyped-def]
    for strip in range(packed.shape[0]):
        _pack(weight, bias, output, packed, packed_output, strip)


@compiled()
def _fused(chunk, points, x, y, baseline, scale, loss, end, width, work, predictor):  # type: ignore[no-untyped-def]
    """Fills F at the points of one chunk, and the chunk's sums.

    x (P, D) holds x / sqrt d, 1 and zeros up to D, a multiple of 4. work: packed (strips, D * strip) and its
    outputs (strips, strip); sums (chunks, strips, D * strip) and (chunks, strips, strip).
    """
    packed, packed_output, sums, output_sums = work
    padded = x.shape[1]
    strips = packed.shape[0]
    chunks = sums.shape[0]
    blocks = (len(points) + _BLOCK - 1) // _BLOCK
    z = np.empty((strips, _BLOCK * _STRIP), x.dtype)
    local = np.zeros(_BLOCK * padded, x.dtype)
    f = np.empty(_BLOCK, x.dtype)
    force = np.empty(_BLOCK, x.dtype)
    sums[chunk] = 0
    output_sums[chunk] = 0
    # Strided: points without force come last, and their blocks are cheap.
    for block in range(chunk, blocks, chunks):
        start = block * _BLOCK
        count = min(_BLOCK, len(points) - start)
        for p in range(_BLOCK):
            f[p] = 0
            force[p] = 0
            # A short last block is filled up with points that no force acts on.
            if p < count:
                row = x[points[start + p]]
                for k in range(padded):
                    local[p * padded + k] = row[k]
            else:
                for k in range(padded):
                    local[p * padded + k] = 0
        for strip in range(strips):
            _preactivations(local, packed[strip], z[strip], padded)
            _outputs(z[strip], packed_output[strip], f)
        pulled = False
        for p in range(count):
            point = points[start + p]
            value = scale * (f[p] / width - baseline[point])
            predictor[start + p] = value
            force[p] = y[point] * _pull(loss, y[point] * value, end) / len(x)
            pulled |= force[p] != 0
        if pulled:
            for strip in range(strips):
                _activity(z[strip], force, output_sums[chunk, strip])
                _weight_sums(local, z[strip], sums[chunk, strip], padded)


@compiled()
def _collect_some(first, last, chunks, output, work, velocity):  # type: ignore[no-untyped-def]
    """Strips first ... last - 1."""
    packed, _, sums, output_sums = work
    total = np.empty(packed.shape[1], packed.dtype)
    for strip in range(first, last):
        _collect(sums, output_sums, chunks, strip, output, total, velocity)


class NumbaField:
    """(F, velocity) of the net at given points, see `theory.kernels`."""

    def __init__(self, x: np.ndarray, y: np.ndarray, baseline: np.ndarray, scale: float, loss: str) -> None:
        self._x = lifted(x, 4)
        self._y = np.ascontiguousarray(y)
        self._baseline = np.ascontiguousarray(baseline)
        self._scale = x.dtype.type(scale)
        self._loss = LOSSES.index(loss)
        self._end = reach(loss, x.dtype)
        self._all = np.arange(len(x))
        self._work: tuple[np.ndarray, ...] = ()

    def _workspace(self, width: int, chunks: int) -> tuple[np.ndarray, ...]:
        """Memory kept from call to call."""
        strips, padded = math.ceil(width / _STRIP), self._x.shape[1]
        if not self._work or len(self._work[0]) != strips or len(self._work[2]) < chunks:
            shapes = (strips, padded * _STRIP), (strips, _STRIP), (chunks, strips, padded * _STRIP), (
                chunks, strips, _STRIP)  # fmt: skip
            self._work = tuple(np.empty(shape, self._x.dtype) for shape in shapes)
        packed, output, sums, output_sums = self._work
        return packed, output, sums[:chunks], output_sums[:chunks]

    def __call__(self, network: Network, points: np.ndarray | None = None) -> tuple[np.ndarray, Network]:
        points = self._all if points is None else points
        chunks = min(max(len(points) // _CHUNK, 1), _CHUNKS)
        predictor = np.empty(len(points), self._x.dtype)
        velocity = tuple(np.empty_like(part) for part in (network.weight, network.bias, network.output))
        work = self._workspace(network.width, chunks)
        _pack_all(network.weight, network.bias, network.output, *work[:2])
        bound = (self._x, self._y, self._baseline, self._scale, self._loss, self._end)
        share(lambda chunk: _fused(chunk, points, *bound, network.width, work, predictor), chunks)
        strips = len(work[0])
        parts = min(strips, chunks)  # sums of few chunks are added sooner than a thread wakes
        share(
            lambda part: _collect_some(
                part * strips // parts, (part + 1) * strips // parts, chunks, network.output, work, velocity
            ),
            parts,
        )
        return predictor, Network(*velocity)
