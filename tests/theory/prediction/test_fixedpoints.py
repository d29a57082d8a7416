"""The closed forms of the compressing regime."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from theory import Cylinder, FlowConfig, InputError, Stripe, fixed_points, predict


def _field(task: Stripe, angle: float) -> float:
    """g(theta) by quadrature."""

    def integrand(x: float) -> float:
        z = max(math.cos(angle) * x / math.sqrt(task.dim) + math.sin(angle), 0)
        return float(task.label(np.array([[x]]))[0]) * z * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    kink = -math.tan(angle) * math.sqrt(task.dim)
    return quad(integrand, -12, 12, points=[*task.interfaces, min(max(kink, -11), 11)], limit=500)[0]


@pytest.mark.parametrize("dim", [2, 5, 30, 90])
def test_points_are_maxima_with_the_rate_and_curvature_of_the_field(dim: int) -> None:
    task = Stripe(dim)
    points = fixed_points(task)
    assert [p.rate for p in points] == sorted((p.rate for p in points), reverse=True)
    for p in points:
        here, left, right = (p.sign * _field(task, p.angle + step) for step in (0, -1e-2, 1e-2))
        assert here == pytest.approx(p.rate, rel=1e-6)
        assert here > left
        assert here > right
        assert p.kink == pytest.approx(-math.tan(p.angle) * math.sqrt(dim), rel=1e-9)


def test_curvature_is_what_a_perpendicular_weight_adds_to_the_field() -> None:
    """Growth of g with r^2 / 2 per unit, from smoothed kinks: E[y (m Phi(u) + r phi(u))] / sqrt d."""
    task = Stripe(30)
    for p in fixed_points(task):
        along, offset, r = math.cos(p.angle), math.sin(p.angle), 1e-3

        def smooth(x: float, along: float = along, offset: float = offset, r: float = r) -> float:
            m = along * x + math.sqrt(30) * offset
            u = m / r
            a = m * 0.5 * math.erfc(-u / math.sqrt(2)) + r * math.exp(-u * u / 2) / math.sqrt(2 * math.pi)
            y = float(task.label(np.array([[x]]))[0])
            return y * a / math.sqrt(30) * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

        places = sorted({*task.interfaces, p.kink, p.kink - 0.01, p.kink + 0.01})
        smoothed = quad(smooth, -10, 10, points=places, limit=1000, epsabs=1e-13)[0]
        assert p.sign * (smoothed - _field(task, p.angle)) / (r * r / 2) == pytest.approx(p.curvature, rel=0.01)


def test_numbers_of_the_design() -> None:
    """d = 30, prototypes: (sign, kink, rate, (d-1) P w_perp^2 / w_par^2), to their grid's one percent."""
    found = [(p.sign, p.kink, p.rate, p.spread) for p in fixed_points(Stripe(30))]
    designed = [(-1, 0.683, 0.0824, 37.4), (1, -2.03, 0.0616, 211), (-1, 0.709, 0.0158, 44.2)]
    assert len(found) == len(designed)
    for one, other in zip(found, designed, strict=True):
        assert one == pytest.approx(other, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [10, 30])
def test_the_prediction_tends_to_the_fastest_point_as_alpha_falls(dim: int) -> None:
    """Just before the margin is met, P R_f = d / (d - 1) times its spread, once growth has selected it."""
    limit = dim / (dim - 1) * fixed_points(Stripe(dim))[0].spread
    gaps = []
    for scale in (1e-2, 1e-6, 1e-12):
        config = FlowConfig(width=100, scale=scale, unfit_fractions=(0.99,))
        gaps.append(abs(predict(Stripe(dim), config, cells=100).prefactor[0] / limit - 1))
    assert gaps[-1] < 0.02
    assert gaps[0] > 3 * gaps[-1]  # at alpha = 0.01 the others are still there


def test_only_a_stripe_has_them() -> None:
    with pytest.raises(InputError, match="task = cylinder-d30-2: must be a stripe"):
        fixed_points(Cylinder())
