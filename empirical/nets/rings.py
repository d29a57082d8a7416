"""What convolutions on a ring of pixels ask of its size; no torch."""

from __future__ import annotations

from theory.common.errors import InputError, require_integer

__all__ = ["require_ring"]


def require_ring(positions: int, layers: int, filter_size: int, stride: int) -> None:
    """InputError unless `layers` of filters of so many pixels, each at this stride, fit a ring of `positions`."""
    require_integer("layers", layers, 1)
    require_integer("stride", stride, 1, filter_size)
    smallest = positions // stride ** (layers - 1)
    if positions % stride**layers or filter_size > smallest + 1:
        allowed = f"of filters of {filter_size} at a stride of {stride} do not fit a ring of {positions} pixels"
        raise InputError("layers", layers, allowed)
