"""Closed forms: where neurons condense while no point has reached the margin (equations 13 to 15, 16 and 17).

In the compressing regime every neuron moves in the same field. With t the coordinate along w_par, of length w, and
(w, b) = rho (cos theta, sin theta), the direction climbs g(theta) = E[s(t) relu(cos(theta) t / sqrt d + sin(theta))]
if beta > 0, or -g if beta < 0; s(t) = E[y | t] is the label itself for a stripe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv, gammainc, ndtr

from theory.common.errors import InputError
from theory.model.tasks import Cylinder, Stripe, Task

__all__ = ["FixedPoint", "fixed_points"]

_ANGLES = 2000  # of the grid on which maxima are bracketed
_FLOOR = 1e-6  # of the largest |g|: lower maxima do not count
#: |kink| beyond which no point of any sample lies (a chance of 1e-5): what g has there is no place of condensation.
_FARTHEST = 4.5
_NODES = 64  # of a Gauss-Legendre sum


@dataclass(frozen=True, slots=True)
class FixedPoint:
    r"""A direction of (w_par, b) in which neurons condense; a cylinder has a whole sphere of such w_par.

    .. math::

        z = -\frac{b \sqrt d}{w}, \qquad \lambda = |g|, \qquad
        \text{spread} = \frac{d_\perp P \langle w_\perp^2 \rangle}{w^2}, \qquad
        P R_f = \frac{d}{d_\perp} \, \text{spread}

    Attributes
    ----------
    sign : of beta there
    kink : z, the place along w_par at which the neuron switches on or off
    angle : theta of (w, b)
    rate : lambda, at which the weights of its neurons grow
    curvature : H, the rate at which perpendicular weights grow in the mean; they settle where H < lambda
    spread : as above, the mean of w_perp^2 per direction
    prefactor : P R_f of neurons that all have the same w_par
    ring_prefactor : P R_f of neurons spread evenly over the sphere of w_par; the prefactor, for a stripe
    noise : sigma, the standard deviation of :math:`\mathrm{relu}(\cos\theta \, t / \sqrt d + \sin\theta) \, y` at a
        point: the growth rates of a sample fluctuate by :math:`\sigma / \sqrt P`
    """

    sign: int
    kink: float
    angle: float
    rate: float
    curvature: float
    spread: float
    prefactor: float
    ring_prefactor: float
    noise: float


def _half_moment(slope: np.ndarray, offset: np.ndarray, low: float, high: float) -> np.ndarray:
    """E[relu(slope x + offset); low < x < high] for x ~ N(0, 1), elementwise."""
    with np.errstate(divide="ignore"):
        kink = np.where(slope == 0, np.where(offset > 0, -np.inf, np.inf), -offset / np.where(slope == 0, 1, slope))
    begin = np.where(slope >= 0, np.clip(kink, low, high), low)
    end = np.where(slope >= 0, high, np.clip(kink, low, high))
    density = [np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (begin, end)]
    return slope * (density[0] - density[1]) + offset * (ndtr(end) - ndtr(begin))


def _inside(task: Cylinder, z: np.ndarray) -> np.ndarray:
    """The chance that y = 1, given the coordinate t along one informative direction: F_chi2(R^2 - t^2; d_par - 1)."""
    left = np.maximum(_radius(task) ** 2 - z**2, 0)
    return np.asarray(gammainc((task.informative_dim - 1) / 2, left / 2))


def _radius(task: Cylinder) -> float:
    assert task.radius is not None  # set when the task is made
    return task.radius


def _labelled(task: Stripe | Cylinder, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """g: E[y relu(slope t + offset)], elementwise."""
    everywhere = _half_moment(slope, offset, -np.inf, np.inf)
    if isinstance(task, Stripe):
        return 2 * _half_moment(slope, offset, *task.interfaces) - everywhere
    # Gauss and Legendre from the kink to the end of the cylinder, in a with t = R sin a, which makes it smooth.
    radius = _radius(task)
    with np.errstate(divide="ignore", invalid="ignore"):
        kink = np.where(slope == 0, np.where(offset > 0, -np.inf, np.inf), -offset / slope)
    turn = np.arcsin(np.clip(np.where(slope < 0, -kink, kink) / radius, -1, 1))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (math.pi / 2 - turn) / 2
    angle = turn[..., None] + half[..., None] * (nodes + 1)
    t = radius * np.sin(angle)
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) * _inside(task, t) * radius * np.cos(angle)
    value = np.maximum(np.abs(slope)[..., None] * t + offset[..., None], 0) * density
    return 2 * half * (value @ weights) - everywhere


def _expected_label(task: Stripe | Cylinder, z: float) -> float:
    """s(t) = E[y | t]."""
    if isinstance(task, Stripe):
        return float(task.label(np.array([[z]]))[0])
    return float(2 * _inside(task, np.array(z)) - 1)


def _both_active(kink: float, side: float, correlation: np.ndarray) -> np.ndarray:
    """J(c): the chance that side * t and side * t' both exceed side * kink, corr(t, t') = c, elementwise.

    By dJ / dc = exp(-z^2 / (1 + c)) / (2 pi sqrt(1 - c^2)), from J(0) = Pr(active)^2; c = sin(angle) makes it smooth.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    top = np.arcsin(correlation)[..., None]
    angle = top * (nodes + 1) / 2
    slope = np.exp(-(kink**2) / (1 + np.sin(angle))) / (2 * math.pi)
    return ndtr(-side * kink) ** 2 + (slope * weights).sum(-1) * top[..., 0] / 2


def _ring(task: Stripe | Cylinder, kink: float, side: float) -> float:
    """<J^2> / <c J> over pairs of directions, c their cosine; Pr(active) where there is but one."""
    if isinstance(task, Stripe):
        return float(ndtr(-side * kink))
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # (1 + c) / 2 of two directions of d_par dimensions follows beta((d_par - 1) / 2, (d_par - 1) / 2).
    shape = (task.informative_dim - 1) / 2
    cosine = 2 * betaincinv(shape, shape, (nodes + 1) / 2) - 1
    both = _both_active(kink, side, cosine)
    return float(weights @ both**2 / (weights @ (cosine * both)))


def fixed_points(task: Task) -> tuple[FixedPoint, ...]:
    r"""The maxima of g and of -g, those with the fastest growth first; kinks where there are no points are left out.

    Per irrelevant direction, and with (w, b) of length 1,

    .. math::

        \langle w_\perp^2 \rangle = \frac{\Pr(\text{active})}{P d (\lambda - H)^2}, \qquad
        H = \text{sign} \, \frac{s(z) \, \rho(z)}{\sqrt{d} \, |w|}

    Raises
    ------
    InputError
        If the task is neither a `Stripe` nor a `Cylinder`.
    """
    if not isinstance(task, Stripe | Cylinder):
        raise InputError("task", task.name, "must be a stripe or a cylinder")
    root = math.sqrt(task.dim)
    irrelevant = task.dim - task.informative_dim

    def field(angle: np.ndarray) -> np.ndarray:
        return _labelled(task, np.cos(angle) / root, np.sin(angle))

    angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    gap = angles[1]
    found = []
    on_grid = field(angles)
    for sign in (1, -1):
        values = sign * on_grid
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
            if abs(kink) > _FARTHEST or (isinstance(task, Cylinder) and along < 0):
                continue  # a cylinder's w is a length: the other sign is the opposite direction
            side = math.copysign(1, along)
            density = math.exp(-(kink**2) / 2) / math.sqrt(2 * math.pi)
            curvature = sign * _expected_label(task, kink) * density / (root * abs(along))
            active = float(ndtr(-side * kink))
            each = 1 / (task.dim * (rate - curvature) ** 2 * along**2)
            square = _relu_square(along / root, math.sin(theta))
            found.append(
                FixedPoint(
                    sign, kink, theta, rate, curvature, irrelevant * active * each, task.dim * active * each,
                    task.dim * each * _ring(task, kink, side), math.sqrt(max(square - rate**2, 0)),
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda point: -point.rate))


def _relu_square(slope: float, offset: float) -> float:
    """E[relu(slope t + offset)^2] for t ~ N(0, 1)."""
    u = offset / abs(slope)
    bell = math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
    return slope**2 * ((1 + u**2) * float(ndtr(u)) + u * bell)
