"""The response kernel against a linear system solved exactly, and against single draws of the noise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm

from theory import Network, Stripe
from theory.population import Population, Snapshot, split
from theory.quadrature import Cells
from theory.response import Perpendicular

TASK = Stripe(dim=5)


def _frozen() -> tuple[Population, Snapshot]:
    """A population in the middle of things, with points on both sides of the margin, after plain Euler steps."""
    start = Network.initial(6, TASK.dim, np.random.default_rng(0))
    population = Population(start, Cells.of(TASK, 30), "softhinge", 4.0)
    there = population(population.start)
    while population.unfit_fraction(there) > 0.6:
        there = population(there.parameters + 0.1 * there.response.velocity)
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
        response = Perpendicular(population)
        for _ in range(steps):
            response.advance(there, there, total / steps)
        errors.append(np.linalg.norm(response.kernel - exact) / np.linalg.norm(exact))
    assert errors[-1] < 0.02
    for coarse, fine in pairwise(errors):
        assert 1.8 < coarse / fine < 2.2
    response = Perpendicular(population)
    for _ in range(3):
        response.advance(there, there, total / 3)
    assert np.linalg.norm(response.kernel) < 3 * np.linalg.norm(exact)  # long steps damp, they do not blow up


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
    response = Perpendicular(population)
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
