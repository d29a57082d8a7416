"""Points that cannot matter are not looked at, with a proof that they cannot.

A point whose y F is beyond 1 + reach pulls with exactly 0, and the step control sees F only up to there. So
nothing changes if such a point is left out, as long as y F stays beyond. How far F can have moved is bounded
without looking at the point. With u = (w, b) and x~ = (x / sqrt d, 1), from a net to the next

    |F' - F| <= (alpha / h) sum_n [ |beta'_n| |(u'_n - u_n) . x~| + |beta'_n - beta_n| |u_n . x~| ],

relu being a contraction. For the 2 h vectors a_i = beta' (u' - u), (beta' - beta) u, of lengths c_i, the inequality
of Cauchy and Schwarz gives (sum_i |a_i . x~|)^2 <= (sum_i c_i) x~^T M x~, M = sum_i a_i a_i^T / c_i: h d^2 operations
and d^2 for each point, against h d for each point to know F. It is tight where the a_i have few directions,
which is how the net learns features.
"""

from __future__ import annotations

import numpy as np

from theory.kernels.skipping_kernel import lower_slack, rounding_bound
from theory.model.network import Network, lifted

__all__ = ["Sleepers"]

#: Part of the points that must be idle before any may sleep: to know that they may costs something, too.
_WORTH_WHILE = 0.1


class Sleepers:
    """Which points of one trajectory sleep, and how far F may still move before they must be looked at.

    Attributes
    ----------
    looked_at : points evaluated so far, summed over evaluations; to be compared with P times their number
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, width: int, scale: float, cap: float, skip: bool) -> None:
        points, dim = x.shape
        self._shape = (width, dim)
        self._y, self._scale, self._cap, self._skip = y, scale, cap, skip
        self._lifted = lifted(x, 8)
        self._lengths = np.sqrt((self._lifted**2).sum(1))
        # At the origin; positive for the points that sleep. In double precision: many small steps must add up.
        self._slack = np.zeros(points)
        self._pulled = np.ones(points, dtype=bool)  # below the cap when last looked at
        self._origin: np.ndarray | None = None
        self._latest: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.looked_at = 0

    def awake(self, parameters: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Indices of the points to look at for the field at `parameters` (None: all), and what is left of slack.

        `origin` is where the trajectory stands; an origin that is not the one before, nor where was looked at last,
        wakes all. Points that pulled come first: where they end, so does the backward pass.
        """
        if origin is not self._origin:
            if self._latest is not None and self._latest[0] is origin:
                _, self._slack, self._pulled = self._latest
            else:
                self._slack = np.zeros_like(self._slack)
            self._origin = origin
        left = self._slack.copy()
        if left.any():
            before, after = (Network.from_flat(flat, *self._shape) for flat in (origin, parameters))
            lower_slack(left, before, after, self._lifted, self._scale)
            # F would round here if it were looked at; where it was looked at, that has been taken off already.
            left[left <= rounding_bound(after, self._lifted.dtype, self._scale) * self._lengths] = 0
        awake = left == 0
        if awake.all() and self._pulled.all():
            return None, left
        return np.concatenate([np.flatnonzero(awake & self._pulled), np.flatnonzero(awake & ~self._pulled)]), left

    def margins(
        self, parameters: np.ndarray, points: np.ndarray | None, left: np.ndarray, predictor: np.ndarray
    ) -> np.ndarray:
        """min(y F, cap) at all points from F at those that were looked at, shape (P,)."""
        chosen = slice(None) if points is None else points
        seen = np.full(len(self._y), self._cap, predictor.dtype)
        z = self._y[chosen] * predictor
        seen[chosen] = np.minimum(z, self._cap)
        self.looked_at += len(predictor)
        slack, pulled = left, self._pulled
        if self._skip:
            below = z < self._cap
            pulled = self._pulled.copy()
            pulled[chosen] = below
            slack = np.zeros_like(left) if points is None else left.copy()
            idle = len(pulled) - np.count_nonzero(pulled)
            if idle < _WORTH_WHILE * len(pulled):
                slack[:] = 0
            elif not below.all():
                network = Network.from_flat(parameters, *self._shape)
                rounding = rounding_bound(network, predictor.dtype, self._scale) * self._lengths[chosen]
                beyond = z - self._cap - rounding
                slack[chosen] = np.where((beyond > 0) & (beyond < np.inf), beyond, 0)
            else:
                slack[chosen] = 0
        self._latest = (parameters, slack, pulled)
        return seen
