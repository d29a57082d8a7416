"""Integrators: order, stability, the stiff modes, and convergence of R_f under halved tolerances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from theory import FlowConfig, Stripe, simulate
from theory.flow.state import OverPoints, State
from theory.flow.stepper import Stepper, chosen_integrator
from theory.flow.stiffness import StiffModes

RATES = np.array([40.0, 15.0, *np.linspace(0.05, 0.5, 18)])


class LinearField:
    """theta' = -A (theta - goal), A symmetric with `RATES`; the margins are theta's own entries, around 1."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.axes, _ = np.linalg.qr(rng.standard_normal((20, 20)))
        self.goal = 1 + 0.1 * rng.standard_normal(20)
        self.evaluations = 0

    def __call__(self, theta: np.ndarray, origin: np.ndarray | None = None) -> OverPoints:
        self.evaluations += 1
        return OverPoints(theta.copy(), -(self.axes * RATES) @ (self.axes.T @ (theta - self.goal)))

    def exact(self, start: np.ndarray, time: float) -> np.ndarray:
        return self.goal + (self.axes * np.exp(-RATES * time)) @ (self.axes.T @ (start - self.goal))


def _run(stepper: Stepper, field: LinearField, start: np.ndarray, time: float) -> State[OverPoints]:
    state = State(start, field(start))
    while state.time < time:
        state = stepper.step(state, field)
    return state


def _learnt(times: int) -> StiffModes:
    field, modes = LinearField(), StiffModes(1e-3)
    start = State(np.ones(20), field(np.ones(20)))
    for _ in range(times):
        modes.learn(start, field)
    return modes


def test_the_stiff_modes_of_a_linear_field_are_found() -> None:
    """After five learnings the two rates far above the rest are known to 1e-6.

    The rest, 0.5 at most, is taken to be a tenth of the largest, and bounds the step.
    """
    modes = _learnt(5)
    np.testing.assert_allclose(sorted(modes._rates)[-2:], [15, 40], rtol=1e-6)
    assert modes.longest_step == pytest.approx(10 / 40)
    # A single one of vectors drawn at random knows them not, and trusts none.
    assert len(_learnt(1)._rates) == 0


def test_in_the_stiff_directions_the_step_is_exact() -> None:
    modes, field = _learnt(8), LinearField()
    start = np.ones(20)
    velocity = field(start).velocity
    correction = modes.correction(velocity, 1.0)
    assert correction is not None
    moved = start + velocity + correction
    stiff = field.axes[:, :2]
    np.testing.assert_allclose(stiff.T @ moved, stiff.T @ field.exact(start, 1.0), atol=1e-5)
    # Euler overshoots there by the factor 40.
    assert np.abs(stiff.T @ (start + velocity - field.exact(start, 1.0))).max() > 0.5


def test_the_exponential_step_is_not_held_up_by_stiffness_and_eulers_is() -> None:
    """To time 20 with loose bounds: the same end, and a third of the evaluations or fewer."""
    start = np.ones(20)
    counts, ends = [], []
    for integrator in ("euler", "exponential"):
        field = LinearField()
        state = _run(Stepper(integrator, 0.5, 0.02), field, start, 20.0)
        counts.append(field.evaluations)
        ends.append(np.abs(state.parameters - field.exact(start, state.time)).max())
    assert max(ends) < 0.01
    assert counts[1] < counts[0] / 3


def _order(integrator: str, wrong: float = 1.0) -> float:
    """Slope of the error at time 1 against the bound on theta's change over a factor 8; modes are learnt before.

    `wrong` multiplies what the modes add to a step: only 1 gives a consistent method.
    """
    changes = np.array([0.004, 0.002, 0.001, 0.0005])
    errors = []
    for change in changes:
        field = LinearField()
        start = field.goal + 0.3 * field.axes.sum(1)
        stepper = Stepper(integrator, change, 1.0)
        if integrator == "exponential":
            stepper.modes = _learnt(8)
            correction, used = stepper.modes.correction, []

            def wrapped(velocity, step, correction=correction, used=used):  # type: ignore[no-untyped-def]
                used.append(correction(velocity, step))
                return wrong * used[-1]

            stepper.modes.correction = wrapped  # type: ignore[method-assign]
        state = _run(stepper, field, start, 1.0)
        errors.append(np.abs(state.parameters - field.exact(start, state.time)).max())
        if integrator == "exponential":
            assert used
    return float(np.polyfit(np.log(changes), np.log(errors), 1)[0])


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
def test_both_are_of_first_order(integrator: str) -> None:
    """Between 0.7 and 1.3. Negative control: three times the correction is no method for this equation."""
    assert 0.7 < _order(integrator) < 1.3
    if integrator == "exponential":
        assert not 0.7 < _order(integrator, wrong=3.0) < 1.3


@pytest.mark.parametrize("loss", ["softhinge", "squaredhinge"])
def test_no_step_is_longer_than_the_untreated_directions_allow(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a rejection, when the modes have been learnt again: step <= longest_step, always."""
    lengths: list[float] = []
    original = StiffModes.correction

    def correction(self, velocity, step):  # type: ignore[no-untyped-def]
        lengths.append(step / self.longest_step)
        return original(self, velocity, step)

    monkeypatch.setattr(StiffModes, "correction", correction)
    config = FlowConfig(width=60, loss=loss, test_size=100, unfit_fractions=(0.1,))
    path = simulate(Stripe(5), 300, config, seed=0)
    assert path.rejected_steps > 0
    assert 0.9 < max(lengths) <= 1


def test_auto_is_sliding_for_the_hinge_alone() -> None:
    assert [chosen_integrator("auto", loss) for loss in ("hinge", "softhinge", "squaredhinge")] == [
        "sliding", "exponential", "exponential"]  # fmt: skip
    assert chosen_integrator("euler", "softhinge") == "euler"


def _logs(integrator: str, loss: str, factor: float) -> tuple[np.ndarray, int]:
    """ln R_f for 6 seeds at q = 0.9, 0.5, 0.3 with both bounds times `factor`, and the evaluations it took."""
    config = FlowConfig(width=300, loss=loss, integrator=integrator, weight_change=0.03 * factor,
                        output_change=0.02 * factor, test_size=4000, unfit_fractions=(0.9, 0.5, 0.3))  # fmt: skip
    paths = [simulate(Stripe(10), 512, config, seed=seed) for seed in range(6)]
    return np.log([path.relative_stability for path in paths]), sum(path.evaluations for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("integrator", "loss"), [("exponential", "softhinge"), ("euler", "hinge"), ("sliding", "hinge")]
)
def test_halving_both_bounds_moves_stability_less_than_the_next_seed(integrator: str, loss: str) -> None:
    """Root mean square of log R(bounds) / R(bounds / 2) over 6 seeds, below a third of the seeds' spread.

    The control is a step thirty times as long, which does not meet that.
    """
    usual, halved, coarse = (_logs(integrator, loss, factor)[0] for factor in (1, 0.5, 30))
    spread = usual.std(axis=0, ddof=1)

    def change(other: np.ndarray) -> np.ndarray:
        return np.sqrt(((other - usual) ** 2).mean(axis=0)) / spread

    assert np.all(change(halved) < 1 / 3)
    assert np.any(change(coarse) > 1 / 3)


@pytest.mark.slow
def test_the_exponential_integrator_is_eulers_limit_for_less() -> None:
    """Against Euler with bounds four times as fine, within a third of the seeds' spread."""
    found, _ = _logs("exponential", "softhinge", 1)
    fine, _ = _logs("euler", "softhinge", 0.25)
    assert np.all(np.sqrt(((found - fine) ** 2).mean(axis=0)) < fine.std(axis=0, ddof=1) / 3)


@pytest.mark.slow
def test_a_plateau_does_not_let_the_step_run_away() -> None:
    """A trajectory that waits on a plateau (t = 115 to 550), where F hardly moves and nothing but the modes bounds
    the step: R_f at q = 0.5 within 10 % of Euler's. Without the least rate of untreated directions it was ten times
    too large."""
    config = FlowConfig(width=300, test_size=1000, unfit_fractions=(0.9, 0.5))
    found, expected = (
        simulate(Stripe(30), 1024, replace(config, integrator=name), seed=0) for name in ("exponential", "euler")
    )
    np.testing.assert_allclose(found.relative_stability, expected.relative_stability, rtol=0.1)


@pytest.mark.slow
def test_it_costs_less_than_euler_to_the_last_tenth_of_the_points() -> None:
    """Evaluations to q = 0.1 with the same bounds, two seeds, P = 1024: measured 0.56 of Euler's; 0.7 is allowed.

    The gain grows with P and towards small q: at P = 512, or to q = 0.3 alone, there is none to speak of.
    """
    config = FlowConfig(width=300, test_size=100, unfit_fractions=(0.1,))
    cost = {
        integrator: sum(
            simulate(Stripe(30), 1024, replace(config, integrator=integrator), seed=seed).evaluations
            for seed in (0, 1)
        )
        for integrator in ("euler", "exponential")
    }
    assert cost["exponential"] < 0.7 * cost["euler"]
