"""D_f, G_f and R_f against direct formulas; invariances; intervals; input that is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from scipy import stats  # noqa: E402
from torch import nn  # noqa: E402

from empirical import MaxEntropyDiffeo, build, measure_stability  # noqa: E402
from empirical.stability.averages import averages, bootstrap_weights  # noqa: E402
from empirical.stability.measure import AVERAGES, Outputs, measure_outputs  # noqa: E402
from empirical.stability.probes import noise_like  # noqa: E402
from theory import InputError, curve_table, read_table, write_table  # noqa: E402


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 60, size: int = 12, channels: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Smooth random images: noise averaged over 5 x 5 pixels."""
    noise = torch.rand(count, channels, size + 4, size + 4, generator=generator(1), dtype=dtype)
    return nn.functional.avg_pool2d(noise, 5, stride=1)


def brute_force(outputs: Outputs, average: str) -> tuple[float, float]:
    """(D_f, G_f) by the definitions, pair by pair."""
    clean, count = outputs.clean, len(outputs.clean)
    moved = [np.abs(x - clean) ** 2 for x in (outputs.deformed, outputs.noisy)]
    pairs = [((clean[i] - clean[j]) ** 2).sum() for i in range(count) for j in range(count) if i != j]
    if average == "mean":
        return tuple(m.sum(1).mean() / np.mean(pairs) for m in moved)  # type: ignore[return-value]
    if average == "median":
        return tuple(np.median(m.sum(1)) / np.median(pairs) for m in moved)  # type: ignore[return-value]

    def lower(values: np.ndarray) -> float:
        return float(torch.as_tensor(np.asarray(values)).median())  # torch's median is the lower one

    every = [((clean[i] - clean[j]) ** 2).sum() for i in range(count) for j in range(count)]
    return tuple(sum(lower(m[:, k]) for k in range(m.shape[1])) / lower(every) for m in moved)  # type: ignore


@pytest.mark.parametrize("count", [3, 7, 20])
@pytest.mark.parametrize("average", AVERAGES)
def test_averages_are_the_definitions(average: str, count: int) -> None:
    rng = np.random.default_rng(count)
    clean = rng.standard_normal((count, 3))
    outputs = Outputs(clean, clean + rng.standard_normal((count, 3)), clean + 0.3 * rng.standard_normal((count, 3)))
    diffeo, noise, ratio = measure_outputs(outputs, average=average, rng=rng, resamples=0)  # type: ignore[arg-type]
    expected = brute_force(outputs, average)
    np.testing.assert_allclose([diffeo.value, noise.value], expected, rtol=1e-10)
    assert math.isclose(ratio.value, expected[0] / expected[1], rel_tol=1e-10)
    assert math.isnan(ratio.low)


def test_the_whole_measure_from_the_definitions() -> None:
    """A nonlinear function, its probes drawn again from the same seed in the documented order."""
    x = images()
    weight = torch.randn(144, 4, generator=generator(2), dtype=torch.float64)

    def function(batch: torch.Tensor) -> torch.Tensor:
        return torch.tanh(3 * batch.flatten(1) @ weight)

    found = measure_stability(function, x, cutoff=3, displacement=0.8, rng=9, resamples=50)
    source = torch.Generator().manual_seed(int(np.random.default_rng(9).integers(2**63)))
    diffeo = MaxEntropyDiffeo(3, 0.8, generator=source)
    from empirical import displacement_fields, warp

    deformed = warp(x, displacement_fields(diffeo.sample(60, 12), 12).double())
    noise = noise_like(deformed - x, source)
    np.testing.assert_allclose(noise.flatten(1).norm(dim=1), (deformed - x).flatten(1).norm(dim=1), rtol=1e-6)
    outputs = Outputs(*(function(batch).numpy() for batch in (x, deformed, x + noise)))
    expected = brute_force(outputs, "mean")
    # The fields here are in single precision.
    np.testing.assert_allclose([found.diffeo.value, found.noise.value], expected, rtol=1e-6)
    assert found.relative.low < found.relative.value < found.relative.high
    assert found.relative.n == 60
    assert (found.cutoff, found.displacement) == (3, 0.8)


def test_scaling_and_shifting_the_outputs_change_nothing() -> None:
    x = images()
    weight = torch.randn(144, 4, generator=generator(2), dtype=torch.float64)
    plain = measure_stability(lambda b: (b.flatten(1) @ weight).relu(), x, displacement=0.5, resamples=0)
    other = measure_stability(lambda b: 7 - 3 * (b.flatten(1) @ weight).relu(), x, displacement=0.5, resamples=0)
    for name in ("diffeo", "noise", "relative"):
        assert math.isclose(getattr(plain, name).value, getattr(other, name).value, rel_tol=1e-9)


def test_a_function_that_no_deformation_of_its_kind_moves_has_ratio_zero() -> None:
    """The border does not move, so a function of border pixels has D_f = 0, up to rounding squared, and G_f > 0."""
    found = measure_stability(lambda b: b[:, 0, 0, :], images(), displacement=0.5, resamples=20)
    assert 0 <= found.relative.low <= found.relative.high < 1e-25
    assert found.noise.value > 1e-3


def test_isotropic_features_of_white_images_have_ratio_one() -> None:
    """Random projections to 2000 outputs keep norms: D and G see equal norms, so R = 1.

    Each squared norm is kept within sqrt(2 / 2000) = 3 %; over 200 images the mean ratio's error is 0.3 %.
    """
    x = torch.rand(200, 1, 12, 12, generator=generator(4), dtype=torch.float64)
    weight = torch.randn(144, 2000, generator=generator(5), dtype=torch.float64)
    found = measure_stability(lambda b: b.flatten(1) @ weight, x, displacement=0.5, resamples=0)
    assert abs(found.relative.value - 1) < 0.02
    # Control: a low-pass function is not isotropic.
    smooth = measure_stability(lambda b: nn.functional.avg_pool2d(b, 4).flatten(1), x, displacement=0.5, resamples=0)
    assert abs(smooth.relative.value - 1) > 0.05


def test_batches_and_modes() -> None:
    """The batch size changes nothing but rounding; modes of every submodule are put back."""
    x = images(dtype=torch.float32)
    net = build("resnet-small", 1, 12, 10, seed=0)
    net.train()
    net[1].eval()
    before = [module.training for module in net.modules()]
    one, two = (measure_stability(net, x, displacement=0.5, batch_size=size, resamples=0) for size in (60, 13))
    assert math.isclose(one.relative.value, two.relative.value, rel_tol=1e-4)
    assert [module.training for module in net.modules()] == before


def test_batch_norm_takes_the_statistics_that_are_named() -> None:
    """Against batch norm by hand: the clean batch's moments for all three batches, or each batch's own."""
    x = images(channels=2)
    net = nn.Sequential(nn.BatchNorm2d(2, eps=1e-12, dtype=torch.float64), nn.ReLU(), nn.Flatten())
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)  # running_var is unbiased
    by_hand = measure_stability(lambda b: ((b - mean) / std).relu().flatten(1), x, displacement=0.5, resamples=0)
    clean = measure_stability(net, x, displacement=0.5, batch_norm="clean", resamples=0)
    running = measure_stability(net, x, displacement=0.5, batch_norm="running", resamples=0)
    own = measure_stability(net, x, displacement=0.5, batch_norm="own", batch_size=7, resamples=0)

    def by_itself(batch: torch.Tensor) -> torch.Tensor:
        scaled = (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True, correction=0)
        return scaled.relu().flatten(1)

    own_by_hand = measure_stability(by_itself, x, displacement=0.5, resamples=0)
    assert math.isclose(own.relative.value, own_by_hand.relative.value, rel_tol=1e-9)
    assert not math.isclose(own.relative.value, clean.relative.value, rel_tol=1e-3)
    assert math.isclose(clean.relative.value, by_hand.relative.value, rel_tol=1e-9)
    assert not math.isclose(running.relative.value, by_hand.relative.value, rel_tol=1e-3)
    assert net[0].num_batches_tracked == 0  # the model itself is not touched


def test_the_seed_decides_and_global_state_is_left_alone() -> None:
    x = images()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    def value(rng: int | np.random.Generator) -> float:
        return measure_stability(lambda b: b.flatten(1) ** 2, x, displacement=0.5, rng=rng, resamples=10).relative.low

    assert value(3) == value(3) == value(np.random.default_rng(3))
    assert value(3) != value(4)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.slow
def test_bootstrap_intervals_cover() -> None:
    """R_f of Gaussian outputs with known ratio 0.25, 300 tables of 200 images, nominal 90 %.

    A percentile bootstrap of a ratio covers a little less than nominal: required is the binomial 99.9 % range
    around 88 %. The control takes every image twice, as if they were 400: too narrow, and must fall below it.
    """
    rng = np.random.default_rng(0)
    inside = twice = 0
    for _ in range(300):
        clean = rng.standard_normal((200, 3))
        parts = clean, clean + 0.5 * rng.standard_normal((200, 3)), clean + rng.standard_normal((200, 3))
        ratio, narrow = (
            measure_outputs(Outputs(*outputs), rng=rng, resamples=200, confidence=0.9)[2]
            for outputs in (parts, [np.repeat(part, 2, axis=0) for part in parts])
        )
        inside += ratio.low <= 0.25 <= ratio.high
        twice += narrow.low <= 0.25 <= narrow.high
    low, high = stats.binom(300, 0.88).ppf([0.0005, 0.9995])
    assert low <= inside <= high
    assert twice < low


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda b: b.flatten(1) * math.nan, {}, "model output f(x) = not finite for 60 of 60 images"),
        (lambda b: b.flatten(1) * 0, {}, "model output f(x) = the same for all images"),
        (lambda b: b.sum((1, 2, 3)), {}, "model output = (60,): must be a tensor of shape (60, outputs)"),
        (lambda b: None, {}, "model output = no tensor: must be or hold a tensor of shape (60, outputs)"),
        (lambda b: (b.flatten(1), b.flatten(1)), {}, "model output = 0 (60, 144), 1 (60, 144): which of"),
        (lambda b: b.flatten(1), {"average": "mode"}, "average = mode: must be one of mean, median"),
        (lambda b: b.flatten(1), {"batch_norm": "none"}, "batch_norm = none: must be one of running, clean, own"),
        (lambda b: b.flatten(1), {"cutoff": 1}, "cutoff = 1: must be a whole number, at least 2"),
        (lambda b: b.flatten(1), {"displacement": 9.0}, "displacement = 9.0: folds"),
        (lambda b: b.flatten(1), {"resamples": -1}, "resamples = -1"),
        (lambda b: b.flatten(1), {"confidence": 1.5}, "confidence = 1.5"),
    ],
)
def test_refusals(function: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        measure_stability(function, images(), **{"displacement": 0.5, **options})  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_constant_images_are_refused_and_partly_constant_ones_warned_of() -> None:
    constant = torch.ones(4, 1, 12, 12)
    with pytest.raises(InputError, match="images = unchanged by every diffeomorphism"):
        measure_stability(lambda b: b.flatten(1), constant, displacement=0.5)
    mixed = torch.cat([constant, images(8, dtype=torch.float32)])
    with pytest.warns(UserWarning, match="4 of 12 images are unchanged"):
        measure_stability(lambda b: b.flatten(1), mixed, displacement=0.5, resamples=0)


def test_summary_and_row_hold_the_numbers() -> None:
    found = measure_stability(lambda b: b.flatten(1) ** 2, images(), displacement=0.5, resamples=20)
    assert found.summary()["relative_stability"]["value"] == found.row()["relative_stability"] == found.relative.value
    assert found.row()["relative_stability_low"] == found.relative.low
    assert "R_f=" in repr(found)


def plain(outputs: Outputs, average: str) -> np.ndarray:
    """(D_f, G_f) as `brute_force`, of arrays of all pairs."""
    clean, count = outputs.clean, len(outputs.clean)
    moved = [(x - clean) ** 2 for x in (outputs.deformed, outputs.noisy)]
    pairs = ((clean[:, None] - clean[None]) ** 2).sum(2)
    distinct = pairs[np.triu_indices(count, 1)]
    if average == "mean":
        return np.array([m.sum(1).mean() for m in moved]) / distinct.mean()
    if average == "median":
        return np.array([np.median(m.sum(1)) for m in moved]) / np.median(distinct)
    lower = [np.sort(m, axis=0)[(count - 1) // 2].sum() for m in moved]
    return np.array(lower) / np.sort(pairs.ravel())[(count**2 - 1) // 2]


@pytest.mark.filterwarnings("ignore:divide by zero")  # a sample of few different images has a median distance of zero
@pytest.mark.parametrize("average", AVERAGES)
def test_all_samples_at_once_are_each_by_itself(average: str) -> None:
    """Weights of sorted values against the formula on the drawn images themselves; outputs far from zero, with ties."""
    rng = np.random.default_rng(0)
    for count in (7, 30):
        clean = 1e3 + rng.standard_normal((count, 4))
        clean[1] = clean[0]
        outputs = Outputs(clean, clean + rng.standard_normal((count, 4)), clean + rng.standard_normal((count, 4)))
        samples = np.concatenate([np.arange(count)[None], np.random.default_rng(5).integers(0, count, (200, count))])
        weights = bootstrap_weights(count, 200, np.random.default_rng(5))
        expected = np.array([
            plain(Outputs(*(x[sample] for x in (outputs.clean, outputs.deformed, outputs.noisy))), average)
            for sample in samples
        ]).T  # fmt: skip
        np.testing.assert_allclose(averages(outputs, weights, average), expected, rtol=1e-7)  # type: ignore[arg-type]


@pytest.mark.parametrize("average", AVERAGES)
def test_intervals_are_those_of_scipys_bootstrap(average: str) -> None:
    rng = np.random.default_rng(3)
    clean = rng.standard_normal((20, 3))
    outputs = Outputs(clean, clean + rng.standard_normal((20, 3)), clean + rng.standard_normal((20, 3)))
    parts = (outputs.clean, outputs.deformed, outputs.noisy)

    def ratio(sample: np.ndarray) -> float:
        diffeo, noise = plain(Outputs(*(part[sample] for part in parts)), average)
        return float(diffeo / noise)

    found = measure_outputs(outputs, average=average, rng=np.random.default_rng(8), resamples=300)[2]  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (np.arange(20),), ratio, vectorized=False, method="percentile", rng=np.random.default_rng(8), n_resamples=300
    ).confidence_interval
    np.testing.assert_allclose([found.low, found.high], theirs, rtol=1e-9)


def test_of_few_images_there_are_numbers_and_no_infinite_intervals(tmp_path: Path) -> None:
    """Samples of three that hold one image alone have no spread; what is measured can be written to a table."""
    found = measure_stability(torch.nn.Flatten(), torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert found.relative.value == pytest.approx(1, abs=1e-5)
    assert np.isnan([found.diffeo.low, found.diffeo.high]).all()
    row = {"source": "a", "task": "t", "architecture": "n", "train_size": 8, "seed": 0, "stage": "trained"}
    assert len(read_table(write_table(curve_table([row | found.row()]), tmp_path / "t.csv"))) == 1
