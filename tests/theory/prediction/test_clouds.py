"""Clouds and the flow on them: moments, the closed energy, the limit of a cell for every point, the flow itself."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from theory import Cylinder, FlowConfig, InputError, Network, Stripe, Task, curve_table, predict, simulate
from theory.kernels.cloud_kernel import cloud_activations
from theory.model.losses import loss_value, pull
from theory.prediction.cloud_flow import CloudFlow, leading_frame, smeared
from theory.prediction.clouds import Clouds
from theory.prediction.conditional import predict_sample
from theory.prediction.point_cells import cells_of_coordinates, cut_by_values
from theory.prediction.sample_flow import Resolution

TASKS: tuple[Task, ...] = (Stripe(6), Cylinder(6, 2), Cylinder(7, 3))


def _sample(task: Task, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return task.sample(size, np.random.default_rng(seed))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TASKS), st.integers(1, 400), st.integers(1, 90), st.integers(0, 10))
def test_clouds_keep_the_counts_labels_and_second_moments_of_the_sample(
    task: Task, size: int, cells: int, seed: int
) -> None:
    x, y = _sample(task, size, seed)
    clouds = Clouds.of(task, x, y, cells)
    assert clouds.train_size == size
    assert clouds.mass.sum() == pytest.approx(1)
    assert clouds.mass @ (clouds.label == 1) == pytest.approx(np.mean(y == 1))
    assert clouds.mass @ clouds.centre == pytest.approx(x.mean(0), abs=1e-12)
    within = clouds.covariance + clouds.centre[:, :, None] * clouds.centre[:, None, :]
    assert np.tensordot(clouds.mass, within, 1) == pytest.approx(x.T @ x / size, abs=1e-9)
    signed = np.array([np.mean(x[:, 0] * (y == 1)), clouds.mass @ (clouds.centre[:, 0] * (clouds.label == 1))])
    assert signed[0] == pytest.approx(signed[1], abs=1e-12)
    assert not clouds.covariance[clouds.count == 1].any()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_more_cells_are_smaller_ones(task: Task) -> None:
    """The variance of the informative coordinates within cells falls to 0 as cells are added."""
    x, y = _sample(task, 2000, 0)
    par = task.informative_dim
    left = []
    for cells in (20, 80, 320, 10**6):
        clouds = Clouds.of(task, x, y, cells)
        left.append(float(clouds.mass @ np.trace(clouds.covariance[:, :par, :par], axis1=1, axis2=2)))
    assert left[1] < 0.5 * left[0]
    assert left[2] < 0.5 * left[1]
    assert left[3] < 1e-4


@pytest.mark.parametrize(("loss", "tolerance"), [("hinge", 1e-3), ("squaredhinge", 1e-4), ("softhinge", 0.02)])
def test_smeared_losses_are_averages_over_a_gaussian(loss: str, tolerance: float) -> None:
    margin, spread = (part.ravel() for part in np.meshgrid(np.linspace(-1, 3, 33), [0.01, 0.1, 0.5]))
    fine = np.linspace(-8, 8, 20_001)
    weight = np.exp(-(fine**2) / 2)
    weight /= weight.sum()
    found, curvature, unfit = smeared(loss, margin, spread)
    places = margin[:, None] + spread[:, None] * fine
    assert found == pytest.approx(pull(loss, places) @ weight, abs=tolerance)
    assert unfit == pytest.approx((places < 1) @ weight, abs=1e-3)
    step = 1e-6
    change = smeared(loss, margin - step, spread)[0] - smeared(loss, margin + step, spread)[0]
    assert curvature == pytest.approx(change / (2 * step), rel=1e-4, abs=1e-4)
    sharp = smeared(loss, margin, np.zeros_like(margin))[0]
    assert sharp == pytest.approx(pull(loss, margin), abs=1e-9 if loss != "hinge" else 0.5)


def _energy(flow: CloudFlow, parameters: np.ndarray) -> float:
    """-h / alpha times the mean over clouds of l(z), z Gaussian with the mean and the spread of F in the cloud."""
    clouds = flow.clouds
    net = Network.from_flat(parameters, flow.width, flow.dim)
    chance, _, mean = cloud_activations(*flow._seen(net), flow.root)
    margin = clouds.label * flow.scale / flow.width * (net.output @ mean - flow._baseline)
    slope = flow._slope(net, chance) - flow._first_slope
    spread = np.sqrt(np.einsum("ki,kij,kj->k", slope, clouds.covariance, slope))
    gap = 1 - margin
    bell = np.exp(-((gap / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
    value = gap * ndtr(gap / spread) + spread * bell
    if flow.loss == "squaredhinge":
        value = ((gap**2 + spread**2) * ndtr(gap / spread) + gap * spread * bell) / 2
    return -float(clouds.mass @ value) * flow.width / flow.scale


@pytest.mark.parametrize("directions", [0, 2])
@pytest.mark.parametrize("loss", ["hinge", "squaredhinge"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_velocity_is_the_gradient_of_the_closed_energy(task: Task, loss: str, directions: int) -> None:
    """By central differences, all parameters; without the spread of F it is not, the control."""
    rng = np.random.default_rng(0)
    start = Network.initial(5, task.dim, rng)
    clouds = Clouds.of(task, *_sample(task, 300, 1), 10)
    frame = leading_frame(clouds.centre, clouds.mass, task.informative_dim, directions)
    flow = CloudFlow(start, clouds, frame, loss, 8.0)
    place = start.flat + 0.5 * rng.standard_normal(start.flat.shape)
    steps = 1e-5 * np.eye(len(place))
    numeric = np.array([(_energy(flow, place + s) - _energy(flow, place - s)) / 2e-5 for s in steps])
    found = flow(place).velocity
    assert found == pytest.approx(numeric, abs=1e-6 * np.abs(numeric).max())
    flow.clouds.covariance[:] = 0
    assert np.abs(flow(place).velocity - numeric).max() > 0.01 * np.abs(numeric).max()


@pytest.mark.parametrize("task", [Stripe(6), Cylinder(6, 2)], ids=lambda task: task.name)
def test_the_field_is_that_of_many_points_of_the_clouds(task: Task) -> None:
    """Against 20,000 Gaussian points in each of 6 clouds; 3 % of the largest velocity, or 10 % without covariances."""
    rng = np.random.default_rng(3)
    x, y = _sample(task, 60, 4)
    clouds = Clouds.of(task, x, y, 6)
    start = Network.initial(20, task.dim, rng)
    # Isotropic beyond the frame: along weights the flow knows no more.
    frame = leading_frame(clouds.centre, clouds.mass, task.informative_dim, 2)
    inside = frame @ frame.T
    beyond = np.eye(task.dim) - inside
    for cloud in clouds.covariance:
        cloud[:] = inside @ cloud @ inside + beyond * np.trace(beyond @ cloud) / np.trace(beyond)
    flow = CloudFlow(start, clouds, frame, "squaredhinge", 0.3)
    place = start.flat + 0.3 * rng.standard_normal(start.flat.shape)
    found = flow(place).velocity
    net = Network.from_flat(place, 20, task.dim)
    draws = rng.standard_normal((20_000, task.dim))
    velocity = np.zeros_like(place)
    for k in range(len(clouds.count)):
        points = clouds.centre[k] + draws @ np.linalg.cholesky(clouds.covariance[k] + 1e-12 * np.eye(task.dim)).T
        first, level = (points @ part.weight.T / math.sqrt(task.dim) + part.bias for part in (start, net))
        before, now = np.maximum(first, 0) @ start.output, np.maximum(level, 0) @ net.output
        force = clouds.label[k] * pull("squaredhinge", clouds.label[k] * 0.3 / 20 * (now - before)) / 20_000
        on = (level > 0) * force[:, None]
        weight = net.output[:, None] * (on.T @ points) / math.sqrt(task.dim)
        part = Network(weight, net.output * on.sum(0), force @ np.maximum(level, 0))
        velocity += clouds.mass[k] * part.flat
    largest = np.abs(velocity).max()
    assert np.abs(found - velocity).max() < 0.03 * largest
    clouds.covariance[:] = 0
    bare = CloudFlow(start, clouds, frame, "squaredhinge", 0.3)
    assert np.abs(bare(place).velocity - velocity).max() > 0.1 * largest


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 6), st.integers(1, 5), st.integers(0, 9))
def test_cells_are_cut_at_quantiles_of_what_the_net_makes_of_their_points(
    size: int, cells: int, parts: int, least: int, seed: int
) -> None:
    """Every point once; no more parts than asked for, none smaller than asked for unless its cell is; in order."""
    x, y = _sample(TASKS[0], size, seed)
    values = np.random.default_rng(seed).standard_normal(size)
    groups = cells_of_coordinates(TASKS[0], x, cells)
    for group in groups:
        cut = cut_by_values([group], values, parts, least)
        assert sorted(np.concatenate(cut)) == sorted(group)
        assert len(cut) == max(1, min(parts, len(group) // least))
        assert len(cut) == 1 or min(map(len, cut)) >= least
        ends = [(values[part].min(), values[part].max()) for part in cut]
        assert all(one[1] <= other[0] for one, other in pairwise(ends))
    assert Clouds.of_groups(x, y, cut_by_values(groups, values, parts, least)).train_size == size


def test_a_frame_keeps_the_axes_and_finds_where_the_output_changes() -> None:
    rng = np.random.default_rng(1)
    direction = np.zeros(8)
    direction[2:] = rng.standard_normal(6)
    direction /= np.linalg.norm(direction)
    slope = 0.1 * rng.standard_normal((50, 8)) + 3 * rng.standard_normal((50, 1)) * direction
    frame = leading_frame(slope, np.full(50, 0.02), 2, 3)
    assert frame.T @ frame == pytest.approx(np.eye(5), abs=1e-12)
    assert frame[:, :2] == pytest.approx(np.eye(8)[:, :2])
    assert abs(frame[:, 2] @ direction) > 0.99
    alone = np.zeros(50)
    alone[7] = 1.0  # clouds without points do not count
    found = leading_frame(slope, alone, 2, 1)[2:, 2]
    assert abs(found @ slope[7, 2:]) == pytest.approx(np.linalg.norm(slope[7, 2:]))
    assert leading_frame(slope, alone, 2, 0) == pytest.approx(np.eye(8)[:, :2])


@pytest.mark.parametrize("task", [Stripe(5), Cylinder(5, 2)], ids=lambda task: task.name)
@pytest.mark.parametrize("loss", ["softhinge", "squaredhinge"])
def test_with_a_cell_for_every_point_it_is_the_flow(task: Task, loss: str) -> None:
    config = FlowConfig(width=30, loss=loss, scale=1e-3, dtype="float64", skip=False, unfit_fractions=(0.9, 0.7))
    flow = simulate(task, 64, config, seed=1)
    exact = predict(task, config, data=64, seed=1, cells=10**7)
    assert exact.cells == 64
    assert exact.steps == flow.steps
    assert exact.relative_stability == pytest.approx(flow.relative_stability, rel=1e-6)
    assert exact.compression == pytest.approx(flow.compression, rel=1e-6)
    few = predict(task, config, data=64, seed=1, cells=10)
    assert not np.allclose(few.relative_stability, flow.relative_stability, rtol=1e-3)


def test_given_points_are_those_of_the_seed() -> None:
    """data=P and data=(points, labels) agree when the points do, in any order; other points do not."""
    task, config = Stripe(5), FlowConfig(width=20, scale=1e-3, unfit_fractions=(0.8,), test_size=500)
    by_size = predict(task, config, data=100, seed=2, cells=20)
    x, y = task.sample(100, np.random.default_rng(np.random.SeedSequence(2).spawn(4)[0]))
    given_points = predict(task, config, data=(x[::-1], y[::-1]), seed=2, cells=20)
    assert given_points.relative_stability == pytest.approx(by_size.relative_stability, rel=1e-9)
    other = predict(task, config, data=_sample(task, 100, 0), seed=2, cells=20)
    assert other.relative_stability[0] != pytest.approx(by_size.relative_stability[0], rel=1e-3)
    shared = predict(task, config, data=(x, y), neuron_seed=0, cells=20)
    assert shared.neuron_seed == 0
    assert predict(task, config, data=(x, y), cells=20).relative_stability == pytest.approx(shared.relative_stability)


def test_result_explains_itself() -> None:
    config = FlowConfig(width=20, scale=1.0, unfit_fractions=(0.8,), test_size=500, noise_norms=(0.5,))
    found = predict(Cylinder(5, 2), config, data=100, seed=2, cells=30)
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["cells"] == found.cells <= 40
    assert "skipped" not in summary
    table = curve_table(found.rows())
    assert list(table["source"].unique()) == ["prediction"]
    assert list(table["variant"].unique()) == ["alpha=1, from the sample"]
    assert len(table) == 2  # small noise, and noise of norm 0.5
    assert repr(found).startswith("SamplePrediction(cylinder-d5-2, P=100, seed=2")


_X, _Y = _sample(Stripe(5), 10, 0)
_BAD = _X.copy()
_BAD[3, 2] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": (_X[:, :4], _Y)}, r"data = points of shape \(10, 4\): must be \(P, 5\), P >= 1, for stripe-d5"),
        ({"data": (_X, _Y[:9])}, r"data = labels of shape \(9,\): must be one for each of the 10 points"),
        ({"data": (_X, -_Y)}, "data = labels: must be those of stripe-d5: 10 of 10 differ, the first at point 0"),
        ({"data": (_BAD, _Y)}, "data = points: must be finite"),
        ({"data": (_X,)}, "data = 1 arrays: must be points and labels, or P"),
        ({"data": 0}, "data = 0"),
        ({"data": 10, "cells": 0}, "cells = 0"),
        ({"data": 10, "train_sizes": [100]}, "must be empty with data, whose P it is"),
        ({"data": 10, "config": FlowConfig(scale=math.inf)}, "scale = inf: must be finite"),
    ],
)
def test_refuses(change: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        predict(Stripe(5), **{"config": FlowConfig(width=10), "cells": 20, **change})


def test_a_cylinder_needs_an_irrelevant_direction() -> None:
    with pytest.raises(InputError, match="informative_dim = 3: must be a whole number, at least 2 and at most 2"):
        Cylinder(3, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "cells"), [(Stripe(10), 150), (Cylinder(10, 2), 200)], ids=["stripe", "cylinder"])
def test_each_sample_has_its_own_prediction(task: Task, cells: int) -> None:
    """5 seeds, P = 2048, h = 100: scatter of ln flow / prediction below 0.15; among other seeds' samples far above."""
    config = FlowConfig(width=100, unfit_fractions=(0.9, 0.7))
    options = {"neuron_seed": 0}
    flows = np.log([simulate(task, 2048, config, seed=s, **options).relative_stability for s in range(5)])
    own = np.log(
        [predict(task, config, data=2048, seed=s, cells=cells, **options).relative_stability for s in range(5)]
    )
    scatter = (flows - own).std(0, ddof=1)
    assert np.all(scatter < 0.15), scatter
    assert np.all(np.abs((flows - own).mean(0)) < 0.2), (flows - own).mean(0)
    assert (flows - np.roll(own, 1, axis=0)).std(0, ddof=1)[0] > 2 * scatter[0]


def test_losses_agree_with_their_values() -> None:
    """The smeared pull is the slope of the smeared loss: what the closed energy rests on, for the exact losses."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    for loss in ("hinge", "squaredhinge"):
        values = [float(weights @ loss_value(loss, 0.8 + step + 0.3 * nodes)) for step in (-1e-2, 1e-2)]
        assert smeared(loss, np.array([0.8]), np.array([0.3]))[0][0] == pytest.approx(
            (values[0] - values[1]) / 2e-2, rel=0.02
        )


@pytest.mark.slow
def test_late_records_need_sorted_points_and_a_frame() -> None:
    """Flow over prediction of R_f at q = 0.5, 0.3 and 0.1, rms of the logarithm; without both, or the frame, larger."""
    task, config = Stripe(20), FlowConfig(width=200, scale=1e-3, unfit_fractions=(0.5, 0.3, 0.1), test_size=4000)
    flow = np.log(simulate(task, 1000, config, seed=1).relative_stability)
    away = []
    for resolution in (Resolution(60), Resolution(60, parts=1, directions=0), Resolution(60, directions=0)):
        with threadpool_limits(1, "blas"):
            found = predict_sample(task, config, 1000, seed=1, neuron_seed=None, resolution=resolution)
        away.append(float(np.sqrt(np.mean((flow - np.log(found.relative_stability)) ** 2))))
        assert (found.sorted > 10) == (resolution.parts > 1)
    assert away[0] < 0.08
    assert min(away[1:]) > 0.1
