"""The CPU kernel: forward and backward fused, compiled by numba, vectorised and threaded.

All neurons' pre-activations of one block of points are kept (a block of 32 by 1000 is 128 kB in single
precision, within a second-level cache), so that the backward pass uses them again: 4 P h d flops in all, and
no P x h array. The bias is one more coordinate of the weights, x -> (x / sqrt d, 1).

Neurons come in strips of 128, padded with silent ones, and every array is flat with constant strides. Tiles are
sliced out before the innermost loop, so that its indices are provably not negative: only so does the compiler
see that the rows it writes are apart from those it reads, and vectorises. Both matrix products run in tiles of
4 points by 4 coordinates with the neurons innermost: 16 fused multiply-adds for 8 loads and 4 stores, and no
sum across vector lanes.

Points are divided into chunks whose number depends on P alone; each has its own sums, added in order. So the
result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from theory.losses import LOSSES, SHARPNESS
from theory.network import Network

__all__ = ["field"]

_BLOCK = 32  # points whose pre-activations are kept
_STRIP = 128  # neurons in a strip, whose weights stay in the first-level cache
_CHUNK = 256  # points in a chunk, at least
_CHUNKS = 32  # chunks, at most


@numba.njit(inline="always")
def _pull(loss: int, z: float) -> float:
    """A = -l'(z) for the loss of this code, see `theory.losses.pull`."""
    gap = 1.0 - z
    if loss == 0:
        return 1.0 if gap > 0.0 else 0.0
    if loss == 1:
        return 0.5 * (1.0 + math.tanh(0.5 * SHARPNESS * gap))
    return gap if gap > 0.0 else 0.0


@numba.njit(inline="always")
def _rows(x, p, padded):  # type: ignore[no-untyped-def]
    """Four consecutive rows of the flat x."""
    start = p * padded
    return (
        x[start : start + padded],
        x[start + padded : start + 2 * padded],
        x[start + 2 * padded : start + 3 * padded],
        x[start + 3 * padded : start + 4 * padded],
    )


@numba.njit(fastmath=True)
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


@numba.njit(fastmath=True)
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


@numba.njit(fastmath=True)
def _outputs(z, output, f):  # type: ignore[no-untyped-def]
    """f[p] += sum_n output[n] relu(z[p, n]) for one strip."""
    zero = z.dtype.type(0)
    for p in range(_BLOCK):
        row = z[p * _STRIP : (p + 1) * _STRIP]
        total = zero
        for n in range(_STRIP):
            total += output[n] * max(row[n], zero)
        f[p] += total


@numba.njit(fastmath=True)
def _activity(z, force, output_sums):  # type: ignore[no-untyped-def]
    """Adds force relu(z) to the output's sums, and turns z into force 1[z > 0]."""
    zero = z.dtype.type(0)
    for p in range(_BLOCK):
        row = z[p * _STRIP : (p + 1) * _STRIP]
        pulled = force[p]
        for n in range(_STRIP):
            output_sums[n] += pulled * max(row[n], zero)
            row[n] = pulled if row[n] > zero else zero


@numba.njit(parallel=True, cache=True)
def _fused(x, y, weight, output, baseline, width, scale, loss, predictor, weight_sums, output_sums):  # type: ignore[no-untyped-def]
    """Fills F and, chunk by chunk, the sums of the velocity.

    weight (strips, D * strip) holds w, b and zeros up to D, a multiple of 4; output (strips, strip);
    weight_sums (chunks, strips, D * strip); output_sums (chunks, strips, strip).
    """
    points, dim = x.shape
    strips = weight.shape[0]
    padded = weight.shape[1] // _STRIP
    chunks = weight_sums.shape[0]
    blocks = (points + _BLOCK - 1) // _BLOCK
    root = 1.0 / math.sqrt(dim)
    for chunk in numba.prange(chunks):
        z = np.empty((strips, _BLOCK * _STRIP), x.dtype)
        local = np.zeros(_BLOCK * padded, x.dtype)
        f = np.empty(_BLOCK, x.dtype)
        force = np.empty(_BLOCK, x.dtype)
        for block in range(chunk * blocks // chunks, (chunk + 1) * blocks // chunks):
            start = block * _BLOCK
            count = min(_BLOCK, points - start)
            for p in range(_BLOCK):
                f[p] = 0
                force[p] = 0
                # A short last block is filled up with points that no force acts on.
                for k in range(dim):
                    local[p * padded + k] = x[start + p, k] * root if p < count else 0
                local[p * padded + dim] = 1
            for strip in range(strips):
                _preactivations(local, weight[strip], z[strip], padded)
                _outputs(z[strip], output[strip], f)
            for p in range(count):
                value = scale * (f[p] / width - baseline[start + p])
                predictor[start + p] = value
                force[p] = y[start + p] * _pull(loss, y[start + p] * value) / points
            for strip in range(strips):
                _activity(z[strip], force, output_sums[chunk, strip])
                _weight_sums(local, z[strip], weight_sums[chunk, strip], padded)


def field(
    x: np.ndarray, y: np.ndarray, network: Network, baseline: np.ndarray, scale: float, loss: str
) -> tuple[np.ndarray, Network]:
    """(F, velocity), see `theory.kernels`."""
    points, dim = x.shape
    width, dtype = network.width, x.dtype
    padded = 4 * math.ceil((dim + 1) / 4)
    strips = math.ceil(width / _STRIP)
    # Coordinates first, neurons last and filled up to whole strips with neurons of no weight.
    rows = np.zeros((padded, strips * _STRIP), dtype)
    rows[:dim, :width] = network.weight.T
    rows[dim, :width] = network.bias
    weight = np.ascontiguousarray(rows.reshape(padded, strips, _STRIP).swapaxes(0, 1)).reshape(strips, -1)
    output = np.zeros((strips, _STRIP), dtype)
    output.ravel()[:width] = network.output
    chunks = min(max(points // _CHUNK, 1), _CHUNKS)
    predictor = np.empty(points, dtype)
    weight_sums = np.zeros((chunks, strips, padded * _STRIP), dtype)
    output_sums = np.zeros((chunks, strips, _STRIP), dtype)
    _fused(
        x, y, weight, output, baseline, width, dtype.type(scale), LOSSES.index(loss),
        predictor, weight_sums, output_sums,
    )  # fmt: skip
    total = weight_sums.sum(0).reshape(strips, padded, _STRIP).swapaxes(0, 1).reshape(padded, -1)[:, :width]
    velocity = Network(
        np.ascontiguousarray((total[:dim] * network.output).T),
        total[dim] * network.output,
        output_sums.sum(0).ravel()[:width],
    )
    return predictor, velocity
