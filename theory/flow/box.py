"""A quadratic problem in a box: min 1/2 A.H A - b.A over 0 <= A_p <= 1."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

__all__ = ["solve_box"]

_GUESSES = 30  # of which are at an end; from a start nearby, five are enough
_DESCENTS = 200
_HALVINGS = 30
_NEAR = 1e-2  # of an end
_EXACT = 1e-9  # the A_p are known to, where b is of order 1


def solve_box(matrix: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The A in [0, 1]^n at which 1/2 A.H A - b.A is least; H is positive definite.

    The primal-dual active set method (M. Hintermueller, K. Ito and K. Kunisch, SIAM J. Optim. 13 (2002) 865): guess
    which A_p are 0 and which are 1, solve for the others, and let those change that are wrong, until none is. It ends
    after a few guesses, or goes round in circles; then Newton steps that are projected on the box, and halved until
    they descend, do the rest (D. P. Bertsekas, SIAM J. Control Optim. 20 (1982) 221). `start` is where the first guess
    is made.
    """
    pulls, slope = start, linear - matrix @ start
    above = below = np.zeros(len(start), bool)
    for guess in range(_GUESSES):
        moved = pulls + slope / np.diag(matrix)
        upper, lower = moved > 1, moved < 0
        if guess and np.array_equal(upper, above) and np.array_equal(lower, below):
            return pulls
        above, below = upper, lower
        free = np.flatnonzero(~(above | below))
        pulls = above.astype(float)
        pulls[free] = _solution(matrix, linear - matrix[:, above].sum(1), free)
        slope = linear - matrix @ pulls
        slope[free] = 0
    return _descended(matrix, linear, np.clip(pulls, 0, 1))


def _descended(matrix: np.ndarray, linear: np.ndarray, pulls: np.ndarray) -> np.ndarray:
    """By projected Newton steps from `pulls`."""

    def height(at: np.ndarray) -> float:
        return float(at @ (matrix @ at / 2 - linear))

    small = _EXACT * float(np.max(np.abs(linear), initial=0))
    for _ in range(_DESCENTS):
        slope = matrix @ pulls - linear
        steepest = -slope / np.diag(matrix)
        lack = float(np.max(np.abs(np.clip(pulls + steepest, 0, 1) - pulls), initial=0))
        if lack <= small:
            break
        # What is near an end, and is drawn to it, must not stop the others: it goes there by itself.
        near = min(lack, _NEAR)
        held = ((pulls <= near) & (slope > 0)) | ((pulls >= 1 - near) & (slope < 0))
        free = np.flatnonzero(~held)
        direction = steepest
        direction[free] = _solution(matrix, -slope, free)
        best, length = height(pulls), 1.0
        for _ in range(_HALVINGS):
            moved = np.clip(pulls + length * direction, 0, 1)
            if height(moved) < best:
                break
            length /= 2
        else:
            break  # no descent is left to rounding
        pulls = moved
    return pulls


def _solution(matrix: np.ndarray, right: np.ndarray, free: np.ndarray) -> np.ndarray:
    """x of H x = right in the free rows and columns."""
    if not len(free):
        return np.empty(0)
    return np.asarray(cho_solve(cho_factor(matrix[np.ix_(free, free)], check_finite=False), right[free]))
