"""The prediction: held against the flow, converged in its own parameters, and what it gives at any P."""

from __future__ import annotations

import json
import math
import time
import warnings

import numpy as np
import pytest

from theory import Cylinder, FlowConfig, InputError, Stripe, curve_table, fixed_points, predict, simulate
from theory.common.estimate import geometric_mean
from theory.flow.state import State
from theory.flow.stepper import Stepper
from theory.model.observables import outputs
from theory.prediction.population import Population
from theory.prediction.quadrature import Cells
from theory.prediction.response import Perpendicular

SMALL = FlowConfig(width=60, unfit_fractions=(0.9, 0.5))
TASK = Stripe(dim=10)


@pytest.fixture(scope="module")
def paired():  # type: ignore[no-untyped-def]
    """One prediction, and the flow from the same neurons on 16 draws of 4096 points."""
    config = FlowConfig(width=300, unfit_fractions=(0.9, 0.7, 0.5, 0.3))
    flows = [simulate(TASK, 4096, config, seed=seed, neuron_seed=3) for seed in range(16)]
    return predict(TASK, config, [4096], neuron_seed=3, cells=200), flows


@pytest.mark.slow
def test_the_flow_agrees_without_a_fit(paired) -> None:  # type: ignore[no-untyped-def]
    """P R_f, Lambda and the test error, d = 10, P = 4096, 16 draws: within 15 % or three standard errors."""
    prediction, flows = paired
    for values, expected in (
        ([flow.relative_stability for flow in flows], prediction.relative_stability[:, 0]),
        ([flow.compression for flow in flows], prediction.finite_compression[:, 0]),
        ([flow.test_error for flow in flows], prediction.test_error[:, 0]),
    ):
        logs = np.log(np.array(values) / expected)
        error = logs.std(0, ddof=1) / 4
        assert np.all(np.abs(logs.mean(0)) < np.maximum(0.15, 3 * error)), (logs.mean(0), error)


@pytest.mark.slow
def test_without_the_feedback_of_the_margin_it_does_not(paired, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The control: the same response, were the loss not curved, is too large by factors at q = 0.3."""
    prediction, flows = paired
    advance = Perpendicular.advance

    def blind(self, before, after, step):  # type: ignore[no-untyped-def]
        after.slack.curvature[:] = 0
        advance(self, before, after, step)

    monkeypatch.setattr(Perpendicular, "advance", blind)
    wrong = predict(TASK, prediction.config, [4096], neuron_seed=3, cells=200)
    measured = geometric_mean([4096 * flow.relative_stability[3] for flow in flows])
    assert wrong.prefactor[3] > 10 * measured.high
    assert wrong.prefactor[0] == pytest.approx(prediction.prefactor[0], rel=0.3)  # few points are at the margin yet


@pytest.mark.slow
def test_predictor_is_the_average_of_the_flows_over_irrelevant_directions() -> None:
    """F(x_1) in the rms over rho, P = 32768, 4 draws, the same neurons: within 2 % of the rms of F."""
    config = FlowConfig(width=200, unfit_fractions=(0.5,))
    prediction = predict(TASK, config, neuron_seed=5, cells=200)
    places = np.linspace(-2.5, 2.5, 41)
    rng = np.random.default_rng(0)
    x = np.repeat(places, 500)[:, None] * np.eye(1, 10) + rng.standard_normal((41 * 500, 10)) * (np.arange(10) > 0)
    curves = []
    for seed in range(4):
        flow = simulate(TASK, 32768, config, seed=seed, neuron_seed=5)
        start = simulate(TASK, 1, FlowConfig(width=200, unfit_fractions=(1.0,)), seed=0, neuron_seed=5).network
        moved = config.scale * (outputs(flow.network, x) - outputs(start, x))
        curves.append(moved.reshape(41, 500).mean(1))
    weight = np.exp(-(places**2) / 2)
    expected = np.interp(places, prediction.positions, prediction.predictor[0])
    difference = np.average((np.mean(curves, axis=0) - expected) ** 2, weights=weight)
    assert math.sqrt(difference / np.average(expected**2, weights=weight)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softhinge", "hinge"])
def test_cells_and_steps_are_converged(loss: str) -> None:
    """P R_f moves by less than 3 % when the cells are doubled and when the steps are halved; 20 cells do not do."""
    config = FlowConfig(width=200, loss=loss, unfit_fractions=(0.9, 0.7, 0.3))
    finer = FlowConfig(
        width=200, loss=loss, unfit_fractions=(0.9, 0.7, 0.3), weight_change=0.015, output_change=0.01
    )
    usual = predict(Stripe(), config, cells=200).prefactor
    assert np.allclose(predict(Stripe(), config, cells=400).prefactor, usual, rtol=0.03)
    assert np.allclose(predict(Stripe(), finer, cells=200).prefactor, usual, rtol=0.03)
    assert not np.allclose(predict(Stripe(), config, cells=20).prefactor, usual, rtol=0.03)


def test_p_enters_only_at_the_end() -> None:
    """R_f = prefactor / P + floor where it is small, saturates at d / (d - 1), and costs the same."""
    sizes = [1, 10**2, 10**9, 10**12]
    prediction = predict(TASK, SMALL, sizes, cells=60)
    assert prediction.converged
    assert prediction.relative_stability.shape == prediction.finite_compression.shape == (2, 4)
    expected = prediction.prefactor[:, None] / np.array(sizes[2:]) + prediction.floor[:, None]
    assert np.allclose(prediction.relative_stability[:, 2:], expected, rtol=1e-6)
    assert np.all(prediction.floor > 0)
    assert np.all(prediction.floor < 1e-6)  # alpha = 1e-6: the start is forgotten
    assert np.all(prediction.relative_stability < 10 / 9)
    assert np.all(np.diff(prediction.relative_stability, axis=1) < 0)
    assert np.allclose(prediction.finite_compression[:, 0], prediction.compression_prefactor, rtol=1e-3)
    assert np.allclose(prediction.finite_compression[:, 3], prediction.compression, rtol=1e-2)
    assert np.array_equal(predict(TASK, SMALL, cells=60).prefactor, prediction.prefactor)
    began = time.perf_counter()
    predict(TASK, SMALL, range(1, 2000, 10), cells=60)
    assert time.perf_counter() - began < 20


def test_it_starts_from_the_neurons_of_simulate() -> None:
    """seed and neuron_seed mean what they mean there: a population of that start's neurons moves as predicted."""
    first = FlowConfig(width=60, unfit_fractions=(1.0,))
    for seeds in ({"seed": 4}, {"neuron_seed": 4}):
        start = simulate(TASK, 1, first, **{"seed": 0, **seeds}).network  # type: ignore[arg-type]
        assert start is not None
        population = Population(start, Cells.of(TASK, 60), SMALL.loss, SMALL.scale)
        stepper = Stepper("exponential", SMALL.weight_change, SMALL.output_change)
        state = State(population.start, population(population.start))
        while state.field.unfit_fraction > 0.9:
            state = stepper.step(state, lambda place, origin, population=population: population(place))
        found = predict(TASK, SMALL, cells=60, **seeds)  # type: ignore[arg-type]
        assert np.array_equal(found.records[0].predictor, state.field.predictor)
        assert found.time[0] == state.time


def test_test_error_is_that_of_the_gaussian_it_describes() -> None:
    """eps against draws of the response's Gaussian, 400,000 points: |z| < 4."""
    prediction = predict(TASK, SMALL, [300], cells=60)
    record = prediction.records[1]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(400_000)
    x = x[np.abs(x) < 4.5]
    cell = np.searchsorted(prediction.positions, x) - 1
    spread = np.sqrt(9 * record.slope_variance[cell] / 300)
    f = np.interp(x, prediction.positions, record.predictor) + spread * rng.standard_normal(len(x))
    wrong = prediction.cells.label[cell] * f < 0
    error = math.sqrt(wrong.mean() * (1 - wrong.mean()) / len(x))
    assert abs(wrong.mean() - prediction.test_error[1, 0]) < 4 * error


def test_result_explains_itself() -> None:
    prediction = predict(TASK, SMALL, [10**4, 10**5], seed=0, cells=60)
    summary = json.loads(json.dumps(prediction.summary(), allow_nan=False))
    assert summary["records"][0]["prefactor"] == prediction.prefactor[0]
    assert summary["fixed_points"][0]["rate"] == prediction.fixed_points[0].rate
    table = curve_table(prediction.rows())
    assert list(table["source"].unique()) == ["prediction"]
    assert table["relative_stability"].tolist() == pytest.approx(prediction.relative_stability.T.ravel().tolist())
    assert len(prediction.plot().lines) == 2
    assert "q=0.5: P R_f=" in repr(prediction)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": Cylinder(4, radius=9.0)}, "radius = 9.0: must lie below"),
        ({"cells": 19}, "cells = 19: must be a whole number, at least 20"),
        ({"train_sizes": [0]}, "train_sizes = 0"),
        ({"train_sizes": [10**20]}, "train_sizes = 1e|train_sizes = 100000000000000000000"),
        ({"neuron_seed": -1}, "neuron_seed = -1"),
        ({"config": FlowConfig(scale=math.inf)}, "scale = inf: must be finite"),
        ({"config": FlowConfig(noise_norms=(1.0,))}, "must be empty: the prediction is for small noise"),
    ],
)
def test_refuses(change: dict, message: str) -> None:  # type: ignore[type-arg]
    arguments = {"task": TASK, "config": SMALL, "train_sizes": [10], **change}
    with pytest.raises(InputError, match=message):
        predict(arguments.pop("task"), arguments.pop("config"), **arguments)


def test_a_response_that_leaves_the_range_of_numbers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever overflows on the way: scipy's errors, or infinities."""
    source = Perpendicular._source
    monkeypatch.setattr(Perpendicular, "_source", lambda self, at: source(self, at) * 1e38)
    with pytest.raises(InputError, match="scale = 1e-06: the flow left the range of float64 after"):
        predict(TASK, SMALL, cells=60)


@pytest.mark.slow
def test_lazy_neurons_are_warned_of_and_their_start_stays() -> None:
    """alpha = 10: hardly compressed, so that R_f has a floor which the flow at P = 16384 does not go below."""
    config = FlowConfig(width=300, scale=10.0, unfit_fractions=(0.5,))
    with pytest.warns(RuntimeWarning, match=r"Lambda at P = infinity is only .* below 5 terms that it leaves out"):
        prediction = predict(TASK, config, [16384], seed=1, cells=100)
    assert prediction.floor[0] > 1e-4
    assert simulate(TASK, 16384, config, seed=1).relative_stability[0] > prediction.floor[0]


def test_undefined_numbers_are_null_in_json() -> None:
    """At q = 1 F is 0 and has no R_f."""
    prediction = predict(TASK, FlowConfig(width=60, unfit_fractions=(1.0, 0.9)), [100], cells=91)
    assert prediction.unfit_fraction[0] == 1
    record = json.loads(json.dumps(prediction.summary(), allow_nan=False))["records"][0]
    assert record["prefactor"] is None
    assert record["relative_stability"] == [None]


def test_a_prediction_is_not_cut_off_in_silence() -> None:
    config = FlowConfig(width=60, max_steps=5)
    with pytest.warns(RuntimeWarning, match="prediction: max_steps after 5 steps at unfit fraction 1; 5 of 5 records"):
        prediction = predict(TASK, config, [100], cells=60)
    assert not prediction.converged
    assert np.isnan(prediction.prefactor).all()
    assert prediction.rows() == []


def test_a_small_p_is_told_with_the_size_of_the_next_order() -> None:
    """(sigma t*)^2, by hand: d = 10, alpha = 1e-6; none is told of where it is a hundredth of P."""
    fastest = fixed_points(TASK)[0]
    needed = (fastest.noise * math.log(1e6) / (2 * fastest.rate)) ** 2
    told = rf"\(sigma t\*\)\^2 = {needed:.3g}, .* {needed / 500:.2g} at P = 500; data="
    with pytest.warns(RuntimeWarning, match=told):
        predict(TASK, SMALL, [500, 10**6], cells=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(TASK, SMALL, [round(100 * needed)], cells=60)


@pytest.mark.slow
def test_too_few_cells_are_told_where_they_are_too_few() -> None:
    """d = 30: 30 cells lose a twentieth or more of P R_f at q = 0.1, and less at q = 0.7; the usual ones do not."""
    config = FlowConfig(width=60, unfit_fractions=(0.7, 0.1))
    with pytest.warns(RuntimeWarning, match=r"\d+ cells are too few at q = 0.1: F changes by"):
        few = predict(Stripe(), config, cells=30).prefactor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enough = predict(Stripe(), config).prefactor
    assert few[1] < 0.95 * enough[1]
    assert few[0] == pytest.approx(enough[0], rel=0.05)


def test_very_few_neurons_are_told() -> None:
    with pytest.warns(RuntimeWarning, match="29 neurons: P R_f of one draw of them is off by about a tenth"):
        predict(TASK, FlowConfig(width=29, unfit_fractions=(0.9,)), cells=40)
