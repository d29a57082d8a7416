"""The response kernel against a linear system solved exactly, and against single draws of the noise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import ndtr

from theory import Network, Stripe
from theory.model.losses import pull
from theory.prediction.population import Population, Snapshot, split
from theory.prediction.quadrature import Cells
from theory.prediction.response import Perpendicular

TASK = Stripe(dim=5)


def _frozen() -> tuple[Population, Snapshot]:
    """A population in the middle of things, with points on both sides of the margin, after plain Euler steps."""
    start = Network.initial(6, TASK.dim, np.random.default_rng(0))
    population = Population(start, Cells.of(TASK, 30), "softhinge", 4.0)
    there = population(population.start)
    while there.unfit_fraction > 0.6:
        there = population(there.parameters + 0.1 * there.velocity)
    assert there.slack.curvature.max() > 1
    return population, there


def _system(population: Population, there: Snapshot) -> tuple[np.ndarray, np.ndarray]:
    """The matrix M and the source S of K' = M K + S, from the equations, with loops."""
    cells = population.cells
    _, _, _, beta = split(there.parameters)
    width = population.width
    outward = np.array([[beta[n] * there.active[n, k] for k in range(cells.count)] for n in range(width)])
    outward /= math.sqrt(TASK.dim)
    matrix = np.diag(there.growth)
    for n in range(width):
        for m in range(width):
            felt = cells.mass * there.slack.curvature
            matrix[n, m] -= population.scale / width * float(np.sum(outward[n] * felt * outward[m]))
    return matrix, outward * (cells.label * there.slack.pull * np.sqrt(cells.mass))


def test_steps_converge_to_the_solution_of_the_linear_system() -> None:
    """With everything else at rest K(t) = M^-1 (e^(M t) - 1) S; the error falls in proportion to the step."""
    population, there = _frozen()
    matrix, source = _system(population, there)
    total = 9 / -np.linalg.eigvalsh(matrix)[0]  # three steps of this would overshoot if they were explicit
    exact = np.linalg.solve(matrix, (expm(matrix * total) - np.eye(6)) @ source)
    errors = []
    for steps in (50, 100, 200):
        response = Perpendicular(population, there)
        for _ in range(steps):
            response.advance(there, there, total / steps)
        errors.append(np.linalg.norm(response.kernel - exact) / np.linalg.norm(exact))
    assert errors[-1] < 0.02
    for coarse, fine in pairwise(errors):
        assert 1.8 < coarse / fine < 2.2
    response = Perpendicular(population, there)
    for _ in range(3):
        response.advance(there, there, total / 3)
    assert np.linalg.norm(response.kernel) < 3 * np.linalg.norm(exact)  # long steps damp, they do not blow up


def test_what_the_start_leaves_is_the_solution_of_the_linear_system() -> None:
    """W(t) = e^(M t) W_0 + M^-1 (e^(M t) - 1) b, b = (alpha / h) U Q U_0^T W_0, from a start taken at that moment."""
    population, there = _frozen()
    matrix, _ = _system(population, there)
    outward = split(there.parameters)[3][:, None] * there.active / math.sqrt(TASK.dim)
    weights = population.cells.mass * there.slack.curvature
    first = population.perpendicular_start
    driven = population.scale / 6 * (outward * weights) @ (outward.T @ first)
    total = 9 / -np.linalg.eigvalsh(matrix)[0]
    grown = expm(matrix * total)
    exact = grown @ first + np.linalg.solve(matrix, (grown - np.eye(6)) @ driven)
    errors = []
    for steps in (50, 100, 200):
        response = Perpendicular(population, there)
        assert not response.start_slope_variance(there).any()  # F is f - f_0
        for _ in range(steps):
            response.advance(there, there, total / steps)
        errors.append(np.linalg.norm(response.start - exact) / np.linalg.norm(exact - first))
    assert errors[-1] < 0.02
    for coarse, fine in pairwise(errors):
        assert 1.8 < coarse / fine < 2.2
    gradient = population.scale / 6 * (outward.T @ (exact - first))
    assert response.start_slope_variance(there) == pytest.approx((gradient**2).sum(1), rel=0.1)
    assert response.start_weight_variance() == pytest.approx(np.mean(exact**2), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softhinge", "squaredhinge"])
def test_a_law_that_is_tilted_by_hand_moves_the_weights_as_the_kernel_says(loss: str) -> None:
    """The response to points of the law 1 + eps t(x_1) x_2, without an expansion: within 0.3 %.

    The mean over x_2 is a Gauss-Hermite sum, neurons have one weight s along it, and classical Runge-Kutta steps take
    everything along; the derivative by eps at 0 is K t sqrt(mass). Without the feedback it is not, the control.
    """
    task, time, width = Stripe(6, (-0.5, 0.9)), 6.0, 8
    drawn = Network.initial(width, 6, np.random.default_rng(1))
    start = Network(drawn.weight * np.array([1.5] + [0.3] * 5), drawn.bias, drawn.output)  # kinks not too smooth
    population = Population(start, Cells.of(task, 900), loss, 30.0)
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(7)
    fine = population.cells
    x, other = (part.ravel() for part in np.meshgrid(fine.centre, nodes, indexing="ij"))
    mass = (fine.mass[:, None] * node_weights / node_weights.sum()).ravel()
    label = np.repeat(fine.label, 7)
    root = math.sqrt(6)

    def seen(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w, r, s, b, _ = p
        m = w[:, None] * x + s[:, None] * other + root * b[:, None]
        u = m / r[:, None]
        chance, density = ndtr(u), np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
        return chance, density, (m * chance + r[:, None] * density) / root

    first = np.stack([*split(population.start)[:2], np.zeros(width), *split(population.start)[2:]])
    baseline = first[4] @ seen(first)[2] / width

    def velocity(p: np.ndarray, law: np.ndarray) -> np.ndarray:
        chance, density, mean = seen(p)
        force = law * label * pull(loss, label * 30.0 * (p[4] @ mean / width - baseline))
        inner = p[4] / root
        return np.stack([
            inner * (chance @ (force * x)), inner * (density @ force), inner * (chance @ (force * other)),
            p[4] * (chance @ force), mean @ force,
        ])  # fmt: skip

    def tilt(place: np.ndarray) -> np.ndarray:
        return 1 + 0.7 * place - 0.4 * np.sin(2 * place)

    ends = []
    for eps in (1e-4, -1e-4):
        law, p, step = mass * (1 + eps * tilt(x) * other), first.copy(), time / 200
        for _ in range(200):
            k1 = velocity(p, law)
            k2 = velocity(p + step / 2 * k1, law)
            k3 = velocity(p + step / 2 * k2, law)
            p = p + step / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(p + step * k3, law))
        ends.append(p[2])
    exact = (ends[0] - ends[1]) / 2e-4
    errors = {}
    for curved in (True, False):
        coarse = Population(start, Cells.of(task, 200), loss, 30.0)
        here = coarse(coarse.start)
        response = Perpendicular(coarse, here)
        for _ in range(3000):
            there = coarse(here.parameters + time / 3000 * here.velocity)
            if not curved:
                there.slack.curvature[:] = 0
            response.advance(here, there, time / 3000)
            here = there
        assert 0.05 < here.unfit_fraction < 0.95
        found = response.kernel @ (tilt(coarse.cells.centre) * np.sqrt(coarse.cells.mass))
        errors[curved] = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert errors[True] < 0.003
    assert errors[False] > 0.03


def test_without_the_points_at_the_margin_there_is_no_damping() -> None:
    """The control: the same system without its feedback ends elsewhere, by much."""
    population, there = _frozen()
    matrix, source = _system(population, there)
    free = np.diag(there.growth)
    total = 9 / -np.linalg.eigvalsh(matrix)[0]
    ends = [np.linalg.solve(m, (expm(m * total) - np.eye(6)) @ source) for m in (matrix, free)]
    assert np.linalg.norm(ends[1] - ends[0]) > 0.5 * np.linalg.norm(ends[0])


def test_averages_over_the_noise_are_those_of_many_draws() -> None:
    """P <G^2> and P <dw^2> against 20,000 draws of the cells' noise: 30 + 1 numbers, |z| < 5."""
    population, there = _frozen()
    response = Perpendicular(population, there)
    for _ in range(50):
        response.advance(there, there, 0.02)
    noise = np.random.default_rng(2).standard_normal((population.cells.count, 20_000))
    shift = response.kernel @ noise
    beta = split(there.parameters)[3]
    slopes = population.scale / population.width * (beta[:, None] * there.active / math.sqrt(TASK.dim)).T @ shift
    for draws, exact in ((slopes**2, response.slope_variance(there)), ((shift**2).mean(0), response.weight_variance())):
        error = np.std(draws, axis=-1, ddof=1) / math.sqrt(draws.shape[-1])
        assert np.max(np.abs((np.mean(draws, axis=-1) - exact) / error)) < 5
    signal = float(population.cells.mass @ population.slope(there) ** 2)
    power = float(population.cells.mass @ response.slope_variance(there))
    assert response.prefactor(there) == pytest.approx(TASK.dim * power / signal, rel=1e-12)
