"""The gradient flow: its integrator, its records, its conservation law and its regimes."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from theory import FlowConfig, InputError, Network, Stripe, simulate, simulate_many
from theory.flow.simulation import FlowConfig as Config

SMALL = FlowConfig(width=60, dtype="float64", test_size=2000, unfit_fractions=(0.9, 0.7))


def test_records_are_where_they_were_asked_for() -> None:
    config = FlowConfig(width=100, test_size=2000, unfit_fractions=(0.9, 0.5, 0.1, 0.0))
    path = simulate(Stripe(5), 64, config, seed=0)
    assert path.converged
    assert path.stop_reason == "reached"
    assert np.all(path.unfit_fraction <= config.unfit_fractions)
    assert np.all(path.unfit_fraction > np.array([0.5, 0.3, 0.0, -1]))  # and not far below
    assert np.all(np.diff(path.time) >= 0)
    assert path.final is path.records[-1]
    assert path.final.unfit_fraction == 0
    assert np.all((path.relative_stability > 0) & (path.relative_stability < 1.5))
    assert path.test_error[-1] < path.test_error[0]
    assert len(path.rows()) == 4
    json.dumps(path.summary(), allow_nan=False)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not() -> None:
    one, two, other = (simulate(Stripe(5), 50, SMALL, seed=seed) for seed in (3, 3, 4))
    assert one.rows() == two.rows()
    assert np.array_equal(one.network.weight, two.network.weight)
    assert one.rows() != other.rows()


def test_neuron_seed_shares_the_neurons_between_draws_of_data() -> None:
    config = FlowConfig(width=20, test_size=10, unfit_fractions=(1.0,))  # recorded at the start
    first, second = (simulate(Stripe(5), 50, config, seed=seed, neuron_seed=7) for seed in (0, 1))
    own = simulate(Stripe(5), 50, config, seed=0)
    assert np.array_equal(first.network.weight, second.network.weight)
    assert not np.array_equal(first.network.weight, own.network.weight)


def test_many_seeds_in_step_are_each_alone() -> None:
    together = simulate_many(Stripe(5), 50, SMALL, seeds=(4, 3))
    assert [path.seed for path in together] == [4, 3]
    for path in together:
        assert path.rows() == simulate(Stripe(5), 50, SMALL, seed=path.seed).rows()
    with pytest.raises(InputError, match=r"seeds = \[\]: must hold at least one"):
        simulate_many(Stripe(5), 50, SMALL, seeds=())


def test_rows_tell_the_noise_and_the_variant() -> None:
    config = FlowConfig(width=60, loss="hinge", scale=0.01, test_size=500, unfit_fractions=(0.9,), noise_norms=(0.1, 1))
    rows = simulate(Stripe(5), 50, config, seed=0).rows()
    assert [row.get("displacement") for row in rows] == [None, 0.1, 1.0]
    assert {row["variant"] for row in rows} == {"hinge, alpha=0.01"}
    for row in rows[1:]:
        assert row["relative_stability"] == pytest.approx(row["diffeo_stability"] / row["noise_stability"])
    assert {row["variant"] for row in simulate(Stripe(5), 50, SMALL, seed=0).rows()} == {""}


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(Stripe(5), 50, SMALL, seed=3)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("loss", ["hinge", "softhinge", "squaredhinge"])
def test_backends_give_the_same_records(loss: str) -> None:
    """Rounding grows along a trajectory by some orders of magnitude; in double precision 1e-8 remains."""
    config = FlowConfig(width=60, dtype="float64", loss=loss, test_size=1000, unfit_fractions=(0.9, 0.7))
    reference = simulate(Stripe(5), 80, config, seed=1, backend="numpy")
    compiled = simulate(Stripe(5), 80, config, seed=1, backend="numba")
    assert reference.steps == compiled.steps
    np.testing.assert_allclose(compiled.relative_stability, reference.relative_stability, rtol=1e-8)
    np.testing.assert_allclose(compiled.compression, reference.compression, rtol=1e-8)
    np.testing.assert_allclose(compiled.time, reference.time, rtol=1e-8)


def _imbalance(weight_change: float) -> float:
    """Change of |w|^2 + b^2 - beta^2 by the end, root mean square over neurons, relative to the final norms.

    Gradient flow conserves it neuron by neuron (relu is homogeneous); Euler steps of relative length
    weight_change lose it in proportion to weight_change.
    """
    config = FlowConfig(width=60, dtype="float64", integrator="euler", weight_change=weight_change,
                        output_change=1.0, test_size=10, unfit_fractions=(0.99,))  # fmt: skip
    path = simulate(Stripe(5), 80, config, seed=1)
    start = simulate(Stripe(5), 80, Config(width=60, dtype="float64", test_size=10, unfit_fractions=(1.0,)), seed=1)

    def balance(net: Network) -> np.ndarray:
        return (net.weight**2).sum(1) + net.bias**2 - net.output**2

    drift = balance(path.network) - balance(start.network)
    return float(np.sqrt((drift**2).mean()) / (path.network.norm**2 / path.network.width))


def test_euler_loses_the_conserved_balance_at_first_order() -> None:
    """Slope of log drift on log step between 0.8 and 1.2; a scheme of another order has slope 0 or 2."""
    steps = np.array([0.04, 0.02, 0.01, 0.005])
    drifts = np.array([_imbalance(step) for step in steps])
    slope = np.polyfit(np.log(steps), np.log(drifts), 1)[0]
    assert 0.8 < slope < 1.2


def test_single_precision_agrees_with_double_within_a_percent_early_on() -> None:
    configs = [FlowConfig(width=200, dtype=dtype, test_size=4000, unfit_fractions=(0.9, 0.7)) for dtype in
               ("float32", "float64")]  # fmt: skip
    single, double = (simulate(Stripe(10), 256, config, seed=0) for config in configs)
    np.testing.assert_allclose(single.relative_stability, double.relative_stability, rtol=0.01)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 1e2, 1e6])
@pytest.mark.parametrize("loss", ["hinge", "softhinge", "squaredhinge"])
def test_any_scale_and_loss_reach_the_margin(scale: float, loss: str) -> None:
    config = FlowConfig(width=60, scale=scale, loss=loss, dtype="float64" if scale > 100 else "float32",
                        test_size=1000, unfit_fractions=(0.9, 0.5))  # fmt: skip
    path = simulate(Stripe(4), 64, config, seed=0)
    assert path.converged
    assert 0 < path.relative_stability[-1] < 2
    assert path.test_error[-1] < 0.5
    lazy = np.abs(path.compression[-1] - 1) < 0.5
    assert lazy == (scale >= 1e2) or scale == 1


@pytest.mark.slow
def test_features_make_the_net_stable_and_laziness_does_not() -> None:
    """R_f at q = 0.3 for alpha = 1e-6 and 1e3, same seeds: far below 1 and of order 1 (physics of both limits)."""
    def stability(scale: float) -> float:
        config = FlowConfig(width=300, scale=scale, dtype="float64", test_size=4000, unfit_fractions=(0.3,))
        return float(np.median([simulate(Stripe(10), 512, config, seed=s).relative_stability[0] for s in range(3)]))

    assert stability(1e-6) < 0.1
    assert stability(1e3) > 0.3


def test_giving_up_is_never_silent() -> None:
    config = FlowConfig(width=60, test_size=100, max_steps=5)
    with pytest.warns(RuntimeWarning, match=r"max_steps after 5 steps .* 5 of 5 records are missing"):
        path = simulate(Stripe(5), 64, config, seed=0)
    assert not path.converged
    assert np.isnan(path.relative_stability).all()
    assert path.final is None
    assert path.rows() == []


@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_leaving_the_range_of_the_precision_is_an_error(backend: str) -> None:
    """Weights of order alpha^(-1/2) = 1e20 have squares beyond float32."""
    config = FlowConfig(width=20, scale=1e-40, test_size=10)
    with pytest.raises(InputError, match=r"scale = 1e-40: the flow left the range of float32 after \d+ steps"):
        simulate(Stripe(3), 16, config, seed=0, backend=backend)


def test_a_net_that_no_point_activates_is_stationary() -> None:
    """One neuron, one point: for about half the seeds the neuron is silent there and stays so."""
    config = FlowConfig(width=1, test_size=10, max_steps=2000, unfit_fractions=(0.5,))
    reasons = set()
    for seed in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            reasons.add(simulate(Stripe(2), 1, config, seed=seed).stop_reason)
    assert {"stationary", "reached"} <= reasons


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width = 0: must be a whole number, at least 1"),
        ({"scale": 0.0}, "scale = 0.0: must be a finite number, above 0"),
        ({"integrator": "heun"}, "integrator = heun: must be one of auto, euler, exponential"),
        ({"skip": "yes"}, "skip = yes: must be True or False"),
        ({"noise_norms": (0.0,)}, "noise_norms = 0.0: must be a finite number, above 0"),
        ({"noise_norms": (1.0, 1.0)}, "noise_norms = (1.0, 1.0): must differ"),
        ({"loss": "mse"}, "loss = mse: must be one of hinge, softhinge, squaredhinge"),
        ({"dtype": "float16"}, "dtype = float16: must be one of float32, float64"),
        ({"scale": 1e4}, "dtype = float32: must be float64 for a scale above 100"),
        ({"unfit_fractions": ()}, "unfit_fractions = (): must fall"),
        ({"unfit_fractions": (0.1, 0.5)}, "must fall"),
        ({"unfit_fractions": (1.5,)}, "unfit_fractions = 1.5: must be a finite number, at least 0, at most 1"),
        ({"weight_change": float("nan")}, "weight_change = nan: must be a finite number"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        FlowConfig(**change)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("size", "seed"), [(0, 0), (-3, 0), (10, -1), (2.5, 0)])
def test_bad_arguments(size: int, seed: int) -> None:
    with pytest.raises(InputError, match=r"(train_size|seed) = "):
        simulate(Stripe(5), size, SMALL, seed=seed)


def test_plot_draws_the_records() -> None:
    path = simulate(Stripe(5), 50, SMALL, seed=3)
    assert path.plot().lines[0].get_ydata().tolist() == path.relative_stability.tolist()
    assert repr(path).startswith("Trajectory(stripe-d5, P=50, seed=3, q=")
