"""A quadratic problem in a box: min 1/2 A.H A - b.A over 0 <= A_p <= 1."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import lsq_linear

__all__ = ["solve_box"]

_SETS = 30  # guesses of which are at an end; from a start nearby, five are enough


def solve_box(matrix: np.ndarray, linear: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The A in [0, 1]^n at which 1/2 A.H A - b.A is least; H is positive definite.

    The primal-dual active set method (M. Hintermueller, K. Ito and K. Kunisch, SIAM J. Optim. 13 (2002) 865): guess
    which A_p are 0 and which are 1, solve for the others, and let those change that are wrong, until none is. It is
    Newton's method, and ends after a few guesses; should it go round in circles, scipy's bounded least squares do
    the rest. `start` is where the first guess is made.
    """
    scale = 1 / np.diag(matrix)
    pulls, slope = start, linear - matrix @ start
    above = below = np.zeros(len(start), bool)
    for guess in range(_SETS):
        moved = pulls + scale * slope
        upper, lower = moved > 1, moved < 0
        if guess and np.array_equal(upper, above) and np.array_equal(lower, below):
            return pulls
        above, below = upper, lower
        pulls = above.astype(float)
        free = np.flatnonzero(~(above | below))
        if len(free):
            known = linear[free] - matrix[np.ix_(free, np.flatnonzero(above))].sum(1)
            try:
                factor = cho_factor(matrix[np.ix_(free, free)], check_finite=False)
            except LinAlgError:
                break  # not positive definite to rounding
            pulls[free] = cho_solve(factor, known, check_finite=False)
        slope = linear - matrix @ pulls
        slope[free] = 0
    root = cholesky(matrix + 1e-6 * np.mean(np.diag(matrix)) * np.eye(len(matrix)), lower=True)
    return np.asarray(lsq_linear(root.T, solve_triangular(root, linear, lower=True), (0, 1), method="bvls").x)
