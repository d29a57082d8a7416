"""Muon for convolutions: torch's, whose matrices here are the filters of a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FilterMuon"]

#: Newton-Schulz steps: three bring the singular values of an update near enough to 1 (airbench's number).
_STEPS = 3


def _matrix(filters: Tensor, like: Tensor) -> Tensor:
    """(c_out, c_in, h, w) as (c_out, c_in h w) in the order in which `like` lies in memory: a view of `like` itself."""
    order = (0, 1, 2, 3) if like.is_contiguous() else (0, 2, 3, 1)
    return filters.permute(order).reshape(len(filters), -1)


class FilterMuon(torch.optim.Muon):
    """`torch.optim.Muon` for the weights of convolutions, each the matrix of its filters, of norm sqrt(c_out).

    An update is the matrix U V^T of the singular vectors of the averaged gradient (K. Jordan et al., Muon, 2024), so
    that `lr` is the relative change of a step. The norm of a filter that batch norm follows has no effect but to
    shrink later steps: it is put back to 1 on average after each.

    Raises
    ------
    ValueError
        If a parameter has not four dimensions.
    """

    def __init__(self, filters: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        self._filters = list(filters)
        if any(one.ndim != 4 for one in self._filters):
            raise ValueError("the weights of convolutions have four dimensions")
        # They share memory, so that steps of the matrices are steps of the filters.
        matrices = [nn.Parameter(_matrix(one.detach(), one)) for one in self._filters]
        super().__init__(matrices, lr=lr, momentum=momentum, weight_decay=0.0, nesterov=True, ns_steps=_STEPS)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        matrices = self.param_groups[0]["params"]
        for one, matrix in zip(self._filters, matrices, strict=True):
            matrix.grad = None if one.grad is None else _matrix(one.grad, one)
        found = super().step(closure)
        for matrix in matrices:
            matrix.mul_(len(matrix) ** 0.5 / matrix.norm())
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        for one in self._filters:
            one.grad = None
