"""Interpolations, inverse warp, rectangles, strengths that differ between images, and the random transform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical import MaxEntropyDiffeo, RandomDiffeo, displacement_fields, folded, inverse_fields, warp  # noqa: E402
from empirical.diffeo.interpolation import gaussian_blur  # noqa: E402
from theory import InputError, MaxEntropyEnsemble  # noqa: E402


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gaussian_weights_are_those_over_all_pixels() -> None:
    """Against the full n^4 array of weights, in double precision: 1e-13; bilinear differs."""
    images = torch.rand(2, 3, 7, 9, generator=generator(0), dtype=torch.float64)
    fields = 2 * torch.randn(2, 2, 7, 9, generator=generator(1), dtype=torch.float64)
    rows, columns = np.arange(7.0), np.arange(9.0)
    for k in range(2):
        x = np.clip(columns - fields[k, 0].numpy(), 0, 8)
        y = np.clip(rows[:, None] - fields[k, 1].numpy(), 0, 6)
        distance = (x[..., None, None] - columns) ** 2 + (y[..., None, None] - rows[:, None]) ** 2
        weights = np.exp(-distance / (2 * 0.4715**2))
        weights /= weights.sum((-1, -2), keepdims=True)
        expected = np.einsum("hwij,cij->chw", weights, images[k].numpy())
        np.testing.assert_allclose(warp(images, fields, "gaussian")[k].numpy(), expected, atol=1e-13)
        assert np.abs(warp(images, fields)[k].numpy() - expected).max() > 0.05
    still = torch.zeros(2, 2, 7, 9, dtype=torch.float64)
    assert torch.equal(gaussian_blur(images), warp(images, still, "gaussian"))


@pytest.mark.parametrize("interpolation", ["bilinear", "gaussian"])
def test_warp_is_differentiable(interpolation: str) -> None:
    """Derivatives by images and by displacements against differences."""
    images = torch.rand(1, 1, 5, 6, generator=generator(2), dtype=torch.float64, requires_grad=True)
    fields = 0.7 * torch.rand(1, 2, 5, 6, generator=generator(3), dtype=torch.float64) + 0.1
    fields.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: warp(a, b, interpolation), (images, fields), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("size", [24, (20, 30)])
def test_inverse_undoes_the_deformation(size: int | tuple[int, int]) -> None:
    """A smooth image comes back but for what bilinear reading loses; the field itself, negated, does less well."""
    height, width = (size, size) if isinstance(size, int) else size
    diffeo = MaxEntropyDiffeo(3, displacement=1.5, folding="reject", generator=generator(0))
    coefficients = diffeo.sample(20, size, torch.float64)
    fields, back = displacement_fields(coefficients, size), inverse_fields(coefficients, size)
    row, column = (torch.linspace(0, 1, n, dtype=torch.float64) for n in (height, width))
    image = (torch.sin(3 * row[:, None] + 1) * torch.cos(2 * column))[None, None].expand(20, 1, -1, -1)
    round_trip = warp(warp(image, fields), back)
    negated = warp(warp(image, fields), -fields)
    assert (round_trip - image).abs().max() < 0.01
    assert (negated - image).abs().max() > 5 * (round_trip - image).abs().max()
    # Exactly: T(T^-1(p)) = p with the sine series at T^-1(p).
    k = math.pi * torch.arange(1, 4, dtype=torch.float64)
    pixel = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"))[None].double()
    sides = torch.tensor([width, height]).view(1, 2, 1, 1)
    place = pixel - back
    waves = [torch.sin(place[:, axis, :, :, None] / (sides[0, axis, 0, 0] - 1) * k) for axis in (0, 1)]
    there = sides * torch.einsum("baij,bhwi,bhwj->bahw", coefficients, *waves)
    assert (place - there - pixel).abs().max() < 1e-5


def test_a_folded_field_has_no_inverse() -> None:
    diffeo = MaxEntropyDiffeo(4, displacement=6.0, folding="allow", generator=generator(1))
    coefficients = diffeo.sample(5, 16)
    assert folded(coefficients, 16).all()
    with pytest.raises(InputError, match="no inverse found: fields that fold have none"):
        inverse_fields(coefficients, 16)


def test_rectangles_are_displaced_in_proportion_to_their_sides() -> None:
    """Fields of the same coefficients scale with the sides; the root mean square is what was asked for, to 3 %."""
    diffeo = MaxEntropyDiffeo(3, displacement=1.0, calibration="exact", generator=generator(0))
    coefficients = diffeo.sample(6000, (17, 33), torch.float64)
    fields = displacement_fields(coefficients, (17, 33))
    assert fields.shape == (6000, 2, 17, 33)
    square = displacement_fields(coefficients, 17)
    torch.testing.assert_close(fields[:, 1, :, ::2], square[:, 1])
    torch.testing.assert_close(fields[:, 0, :, ::2], square[:, 0] * (33 / 17))
    # Averaged over the grid, whose border does not move.
    rms = math.sqrt(float((fields**2).sum(1).mean()) * (17 / 16) * (33 / 32))
    assert rms == pytest.approx(1, rel=0.03)
    images = torch.rand(4, 2, 17, 33, generator=generator(1))
    assert MaxEntropyDiffeo(3, displacement=1.0)(images).shape == images.shape
    for k in range(4):  # the other way round
        turned = warp(images.mT, fields[:4].float().mT.flip(1)).mT
        torch.testing.assert_close(turned[k], warp(images, fields[:4].float())[k], atol=1e-5, rtol=0)


def test_every_image_can_have_its_own_strength() -> None:
    """The root mean square of each of three strengths over 3000 fields, to 5 %; a single one is what it always was."""
    wanted = torch.tensor([0.3, 1.0, 0.6]).repeat(3000)
    diffeo = MaxEntropyDiffeo(3, displacement=wanted, calibration="exact", generator=generator(0))
    fields = displacement_fields(diffeo.sample(9000, 16), 16)
    rms = (fields**2).sum(1).mean((1, 2)).view(-1, 3).mean(0).sqrt() * 16 / 15
    assert rms.tolist() == pytest.approx([0.3, 1.0, 0.6], rel=0.05)
    temperatures = MaxEntropyDiffeo(3, temperature=[1e-3, 2e-3], generator=generator(1))
    assert temperatures(torch.rand(2, 1, 16, 16)).shape == (2, 1, 16, 16)
    with pytest.raises(InputError, match="temperature = 2 numbers: must be one, or 3: one for each image"):
        temperatures(torch.rand(3, 1, 16, 16))
    with pytest.raises(InputError, match=r"displacement = 9\.0: folds"):
        MaxEntropyDiffeo(3, displacement=[1.0, 9.0])(torch.rand(2, 1, 16, 16))
    with pytest.raises(InputError, match="differs between images: no one ensemble"):
        temperatures.ensemble(16)
    for wrong in (torch.ones(2, 2), [], "ab", [1.0, -1.0]):
        with pytest.raises(InputError, match=r"^(temperature|displacement) = "):
            MaxEntropyDiffeo(3, displacement=wrong)


def test_random_strengths_follow_the_beta_law_and_uniform_cutoffs() -> None:
    """20,000 draws: Kolmogorov and Smirnov, and chi-square, each at 1e-4; the law for another lean fails."""
    random = RandomDiffeo(3.0, 2.0, 2, 5, generator=generator(0))
    cutoffs, temperatures = random.draw(20_000, 32)
    counts = np.bincount(cutoffs.numpy(), minlength=6)[2:]
    assert stats.chisquare(counts).pvalue > 1e-4
    ranges = np.array([MaxEntropyEnsemble(32, c, 1.0).temperature_range for c in range(2, 6)])[cutoffs.numpy() - 2]
    share = (temperatures.numpy() - ranges[:, 0]) / (ranges[:, 1] - ranges[:, 0])
    assert stats.kstest(share, stats.beta(2, 1).cdf).pvalue > 1e-4
    assert stats.kstest(share, stats.beta(1, 2).cdf).pvalue < 1e-10


def test_random_transform_takes_images_as_transforms_do() -> None:
    images = (torch.rand(6, 3, 20, 24, generator=generator(0)) * 255).to(torch.uint8)
    for given in (images, images.float() / 255, images[0], images[0].double() / 255):
        moved = RandomDiffeo(generator=generator(1))(given)
        assert moved.shape == given.shape
        assert moved.dtype == given.dtype
        assert not torch.equal(moved, given)
    one, again, other = (RandomDiffeo(generator=generator(s))(images) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(RandomDiffeo(probability=0.0)(images), images)
    some = RandomDiffeo(probability=0.5, generator=generator(3))(images.float())
    still = (some - images.float()).flatten(1).abs().amax(1) < 1e-2
    assert still.any()
    assert not still.all()
    coefficients = RandomDiffeo(9.0, 50.0, generator=generator(4)).coefficients(300, 24)
    assert not folded(coefficients, 24).any()
    assert folded(RandomDiffeo(9.0, 50.0, folding="keep", generator=generator(4)).coefficients(300, 24), 24).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concentration": 0.0}, "concentration = 0.0"),
        ({"cutoff_max": 1}, "cutoff_max = 1"),
        ({"probability": 1.5}, "probability = 1.5"),
        ({"cutoff_max": 12}, "cutoff_max = 12: must be below 2 n / pi = 10.2 for images of 16 pixels"),
    ],
)
def test_random_transform_refuses(options: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        RandomDiffeo(**options)(torch.rand(2, 1, 16, 16))
    with pytest.raises(InputError, match="images"):
        RandomDiffeo()(torch.rand(16, 16))


@pytest.mark.parametrize(("s", "r", "alpha"), [(1.0, 1.0, 1.0), (8.0, 3.0, 0.5)])
def test_the_laws_of_primes_sampler(s: float, r: float, alpha: float) -> None:
    """c = floor(c_min + B (c_max + 1 - c_min)), T on [T_min, max(T_min, alpha T_max)]; false alarms below 1 in 200."""
    diffeo = RandomDiffeo(
        s, r, 2, 9, cutoff_concentration=s, cutoff_lean=r, strength=alpha, folding="keep", generator=generator(5)
    )
    cutoffs, temperatures = diffeo.draw(4000, 16)
    law = stats.beta(s * r / (r + 1), s / (r + 1))
    edges = law.cdf((np.arange(2, 11) - 2) / 8)
    counts = np.bincount(cutoffs, minlength=10)[2:]
    often = 4000 * np.diff(edges) > 5
    share = np.diff(edges)[often] / np.diff(edges)[often].sum()
    assert stats.chisquare(counts[often], counts[often].sum() * share).pvalue > 5e-4
    for cutoff in np.flatnonzero(counts > 300) + 2:
        low, high = MaxEntropyEnsemble(16, cutoff, 1.0).temperature_range
        found = temperatures[cutoffs == cutoff].numpy()
        high = max(low, alpha * high)
        if high > 1.05 * low:
            assert stats.kstest((found - low) / (high - low), law.cdf).pvalue > 2.5e-4
            assert stats.kstest((found - low) / (high - low), stats.beta(3, 3).cdf).pvalue < 1e-3  # control
        else:
            np.testing.assert_allclose(found, low, rtol=0.06)
    wide = RandomDiffeo(1, 1, 2, 40, folding="keep", strength=alpha)(torch.rand(3, 1, 16, 16))
    assert torch.isfinite(wide).all()
