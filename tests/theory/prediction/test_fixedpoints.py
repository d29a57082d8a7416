"""The closed forms of the compressing regime."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import chi2

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


@pytest.mark.parametrize("task", [Cylinder(30, 2), Cylinder(10, 3)], ids=lambda task: task.name)
def test_a_cylinders_points_are_maxima_of_the_field_of_drawn_points(task: Cylinder) -> None:
    """rate, sigma and Pr(active) against 400,000 points: |z| < 4; the field falls to both sides."""
    x = np.random.default_rng(0).standard_normal((400_000, task.informative_dim))
    y = np.where(np.linalg.norm(x, axis=1) < task.radius, 1.0, -1.0)
    (point,) = fixed_points(task)
    means = []
    for angle in (point.angle, point.angle - 0.02, point.angle + 0.02):
        values = point.sign * y * np.maximum(math.cos(angle) * x[:, 0] / math.sqrt(task.dim) + math.sin(angle), 0)
        means.append(values.mean())
        if angle == point.angle:
            assert abs(values.mean() - point.rate) < 4 * values.std() / math.sqrt(len(x))
            assert values.std() == pytest.approx(point.noise, rel=0.01)
            active = np.mean(values != 0)
    assert means[0] > max(means[1:])
    settled = active / (task.dim * (point.rate - point.curvature) ** 2 * math.cos(point.angle) ** 2)
    assert point.spread == pytest.approx((task.dim - task.informative_dim) * settled, rel=0.01)
    assert point.prefactor == pytest.approx(task.dim * settled, rel=0.01)


@pytest.mark.parametrize("task", [Cylinder(30, 2), Cylinder(30, 3)], ids=lambda task: task.name)
def test_a_cylinders_curvature_is_what_a_perpendicular_weight_adds(task: Cylinder) -> None:
    """g with every kink smeared by r = 0.1, by quadrature over t."""
    (point,) = fixed_points(task)
    along, offset, r = math.cos(point.angle), math.sin(point.angle), 0.1
    law = chi2(task.informative_dim - 1)

    def smooth(t: float, r: float) -> float:
        m = along * t + math.sqrt(task.dim) * offset
        a = max(m, 0) if r == 0 else m * ndtr(m / r) + r * math.exp(-((m / r) ** 2) / 2) / math.sqrt(2 * math.pi)
        label = 2 * law.cdf(task.radius**2 - t * t) - 1
        return label * a / math.sqrt(task.dim) * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    places = [-task.radius, 0, task.radius]
    sharp, smeared = (quad(smooth, -10, 10, args=(size,), points=places, limit=1000)[0] for size in (0.0, r))
    assert point.sign * (smeared - sharp) / (r * r / 2) == pytest.approx(point.curvature, rel=0.02)


@pytest.mark.parametrize(("task", "size"), [(Cylinder(30, 2), 300), (Cylinder(10, 3), 600)], ids=str)
def test_a_ring_of_neurons_has_the_prefactor_that_it_says(task: Cylinder, size: int) -> None:
    """Neurons drawn on the sphere, J from points: P R_f = <J^2> / ((lambda - H)^2 cos^2 <c J>), within 5 %."""
    (point,) = fixed_points(task)
    rng = np.random.default_rng(1)
    direction = rng.standard_normal((size, task.informative_dim))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    active = (rng.standard_normal((20_000, task.informative_dim)) @ direction.T > point.kink).astype(np.float32)
    both = (active.T @ active / len(active))[~np.eye(size, dtype=bool)]
    cosine = (direction @ direction.T)[~np.eye(size, dtype=bool)]
    scale = ((point.rate - point.curvature) * math.cos(point.angle)) ** 2
    assert point.ring_prefactor == pytest.approx(np.mean(both**2) / (scale * np.mean(cosine * both)), rel=0.05)
    assert point.ring_prefactor > 1.5 * point.prefactor  # one direction is not the ring


def test_a_symmetric_stripe_has_no_maximum_where_there_are_no_points() -> None:
    points = fixed_points(Stripe(30, (-0.6745, 0.6745)))
    assert [round(p.kink, 3) for p in points] == [0, 0]
    assert {math.cos(p.angle) > 0 for p in points} == {True, False}


def test_other_tasks_have_none() -> None:
    with pytest.raises(InputError, match="task = other: must be a stripe or a cylinder"):
        fixed_points(SimpleNamespace(name="other", dim=5, informative_dim=1))  # type: ignore[arg-type]
