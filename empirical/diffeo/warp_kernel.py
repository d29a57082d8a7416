"""Deform on a CPU in one pass: the field's rows and the bilinear reading of them, fused.

Torch needs the field, its clamped positions, a grid and the result as arrays of their own, each read and written
through memory; here a row of the field lives in cache only. It has no gradient: `empirical.diffeo.fields.deform` takes
torch's way where one is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share

__all__ = ["deform_arrays"]

_PARTS = 4  # for each thread: one that is held up keeps few images


@compiled(inline="always")
def _read(pixels: np.ndarray, corner: Any, right: Any, below: Any, a: Any, c: Any) -> Any:
    """Between the pixel at `corner` and those to the right of it and below."""
    upper, lower = pixels[corner], pixels[corner + below]
    upper += a * (pixels[corner + right] - upper)
    lower += a * (pixels[corner + below + right] - lower)
    return upper + c * (lower - upper)


@compiled(fastmath={"contract", "nsz", "arcp"})
def _deform(
    images: np.ndarray,
    coefficients: np.ndarray,
    along: np.ndarray,
    down: np.ndarray,
    result: np.ndarray,
    first: int,
    last: int,
) -> None:
    """Images first ... last - 1: result[b, :, y, x] = images[b] at (clamp(y - dy), clamp(x - dx)), bilinear.

    `along` is sin(i pi u), shape (c, width), `down` sin(j pi v), shape (c, height).
    """
    channels, height, width = images.shape[1:]
    modes = along.shape[0]
    plane = np.uint64(height * width)
    kind = images.dtype.type
    zero, right_edge, lower_edge = kind(0), kind(width - 1), kind(height - 1)
    columns = np.arange(width).astype(images.dtype)
    shift_x = np.empty(width, images.dtype)
    shift_y = np.empty(width, images.dtype)
    corner = np.empty(width, np.uint32)  # unsigned, so that no index is looked at for counting from the end
    right = np.empty(width, np.uint32)
    below = np.empty(width, np.uint32)
    for b in range(first, last):
        pixels, output = images[b].ravel(), result[b].ravel()
        for y in range(height):
            shift_x[:] = zero
            shift_y[:] = zero
            for i in range(modes):
                of_x, of_y = zero, zero
                for j in range(modes):
                    of_x += coefficients[b, 0, i, j] * down[j, y]
                    of_y += coefficients[b, 1, i, j] * down[j, y]
                of_x *= kind(width)
                of_y *= kind(height)
                for x in range(width):
                    shift_x[x] += of_x * along[i, x]
                    shift_y[x] += of_y * along[i, x]
            row = kind(y)
            for x in range(width):
                u = columns[x] - shift_x[x]
                v = row - shift_y[x]
                u = u if u > zero else zero
                v = v if v > zero else zero
                u = u if u < right_edge else right_edge
                v = v if v < lower_edge else lower_edge
                left, top = np.int32(u), np.int32(v)  # not negative: cutting off is the floor
                shift_x[x] = u - kind(left)
                shift_y[x] = v - kind(top)
                corner[x] = top * np.int32(width) + left
                right[x] = left < np.int32(width - 1)
                below[x] = np.int32(width) if top < np.int32(height - 1) else np.int32(0)
            channel = 0
            while channel < channels:
                start = plane * np.uint64(channel)
                there = start + np.uint64(y * width)
                if channel + 3 <= channels:  # three together: what each needs of the position is loaded once
                    for x in range(width):
                        a, c = shift_x[x], shift_y[x]
                        here, aside, under = start + corner[x], np.uint64(right[x]), np.uint64(below[x])
                        out = there + np.uint64(x)
                        output[out] = _read(pixels, here, aside, under, a, c)
                        output[out + plane] = _read(pixels, here + plane, aside, under, a, c)
                        output[out + plane + plane] = _read(pixels, here + plane + plane, aside, under, a, c)
                    channel += 3
                else:
                    for x in range(width):
                        output[there + np.uint64(x)] = _read(
                            pixels, start + corner[x], np.uint64(right[x]), np.uint64(below[x]), shift_x[x], shift_y[x]
                        )
                    channel += 1


def deform_arrays(images: np.ndarray, coefficients: np.ndarray, threads: int) -> np.ndarray:
    """`empirical.diffeo.fields.deform`, bilinear, of contiguous arrays of one floating type."""
    height, width = images.shape[-2:]
    along, down = (_sines(n, coefficients.shape[-1], images.dtype) for n in (width, height))
    result = np.empty_like(images)
    count = len(images)
    parts = 1 if threads == 1 else min(_PARTS * threads, count)
    edges = [count * part // parts for part in range(parts + 1)]
    arguments = (images, coefficients, along, down, result)
    share(lambda part: _deform(*arguments, edges[part], edges[part + 1]), parts, threads)
    return result


def _sines(size: int, cutoff: int, dtype: np.dtype) -> np.ndarray:
    """sin(k pi u) on u = linspace(0, 1, size), shape (cutoff, size), exactly zero at both ends."""
    values = np.sin(math.pi * np.arange(1, cutoff + 1)[:, None] * np.linspace(0, 1, size))
    values[:, [0, -1]] = 0
    return values.astype(dtype)
