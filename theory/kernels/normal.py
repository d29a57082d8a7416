"""The normal distribution for compiled loops, in operations that a processor does on several numbers at once.

Library functions are called for one number at a time, and a loop with such a call in it is not vectorised.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from theory.kernels.compiled import compiled

__all__ = ["FAR", "chance_and_density", "polynomials"]

FAR = 9.0  # |u| beyond which Phi is 0 or 1 in double precision
_TURN = 3.0  # of the map of |u| to an interval on which Mills' ratio is a polynomial
_SQUARINGS = 6
_DENSITY = 1 / math.sqrt(2 * math.pi)


@cache
def polynomials() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients for `chance_and_density`, from the constant on, by interpolation at Chebyshev's points.

    Of (1 + |u|) Mills(u), Mills = Phi(-|u|) / phi(u), in s, which runs from -1 to 1 as |u| does from 0 to `FAR`, with
    (|u| - T) / (|u| + T) linear in s. Of exp(41 (s - 1) / 2^7), whose 2^6th power at s = 1 - u^2 / 41 is exp(-u^2 / 2).
    """
    from scipy.special import erfcx

    def mills(s: np.ndarray) -> np.ndarray:
        ratio = -1 + (s + 1) / 2 * (1 + (FAR - _TURN) / (FAR + _TURN))
        u = _TURN * (1 + ratio) / (1 - ratio)
        return (1 + u) * math.sqrt(math.pi / 2) * erfcx(u / math.sqrt(2))

    chebyshev = np.polynomial.chebyshev
    first = chebyshev.cheb2poly(chebyshev.chebinterpolate(mills, 18))  # type: ignore[arg-type, type-var]
    second = chebyshev.cheb2poly(chebyshev.chebinterpolate(lambda s: np.exp((s - 1) / 2 * 41 / 2**_SQUARINGS), 11))
    return tuple(map(float, first)), tuple(map(float, second))


@compiled(inline="always", error_model="numpy")
def chance_and_density(u, mills, exponential):  # type: ignore[no-untyped-def]
    """(Phi(u), phi(u)) for |u| <= FAR; relative error below 1e-12, in either tail."""
    size = abs(u)
    s = 2 * ((size - _TURN) / (size + _TURN) + 1) / (1 + (FAR - _TURN) / (FAR + _TURN)) - 1
    m, e = mills, exponential  # written out: only so are the coefficients kept in registers
    ratio = m[14] + s * (m[15] + s * (m[16] + s * (m[17] + s * m[18])))
    ratio = m[10] + s * (m[11] + s * (m[12] + s * (m[13] + s * ratio)))
    ratio = m[5] + s * (m[6] + s * (m[7] + s * (m[8] + s * (m[9] + s * ratio))))
    ratio = m[0] + s * (m[1] + s * (m[2] + s * (m[3] + s * (m[4] + s * ratio))))
    v = 1 - u * u / 41
    density = e[6] + v * (e[7] + v * (e[8] + v * (e[9] + v * (e[10] + v * e[11]))))
    density = e[0] + v * (e[1] + v * (e[2] + v * (e[3] + v * (e[4] + v * (e[5] + v * density)))))
    density *= density
    density *= density
    density *= density
    density *= density
    density *= density
    density *= density
    density *= _DENSITY
    tail = ratio / (1 + size) * density
    return (1 - tail if u > 0 else tail), density
