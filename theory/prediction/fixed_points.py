"""Closed forms: where neurons condense while no point has reached the margin (equations 13 to 15).

In the compressing regime every neuron moves in the same field. With (w_par, b) = rho (cos theta, sin theta) the
direction climbs g(theta) = E[y relu(cos(theta) x_1 / sqrt d + sin(theta))] if beta > 0, or -g if beta < 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from theory.common.errors import InputError
from theory.model.tasks import Stripe, Task

__all__ = ["FixedPoint", "fixed_points"]

_ANGLES = 2000  # of the grid on which maxima are bracketed
_FLOOR = 1e-6  # of the largest |g|: lower maxima do not count


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A direction in which neurons condense.

    Attributes
    ----------
    sign : of beta there
    kink : z = -b sqrt(d) / w_par, the x_1 at which the neuron switches on or off
    angle : theta of (w_par, b)
    rate : lambda = |g|, at which the weights of its neurons grow
    curvature : H, what the perpendicular weights' growth lacks of being 0: they grow at the rate H < lambda
    spread : (d - 1) P <w_perp^2> / w_par^2, with <w_perp^2> per direction
    """

    sign: int
    kink: float
    angle: float
    rate: float
    curvature: float
    spread: float


def _half_moment(slope: np.ndarray, offset: np.ndarray, low: float, high: float) -> np.ndarray:
    """E[relu(slope x + offset); low < x < high] for x ~ N(0, 1), elementwise."""
    with np.errstate(divide="ignore"):
        kink = np.where(slope == 0, np.where(offset > 0, -np.inf, np.inf), -offset / np.where(slope == 0, 1, slope))
    begin = np.where(slope >= 0, np.clip(kink, low, high), low)
    end = np.where(slope >= 0, high, np.clip(kink, low, high))
    density = [np.exp(-(place**2) / 2) / math.sqrt(2 * math.pi) for place in (begin, end)]
    return slope * (density[0] - density[1]) + offset * (ndtr(end) - ndtr(begin))


def fixed_points(task: Task) -> tuple[FixedPoint, ...]:
    """The maxima of g and of -g, those with the fastest growth first.

    Per irrelevant direction <w_perp^2> = Pr(active) / (P d (lambda - H)^2), H = sign y(z) rho(z) / (sqrt(d) |w_par|)
    with (w_par, b) of length 1.

    Raises
    ------
    InputError
        If the task is not a `Stripe`.
    """
    if not isinstance(task, Stripe):
        raise InputError("task", task.name, "must be a stripe: the prediction knows one informative direction")
    root = math.sqrt(task.dim)

    def field(angle: np.ndarray) -> np.ndarray:
        slope, offset = np.cos(angle) / root, np.sin(angle)
        inside = _half_moment(slope, offset, *task.interfaces)
        return 2 * inside - _half_moment(slope, offset, -np.inf, np.inf)

    angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    gap = angles[1]
    found = []
    for sign in (1, -1):
        values = sign * field(angles)
        # Far out, where g is 0 to rounding, maxima mean nothing.
        high = values > _FLOOR * values.max()
        peaks = np.flatnonzero((values > np.roll(values, 1)) & (values >= np.roll(values, -1)) & high)
        for angle in angles[peaks]:
            best = minimize_scalar(
                lambda t, s=sign: -s * float(field(np.array(t))),
                bounds=(angle - gap, angle + gap), method="bounded", options={"xatol": 1e-12},
            )  # fmt: skip
            theta, rate = float(best.x), -float(best.fun)
            along = math.cos(theta)
            kink = -math.tan(theta) * root
            density = math.exp(-(kink**2) / 2) / math.sqrt(2 * math.pi)
            side = float(task.label(np.array([[kink]]))[0])
            curvature = sign * side * density / (root * abs(along))
            active = float(ndtr(-kink if along > 0 else kink))
            weight = active / (task.dim * (rate - curvature) ** 2)
            found.append(FixedPoint(sign, kink, theta, rate, curvature, (task.dim - 1) * weight / along**2))
    return tuple(sorted(found, key=lambda point: -point.rate))
