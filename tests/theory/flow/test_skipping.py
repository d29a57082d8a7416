"""Skipped points: the bound holds, it is not wasteful, and what is skipped changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import FlowConfig, Network, Stripe, simulate
from theory.flow import simulation as flow
from theory.flow import skipping
from theory.kernels import get_kernel
from theory.kernels.skipping_kernel import lower_slack, rounding_bound
from theory.model.losses import pull, reach


def _lifted(x: np.ndarray, padded: int) -> np.ndarray:
    result = np.zeros((len(x), padded), x.dtype)
    result[:, : x.shape[1]] = x / np.sqrt(x.shape[1])
    result[:, x.shape[1]] = 1
    return result


def _bound(before: Network, after: Network, x: np.ndarray, scale: float) -> np.ndarray:
    """What `lower_slack` takes off."""
    slack = np.full(len(x), 1e6)
    lower_slack(slack, before, after, _lifted(x, 8 * ((x.shape[1] + 8) // 8)), scale)
    return 1e6 - slack


def _predictor(network: Network, x: np.ndarray, scale: float) -> np.ndarray:
    field = get_kernel("numpy")(x, np.ones(len(x)), np.zeros(len(x)), scale, "hinge")
    return field(network)[0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 40), dim=st.integers(2, 20), seed=st.integers(0, 10_000),
    size=st.floats(1e-4, 10.0), scale=st.floats(1e-3, 10.0), informative=st.booleans(),
)  # fmt: skip
def test_f_never_moves_more_than_the_bound(
    width: int, dim: int, seed: int, size: float, scale: float, informative: bool
) -> None:
    rng = np.random.default_rng(seed)
    before, change = (Network.initial(width, dim, rng) for _ in range(2))
    if informative:
        change.weight[:, 1:] = 0
    after = before.moved(change, size)
    x = rng.standard_normal((100, dim))
    moved = np.abs(_predictor(after, x, scale) - _predictor(before, x, scale))
    assert np.all(moved <= _bound(before, after, x, scale) + 1e-9)  # 1e6 - slack rounds to 1e-10


def test_the_bound_is_reached_where_all_changes_have_one_direction() -> None:
    """One neuron's bias grows: F moves as much as the bound says, to its safety of a thousandth. So half of it,
    the negative control, does not bound."""
    before = Network(np.zeros((1, 3)), np.array([1.0]), np.array([2.0]))
    after = Network(np.zeros((1, 3)), np.array([1.5]), np.array([2.0]))
    x = np.random.default_rng(0).standard_normal((50, 3))
    moved = np.abs(_predictor(after, x, 4.0) - _predictor(before, x, 4.0))
    np.testing.assert_allclose(moved, 4.0)
    np.testing.assert_allclose(_bound(before, after, x, 4.0), moved, rtol=2e-3)


def test_many_small_movements_add_up_in_single_precision() -> None:
    """20000 steps of which each moves F by less than slack rounds in single precision: none is lost."""
    start, change = (Network.initial(20, 4, np.random.default_rng(seed), "float32") for seed in (0, 1))
    x = np.random.default_rng(2).standard_normal((10, 4)).astype("float32")
    slack = np.full(10, 20.0)
    lifted, after = _lifted(x, 8), start.moved(change, 1e-7)
    lower_slack(slack, start, after, lifted, 1.0)
    once = 20.0 - slack
    assert np.all((once > 0) & (once < np.spacing(np.float32(20)) / 2))
    for _ in range(19_999):
        lower_slack(slack, start, after, lifted, 1.0)
    np.testing.assert_allclose(20.0 - slack, 20_000 * once, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_of_f_is_within_its_bound(dtype: str) -> None:
    """Single precision against double; the bound is of a worst case, some hundred times what is seen."""
    rng = np.random.default_rng(0)
    network = Network.initial(500, 20, rng, dtype)
    x = rng.standard_normal((300, 20)).astype(dtype)
    wide = Network(*(part.astype(np.longdouble) for part in (network.weight, network.bias, network.output)))
    hidden = np.maximum(x.astype(np.longdouble) @ wide.weight.T / np.sqrt(np.longdouble(20)) + wide.bias, 0)
    exact = 3 * (hidden @ wide.output) / 500
    found = get_kernel("numba")(x, np.ones(300, dtype), np.zeros(300, dtype), 3.0, "hinge")(network)[0]
    lengths = np.linalg.norm(_lifted(x, 24), axis=1)
    error = np.abs(found - exact)
    assert np.all(error <= rounding_bound(network, np.dtype(dtype), 3.0) * lengths)
    assert error.max() > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["hinge", "softhinge", "squaredhinge"])
def test_nothing_pulls_beyond_the_reach(loss: str, dtype: str) -> None:
    """Exactly 0 from there on, and no more than the rounding before it; a tenth closer, something is left."""
    end = 1 + reach(loss, dtype)
    beyond = np.array([end, end + 0.1, 50.0], dtype)
    assert np.all(pull(loss, np.nextafter(beyond, np.inf, dtype=dtype)) == 0)
    before = pull(loss, np.array([0.99 if loss != "softhinge" else end - 0.01], dtype))
    assert before > 0
    if loss == "softhinge":
        assert before < 2 * np.finfo(dtype).eps


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "softhinge", "squaredhinge"])
def test_every_answer_is_that_of_all_points(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along a whole trajectory: margins and velocity with sleeping points against all points, to rounding."""
    config = FlowConfig(width=60, dtype="float64", loss=loss, test_size=100, unfit_fractions=(0.9, 0.1))
    checked: list[float] = []
    original = skipping.Sleepers.margins
    full = {}

    def margins(self, parameters, points, left, predictor):  # type: ignore[no-untyped-def]
        seen = original(self, parameters, points, left, predictor)
        if not full:
            path = flow.Flow(Stripe(5), 200, config, 3, lambda part: None, None)
            full["field"] = get_kernel("numpy")(path.x, path.y, path.baseline, config.scale, loss)
        network = Network.from_flat(parameters, 60, 5)
        everywhere = np.minimum(self._y * full["field"](network)[0], self._cap)
        assert np.abs(seen - everywhere).max() < 1e-9
        checked.append(len(predictor) / 200)
        return seen

    monkeypatch.setattr(skipping.Sleepers, "margins", margins)
    path = simulate(Stripe(5), 200, config, seed=3)
    assert path.converged
    assert min(checked) < 0.6  # and some did sleep
    assert 0 < path.summary()["skipped"] < 1


@pytest.mark.parametrize("loss", ["hinge", "softhinge"])
def test_records_are_the_same_with_and_without_skipping(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Double precision. Rounding grows along a trajectory by some orders of magnitude; 1e-6 is allowed.

    Negative control, for the hinge, whose points come back: with a bound of nothing they sleep on when they should
    not, and records differ.
    """
    def run(skip: bool) -> np.ndarray:
        config = FlowConfig(width=60, dtype="float64", loss=loss, test_size=1000, skip=skip,
                            unfit_fractions=(0.9, 0.5, 0.3))  # fmt: skip
        path = simulate(Stripe(5), 200, config, seed=3)
        return np.concatenate([path.relative_stability, path.compression, path.time])

    usual = run(False)
    np.testing.assert_allclose(run(True), usual, rtol=1e-6)
    if loss != "hinge":
        return
    monkeypatch.setattr(skipping, "lower_slack", lambda *arguments: None)
    assert np.abs(run(True) / usual - 1).max() > 1e-6
