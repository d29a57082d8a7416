"""Diffeomorphisms at their limits: half precision, folds between pixels, clamped reads, small nets' inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from empirical import (  # noqa: E402
    ARCHITECTURES,
    MaxEntropyDiffeo,
    build,
    displacement_fields,
    folded,
    sample_coefficients,
    warp,
)  # fmt: skip
from empirical.nets.torchvision_nets import TORCHVISION_NETS  # noqa: E402
from theory import MaxEntropyEnsemble  # noqa: E402


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at_t_max(size: int, cutoff: int, count: int, seed: int) -> torch.Tensor:
    highest = MaxEntropyEnsemble(size, cutoff, 1).temperature_range[1]
    return sample_coefficients(MaxEntropyEnsemble(size, cutoff, highest), count, generator(seed), torch.float64)


@pytest.mark.parametrize("cutoff", [2, 5, 15])
def test_a_grid_that_holds_the_pixels_finds_their_folds_and_more(cutoff: int) -> None:
    """2 n - 1 points hold the n pixels, so what folds there folds on the finer grid too.

    And what the pixels miss are few: of 2000 fields below 2.5 % (measured at c = 15: 1.0 %, at c = 2: 0.1 %).
    """
    coefficients = at_t_max(32, cutoff, 2000, cutoff)
    coarse, fine = folded(coefficients, 32), folded(coefficients, 63)
    assert coarse.any()
    assert not (coarse & ~fine).any()
    assert (fine & ~coarse).double().mean() < 0.025


def test_a_fold_by_hand() -> None:
    """One mode, tau_u = C sin(pi u) sin(pi v): 1 - d tau_u / du = 1 - pi C cos(pi u) sin(pi v) <= 0 iff pi C >= 1
    where cos sin = 1, at u = 0, v = 1/2, which is a pixel if n is odd; to rounding of 1e-12 on both sides."""
    for component in (0, 1):
        coefficients = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
        coefficients[:, component, 0, 0] = torch.tensor([1 - 1e-12, 1 + 1e-12], dtype=torch.float64) / math.pi
        assert folded(coefficients, 33).tolist() == [False, True]
        assert folded(-coefficients, 33).tolist() == [False, True]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(size=st.integers(3, 20), dx=st.floats(-30, 30), dy=st.floats(-30, 30), channels=st.integers(1, 3))
def test_a_ramp_is_read_where_it_should(size: int, dx: float, dy: float, channels: int) -> None:
    """Bilinear interpolation is exact on a + b x + c y, so a constant shift shows the clamped position itself.

    The position is computed as 2 p / (n - 1) - 1 and back: 20 roundings of numbers up to 50 at 2e-16.
    """
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    images = (3 * x - 2 * y).expand(1, channels, -1, -1)
    shift = torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, size, size)
    expected = 3 * (x - dx).clamp(0, size - 1) - 2 * (y - dy).clamp(0, size - 1)
    found = warp(images, shift)
    for channel in range(channels):
        torch.testing.assert_close(found[0, channel], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("calibration", ["paper", "exact"])
def test_the_module_is_its_parts(calibration: str) -> None:
    """forward = warp(images, fields of the sampled coefficients), with T from the calibration by name."""
    images = torch.rand(3, 2, 16, 16, generator=generator(0), dtype=torch.float64)
    found = MaxEntropyDiffeo(3, 0.7, calibration=calibration, generator=generator(4))(images)  # type: ignore[arg-type]
    ensemble = MaxEntropyEnsemble.from_displacement(16, 3, 0.7, calibration)  # type: ignore[arg-type]
    fields = displacement_fields(sample_coefficients(ensemble, 3, generator(4), torch.float64), 16)
    torch.testing.assert_close(found, warp(images, fields), rtol=0, atol=1e-12)  # fused: summed in another order
    by_temperature = MaxEntropyDiffeo(3, temperature=ensemble.temperature, generator=generator(4))(images)
    assert torch.equal(found, by_temperature)


def test_rejection_keeps_the_law_of_what_does_not_fold() -> None:
    """At T_max and c = 2: of 3000 fields the energy of the first mode has the mean of the unfolded ones.

    Both samples' means by Welch's statistic at five standard errors (6e-7). Control: the mean over all fields,
    folded ones included, is off by more.
    """
    highest = MaxEntropyEnsemble(32, 2, 1).temperature_range[1]
    drawn = at_t_max(32, 2, 6000, 1)
    kept = MaxEntropyDiffeo(2, temperature=highest, folding="reject", generator=generator(2)).sample(3000, 32)
    assert not folded(kept, 32).any()

    def energy(coefficients: torch.Tensor) -> np.ndarray:
        return coefficients[:, :, 0, 0].double().square().sum(1).numpy() / highest

    unfolded, all_of_them, found = energy(drawn[~folded(drawn, 32)]), energy(drawn), energy(kept)

    def distance(sample: np.ndarray) -> float:
        error = math.hypot(*(part.std() / math.sqrt(len(part)) for part in (sample, found)))
        return abs(sample.mean() - found.mean()) / error

    assert distance(unfolded) < 5
    assert distance(all_of_them) > 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_pixels_not_positions(dtype: torch.dtype) -> None:
    """The deformed half image is the float32 one rounded once: half a unit in the last place of at most 1."""
    images = torch.rand(1, 1, 64, 64, generator=generator(0)).to(dtype)
    fields = displacement_fields(sample_coefficients(MaxEntropyEnsemble(64, 3, 1e-4), 1, generator(1)), 64)
    expected = warp(images.float(), fields)
    found = warp(images, fields)
    assert found.dtype == dtype
    assert (found.float() - expected).abs().max() <= torch.finfo(dtype).eps / 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - set(TORCHVISION_NETS)))
def test_every_architecture_sees_the_whole_image_and_learns(name: str, size: int, channels: int) -> None:
    """Logits have the right shape; moving any channel or the image's centre moves them; weights get gradients."""
    size = max(size, 9) if name == "airbench" else size  # its smallest image
    net = build(name, channels, size, 5, seed=1).eval()
    images = torch.rand(2, channels, size, size, generator=generator(0))
    logits = net(images)
    assert logits.shape == (2, 5)
    for channel in range(channels):
        moved = images.clone()
        moved[:, channel, size // 2 - 2 : size // 2 + 2] += 1
        assert (net(moved) != logits).any(1).all()
    logits.square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
