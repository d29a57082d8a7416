"""How far F can have moved at a point that was not looked at, compiled by numba; see `theory.flow.skipping`."""

from __future__ import annotations

import math

import numpy as np

from theory.kernels.compiled import compiled
from theory.kernels.threads import share
from theory.model.network import Network

__all__ = ["lower_slack", "rounding_bound"]

_PARTS = 8  # of the neurons, each with its own sums, added in order: threads do not change a bit
_BLOCK = 256  # points of a part


@compiled(fastmath=True)
def _form(weight, bias, output, moved_weight, moved_bias, moved_output, form):  # type: ignore[no-untyped-def]
    """Adds the part of some neurons to M, shape (D, D); gives theirs of sum_i c_i. Two nets: before and after."""
    dim, padded = weight.shape[1], form.shape[0]
    first, second = np.zeros(padded, weight.dtype), np.zeros(padded, weight.dtype)
    sum_of_lengths = 0.0
    for n in range(len(bias)):
        gain, change = moved_output[n], moved_output[n] - output[n]
        first[dim], second[dim] = gain * (moved_bias[n] - bias[n]), change * bias[n]
        for k in range(dim):
            first[k] = gain * (moved_weight[n, k] - weight[n, k])
            second[k] = change * weight[n, k]
        one = two = 0.0
        for k in range(dim + 1):
            one += first[k] * first[k]
            two += second[k] * second[k]
        one, two = math.sqrt(one), math.sqrt(two)
        sum_of_lengths += one + two
        # A vector of length 0 adds nothing; the tiny number keeps 0 / 0 away.
        one_over = weight.dtype.type(1 / (one + 1e-30))
        two_over = weight.dtype.type(1 / (two + 1e-30))
        for k in range(dim + 1):
            a, b = one_over * first[k], two_over * second[k]
            row = form[k]
            for j in range(padded):
                row[j] += a * first[j] + b * second[j]
    return sum_of_lengths


@compiled(fastmath=True)
def _lower(slack, lifted, form, factor):  # type: ignore[no-untyped-def]
    """Takes factor sqrt(x~^T M x~) off each positive slack, down to 0 at the least."""
    dim = lifted.shape[1]
    for p in range(len(slack)):
        if slack[p] > 0:
            x = lifted[p]
            square = lifted.dtype.type(0)
            for k in range(dim):
                row = form[k]
                product = lifted.dtype.type(0)
                for j in range(dim):
                    product += row[j] * x[j]
                square += x[k] * product
            left = slack[p] - factor * math.sqrt(max(square, 0))
            slack[p] = left if left > 0 else 0


def lower_slack(slack: np.ndarray, before: Network, after: Network, points: np.ndarray, scale: float) -> None:
    """Take the bound of |F' - F| off every positive slack, shape (P,), float64, in place; at the least 0 is left.

    points: x~, see `theory.model.network.lifted`.
    """
    dtype, dim = points.dtype, points.shape[1]
    forms, totals = np.zeros((_PARTS, dim, dim), dtype), np.zeros(_PARTS)

    def neurons(part: int) -> None:
        some = slice(part * before.width // _PARTS, (part + 1) * before.width // _PARTS)
        nets = (array[some] for net in (before, after) for array in (net.weight, net.bias, net.output))
        totals[part] = _form(*nets, forms[part])

    share(neurons, _PARTS)
    form, total = forms.sum(0), totals.sum()
    trace = float(np.trace(form))
    if not (math.isfinite(total) and math.isfinite(trace)):
        slack[:] = 0
        return
    # Rounding may make the quadratic form too small: of a sum of N terms by N eps of the trace at most.
    eps = float(np.finfo(dtype).eps)
    form += np.diag(np.full(dim, dtype.type((before.width / 4 + dim) * eps * trace)))
    factor = scale / before.width * math.sqrt(total) * (1 + 1e-3)

    def block(index: int) -> None:
        some = slice(index * _BLOCK, (index + 1) * _BLOCK)
        _lower(slack[some], points[some], form, factor)

    share(block, math.ceil(len(slack) / _BLOCK))


@compiled(fastmath=True)
def _strength(weight, bias, output):  # type: ignore[no-untyped-def]
    """sum_n |beta_n| |u_n|."""
    total = 0.0
    for n in range(len(bias)):
        square = bias[n] * bias[n]
        for k in range(weight.shape[1]):
            square += weight[n, k] * weight[n, k]
        total += abs(output[n]) * math.sqrt(square)
    return total


def rounding_bound(network: Network, dtype: np.dtype, scale: float) -> float:
    """Upper bound of the rounding of F over |x~|: (h + d + 2) eps (alpha / h) sum_n |beta_n| |u_n|.

    The bound of a sum of N terms computed in any order, (N - 1) eps sum |terms|, for both sums of the net.
    """
    terms = float(_strength(network.weight, network.bias, network.output))
    return (network.width + network.dim + 2) * float(np.finfo(dtype).eps) * scale / network.width * terms
