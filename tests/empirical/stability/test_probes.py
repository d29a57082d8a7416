"""The probes that a model sees while its stability is measured, and what measuring leaves as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy import stats  # noqa: E402

from empirical import ImageConfig, build, measure_stability, train  # noqa: E402
from empirical.stability.measure import AVERAGES, Outputs, measure_outputs  # noqa: E402
from empirical.stability.probes import noise_like  # noqa: E402
from theory import Estimate  # noqa: E402
from theory.common.estimate import geometric_mean  # noqa: E402


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def white(count: int, size: int, channels: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=generator(1))


def seen_by_a_model(images: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor], **options: object) -> list:
    """Clean, deformed and noisy images, as the model gets them."""
    batches: list[torch.Tensor] = []

    def spy(batch: torch.Tensor) -> torch.Tensor:
        batches.append(batch.clone())
        return function(batch)

    measure_stability(spy, images, displacement=0.5, resamples=0, batch_size=len(images), **options)  # type: ignore
    return batches


def test_noise_is_as_long_as_the_deformation_image_by_image() -> None:
    """||x + eta - x|| = ||tau x - x||; float32 images of order 1: each pixel of x + eta is rounded at 6e-8.

    Norms here are above 1, so rounding of 3 * 14^2 pixels is below 1e-5 of them. Control: the norms of
    different images differ by far more, so noise of one common norm, or of shuffled ones, would not pass.
    """
    images = white(40, 14, 3)
    clean, deformed, noisy = seen_by_a_model(images, lambda batch: batch.flatten(1))
    assert torch.equal(clean, images)
    moved, added = ((batch - images).flatten(1).norm(dim=1) for batch in (deformed, noisy))
    assert moved.min() > 1
    torch.testing.assert_close(added, moved, rtol=1e-5, atol=0)
    assert (moved.roll(1) / moved - 1).abs().median() > 0.01


def test_noise_is_isotropic() -> None:
    """Directions of eta: components of the unit vector times sqrt(N) have the moments of the uniform sphere.

    False-alarm rate 1e-6 a check. The first coordinate's square over N = 4 dimensions is Beta(1/2, 3/2), by
    Kolmogorov and Smirnov; control: noise uniform in a cube, normalised, fails.
    """
    difference = torch.ones(20_000, 1, 2, 2, dtype=torch.float64)
    noise = noise_like(difference, generator(3)).flatten(1)
    torch.testing.assert_close(noise.norm(dim=1), torch.full((20_000,), 2.0, dtype=torch.float64), rtol=1e-6, atol=0)
    cube = torch.rand(20_000, 4, generator=generator(4), dtype=torch.float64) - 0.5
    law = stats.beta(0.5, 1.5)
    assert stats.kstest((noise[:, 0] / 2).square().numpy(), law.cdf).pvalue > 1e-6
    assert stats.kstest((cube[:, 0] / cube.norm(dim=1)).square().numpy(), law.cdf).pvalue < 1e-6
    mean = noise.mean(0) * 20_000**0.5  # every component has variance 1
    assert stats.chi2.sf(float(mean.square().sum()), 4) > 1e-6


def test_one_seed_shows_every_model_the_same_probes() -> None:
    images = white(10, 12)
    one = seen_by_a_model(images, lambda batch: batch.flatten(1), rng=5)
    two = seen_by_a_model(images, lambda batch: batch.flatten(1)[:, :3] ** 2, rng=5)
    other = seen_by_a_model(images, lambda batch: batch.flatten(1), rng=6)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[1], other[1])
    assert not torch.equal(one[2], other[2])


def test_every_image_has_a_deformation_of_its_own() -> None:
    """Ten copies of one image are deformed in ten ways, and get ten noises."""
    images = white(1, 12).expand(10, -1, -1, -1)
    marked = torch.cat([images, white(2, 12)[1:]])  # the denominator needs two different images
    for batch in seen_by_a_model(marked, lambda batch: batch.flatten(1))[1:]:
        assert len({tuple(image.flatten().tolist()) for image in batch[:10]}) == 10


def test_fully_connected_nets_at_the_start_do_not_tell_deformations_from_noise() -> None:
    """R_f = 1 on smooth images, over 8 nets: within Student's interval of their logarithms at 99.9 % confidence.

    One net strays by 10 % or so, as its ten outputs are few random directions. Control: the same nets behind
    a blur, which lets through less of the noise than of the deformation.
    """
    images = torch.nn.functional.avg_pool2d(white(300, 16), 5, stride=1)

    def ratio(nets: list[torch.nn.Module]) -> Estimate:
        found = [measure_stability(net, images, displacement=0.5, rng=k, resamples=0) for k, net in enumerate(nets)]
        return geometric_mean([stability.relative.value for stability in found], confidence=0.999)

    plain = ratio([build("fully-connected", 1, 12, 10, seed) for seed in range(8)])
    assert plain.low < 1 < plain.high
    assert plain.high / plain.low < 1.5  # so that the interval says something
    blur = torch.nn.AvgPool2d(4, stride=1)
    assert ratio([torch.nn.Sequential(blur, build("fully-connected", 1, 9, 10, seed)) for seed in range(8)]).low > 1


@pytest.mark.parametrize("average", AVERAGES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    count=st.integers(3, 9), outputs=st.integers(1, 4), seed=st.integers(0, 999),
    factor=st.sampled_from([-3.0, 1e-3, 40.0]), shift=st.sampled_from([0.0, -2.5, 10.0]),
)  # fmt: skip
def test_scaling_and_shifting_outputs_changes_no_average(
    average: str, count: int, outputs: int, seed: int, factor: float, shift: float
) -> None:
    """R_f, D_f and G_f of a f + b are those of f.

    Rounding: pair distances are made of norms and inner products, of order (1 + shift / factor)^2 <= 1e8 times
    the distances, each at 2e-16 a term; 1e-5 leaves room for the smallest distance of few pairs.
    """
    rng = np.random.default_rng(seed)
    plain = [rng.standard_normal((count, outputs)) for _ in range(3)]
    changed = [factor * part + shift for part in plain]
    found = [
        measure_outputs(Outputs(*parts), average=average, rng=rng, resamples=0)  # type: ignore[arg-type]
        for parts in (plain, changed)
    ]
    for one, two in zip(*found, strict=True):
        assert two.value == pytest.approx(one.value, rel=1e-5)


def test_intervals_narrow_as_the_root_of_the_number_of_images() -> None:
    """Sixteen times the images: a quarter of the width, within the 3.5 % error of 1000 resamples' quantiles
    and the spread of the samples' own variance, sqrt(2 / 200) = 10 %, at four standard errors."""
    rng = np.random.default_rng(1)

    def width(count: int) -> float:
        clean = rng.standard_normal((count, 3))
        parts = clean, clean + 0.5 * rng.standard_normal((count, 3)), clean + rng.standard_normal((count, 3))
        return measure_outputs(Outputs(*parts), rng=rng)[2].error

    assert width(200) / width(3200) == pytest.approx(4, rel=0.45)


def test_building_training_and_measuring_leave_every_global_state() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    threads, precision = torch.get_num_threads(), torch.get_default_dtype()
    run = train(ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=1, probe_size=20))
    measure_stability(run.model, white(5, 16), displacement=0.5, resamples=10)
    build("lenet", 1, 16, 10, 3)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    assert (threads, precision) == (torch.get_num_threads(), torch.get_default_dtype())
    assert torch.is_grad_enabled()
