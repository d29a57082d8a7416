"""The hinge's steps along the margin: the pulls that are solved for, the tangent, and what explicit steps give."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from threadpoolctl import threadpool_limits

import theory.flow.box as box
from theory import FlowConfig, InputError, Stripe, simulate
from theory.flow.box import solve_box
from theory.flow.integrate import integrate
from theory.flow.simulation import Flow
from theory.flow.sliding import SlidingStepper, sliding_window
from theory.flow.state import OverPoints, State
from theory.flow.tangent import Tangent
from theory.kernels import get_kernel
from theory.model.configuration import Integrator
from theory.model.network import Network
from theory.model.observables import outputs


def _problem(size: int, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((size, rank))
    return spread @ spread.T / rank + 1e-3 * np.eye(size), 2 * rng.standard_normal(size)


def _lack(matrix: np.ndarray, linear: np.ndarray, pulls: np.ndarray) -> float:
    """How far A is from the solution: A = clip(A - gradient) there and nowhere else."""
    return float(np.abs(pulls - np.clip(pulls - (matrix @ pulls - linear), 0, 1)).max())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000))
def test_the_least_in_the_box_is_found_from_any_start(size: int, rank: int, seed: int) -> None:
    matrix, linear = _problem(size, rank, seed)
    for start in (np.zeros(size), np.ones(size), np.random.default_rng(seed).random(size)):
        assert _lack(matrix, linear, solve_box(matrix, linear, start)) < 1e-5
    root = np.linalg.cholesky(matrix)
    theirs = lsq_linear(root.T, np.linalg.solve(root, linear), (0, 1), tol=1e-13).x
    np.testing.assert_allclose(solve_box(matrix, linear, np.ones(size)), theirs, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000))
def test_projected_newton_steps_find_it_where_guesses_go_round(size: int, rank: int, seed: int) -> None:
    matrix, linear = _problem(size, rank, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box, "_GUESSES", 0)
        assert _lack(matrix, linear, solve_box(matrix, linear, np.ones(size))) < 1e-5


@pytest.fixture
def net_and_points() -> tuple[Network, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points, labels = Stripe(5).sample(40, rng)
    return Network.initial(30, 5, rng), points, labels


def test_the_tangent_is_that_of_the_flow(net_and_points: tuple[Network, np.ndarray, np.ndarray]) -> None:
    """Its velocity is the kernel's, K A the rate of z at that velocity, and that the derivative of y F."""
    network, x, y = net_and_points
    scale = 3.0
    tangent = Tangent(network, x, y, len(x), scale)
    _, velocity = get_kernel("numpy")(x, y, outputs(network, x) - y * 5, scale, "hinge")(network)  # z = 5 alpha > 1
    assert not velocity.flat.any()
    _, velocity = get_kernel("numpy")(x, y, outputs(network, x) + y * 5, scale, "hinge")(network)  # all pull
    found = tangent.velocity(np.ones(len(x)))
    np.testing.assert_allclose(found, velocity.flat, rtol=1e-10, atol=1e-12)
    pulls = np.random.default_rng(1).random(len(x))
    moving = tangent.velocity(pulls)
    np.testing.assert_allclose(tangent.rate(moving), tangent.kernel() @ pulls, rtol=1e-10, atol=1e-12)
    step = 1e-7
    before = outputs(network, x)
    after = outputs(Network.from_flat(network.flat + step * moving, 30, 5), x)
    np.testing.assert_allclose(scale * y * (after - before) / step, tangent.rate(moving), rtol=1e-4, atol=1e-7)


def _steps_until(unfit: float) -> tuple[list[State[OverPoints]], SlidingStepper]:
    """All states of a small flow."""
    rng = np.random.default_rng(3)
    x, y = Stripe(5).sample(200, rng)
    start = Network.initial(60, 5, rng)
    kernel = get_kernel("numpy")(x, y, outputs(start, x), 1e-3, "hinge")
    cap = 1 + sliding_window(0.02)

    def field(parameters: np.ndarray, origin: np.ndarray) -> OverPoints:
        predictor, velocity = kernel(Network.from_flat(parameters, 60, 5), None)
        return OverPoints(np.minimum(y * predictor, cap), velocity.flat)

    def tangent(parameters: np.ndarray, chosen: np.ndarray) -> Tangent:
        return Tangent(Network.from_flat(parameters, 60, 5), x[chosen], y[chosen], 200, 1e-3)

    stepper, states = SlidingStepper(tangent, 0.03, 0.02), []

    def step(state: State[OverPoints]) -> State[OverPoints]:
        states.append(state)
        return stepper.step(state, field)

    config = FlowConfig(width=60, loss="hinge", unfit_fractions=(unfit,))
    integrate(State(start.flat, field(start.flat, start.flat)), step, lambda q, state: q, config)
    return states, stepper


def test_points_that_slide_stay_at_the_margin_and_others_pull_with_0_or_1() -> None:
    """To the tolerance, half of output_change, a step later; and no step changes parameters by much more than 3 %."""
    states, _ = _steps_until(0.2)
    sliding = 0
    for before, after in pairwise(states[1:]):
        pulls = after.field.pulls
        assert pulls is not None
        assert pulls.min() >= 0
        assert pulls.max() <= 1
        within = (pulls > 0) & (pulls < 1)
        sliding += np.count_nonzero(within)
        assert np.abs(after.field.margins[within] - 1).max(initial=0) <= 0.011
        assert (after.field.margins[pulls == 1] <= 1.01).all()
        assert (after.field.margins[pulls == 0] >= 0.99).all()
        moved = np.linalg.norm(after.parameters - before.parameters) / np.linalg.norm(before.parameters)
        assert moved <= 0.04
    assert sliding > 20 * len(states) / 10  # many do
    loss = [np.maximum(0, 1 - state.field.margins).mean() for state in states]
    assert np.max(np.diff(loss)) < 1e-3  # the flow's loss falls


def test_all_points_can_be_fit() -> None:
    path = simulate(Stripe(5), 40, FlowConfig(width=100, loss="hinge", unfit_fractions=(0.5, 0.0)), seed=0)
    assert path.converged
    assert path.unfit_fraction[-1] == 0


def test_sliding_is_for_the_hinge() -> None:
    with pytest.raises(InputError, match="integrator = sliding: is for the hinge; softhinge takes"):
        FlowConfig(integrator="sliding")


def _course(seed: int, integrator: Integrator, factor: float, times: list[float]) -> tuple[list[float], int]:
    """ln R_f when these times are first reached, and the evaluations until then."""
    config = FlowConfig(
        width=200, loss="hinge", integrator=integrator, weight_change=0.03 * factor, output_change=0.02 * factor,
        test_size=4000,
    )  # fmt: skip
    flow = Flow(Stripe(10), 1024, config, seed)
    state, step = flow.steps(get_kernel("numba")(flow.x, flow.y, flow.baseline, config.scale, config.loss))
    found = []
    for time in times:
        while state.time < time:
            state = step(state)
        found.append(np.log(flow.observe(flow.network(state.parameters)).relative_stability))
    return found, flow.evaluations


@pytest.mark.slow
def test_stability_is_that_of_short_explicit_steps_at_a_quarter_of_the_evaluations() -> None:
    """ln R_f of 3 seeds against Euler's with half the bounds at the same times: root mean square below 0.05.

    The control, another seed's, is further away than 0.3.
    """
    times = [60.0, 80.0, 100.0, 140.0]
    with threadpool_limits(1, "blas"):
        sliding = [_course(seed, "sliding", 1.0, times) for seed in range(3)]
        euler = [_course(seed, "euler", 0.5, times) for seed in range(3)]
    found, right = (np.array([logs for logs, _ in each]) for each in (sliding, euler))
    assert np.sqrt(np.mean((found - right) ** 2)) < 0.05
    assert np.sqrt(np.mean((np.roll(found, 1, 0) - right) ** 2)) > 0.3
    assert sum(cost for _, cost in sliding) < sum(cost for _, cost in euler) / 4
