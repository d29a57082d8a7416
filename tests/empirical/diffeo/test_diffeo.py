"""Fields and warp against the authors' conventions, folds, and input that is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from empirical import MaxEntropyDiffeo, displacement_fields, folded, sample_coefficients, warp  # noqa: E402
from theory import InputError, MaxEntropyEnsemble  # noqa: E402


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def authors_deformation(image: np.ndarray, c_x: np.ndarray, c_y: np.ndarray, cutoff: int, nearest: bool) -> np.ndarray:
    """One channel deformed pixel by pixel, after physics of arXiv 2105.02468: an independent derivation.

    tau_u(u, v) = sum_ij C_ij sin(i pi u) sin(j pi v) with u along x and v along y on linspace(0, 1, n), modes
    with sqrt(i^2 + j^2) < c + 1/2, n tau pixels, read at (clamp(y - dy), clamp(x - dx)).
    """
    n = len(image)
    grid = [k / (n - 1) for k in range(n)]
    result = np.zeros_like(image)
    for row in range(n):
        for column in range(n):
            shift = [0.0, 0.0]
            for axis, c in enumerate((c_x, c_y)):
                for i in range(1, cutoff + 1):
                    for j in range(1, cutoff + 1):
                        if math.hypot(i, j) < cutoff + 0.5:
                            wave = math.sin(i * math.pi * grid[column]) * math.sin(j * math.pi * grid[row])
                            shift[axis] += n * c[i - 1, j - 1] * wave
            x = min(max(column - shift[0], 0.0), n - 1.0)
            y = min(max(row - shift[1], 0.0), n - 1.0)
            if nearest:
                result[row, column] = image[round(y), round(x)]
                continue
            left, top = math.floor(x), math.floor(y)
            right, bottom = min(left + 1, n - 1), min(top + 1, n - 1)
            a, b = x - left, y - top
            result[row, column] = (
                (1 - a) * (1 - b) * image[top, left] + a * (1 - b) * image[top, right]
                + (1 - a) * b * image[bottom, left] + a * b * image[bottom, right]
            )  # fmt: skip
    return result


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("cutoff", [2, 5])
def test_deformed_images_are_the_authors_to_rounding(cutoff: int, interpolation: str) -> None:
    """Double precision, displacements of several pixels that reach beyond the border; allowed: 1e-11.

    The control: coefficients with x and y exchanged, or read at y + dy, give other images.
    """
    ensemble = MaxEntropyEnsemble.from_displacement(9, cutoff, 3.0)
    coefficients = sample_coefficients(ensemble, 2, generator(1), torch.float64)
    images = torch.rand(2, 3, 9, 9, generator=generator(2), dtype=torch.float64)
    fields = displacement_fields(coefficients, 9)
    found = warp(images, fields, interpolation).numpy()
    c = coefficients.numpy()
    expected = np.stack([
        [authors_deformation(channel.numpy(), *c[k], cutoff, interpolation == "nearest") for channel in images[k]]
        for k in range(2)
    ])  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-11)
    assert np.abs(warp(images, fields.flip(1), interpolation).numpy() - expected).max() > 0.1
    assert np.abs(warp(images, -fields, interpolation).numpy() - expected).max() > 0.1


def test_a_constant_shift_reads_the_neighbour() -> None:
    """dx = 1: every pixel shows its left neighbour, the first column itself."""
    images = torch.rand(1, 1, 5, 5, generator=generator(0), dtype=torch.float64)
    shift = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    shift[:, 0] = 1
    moved = warp(images, shift)
    torch.testing.assert_close(moved[..., 1:], images[..., :-1], rtol=0, atol=1e-14)
    torch.testing.assert_close(moved[..., 0], images[..., 0], rtol=0, atol=1e-14)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=st.integers(2, 24), channels=st.integers(1, 3), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_zero_displacement_is_the_identity_and_batches_are_single_images(
    size: int, channels: int, count: int, seed: int
) -> None:
    images = torch.rand(count, channels, size, size, generator=generator(seed), dtype=torch.float64)
    still = warp(images, torch.zeros(count, 2, size, size, dtype=torch.float64))
    torch.testing.assert_close(still, images, rtol=0, atol=1e-14)
    ensemble = MaxEntropyEnsemble.from_displacement(size, 2, size / 10)
    fields = displacement_fields(sample_coefficients(ensemble, count, generator(seed), torch.float64), size)
    together = warp(images, fields)
    for k in range(count):
        torch.testing.assert_close(warp(images[k : k + 1], fields[k : k + 1])[0], together[k], rtol=0, atol=1e-14)
    assert together.min() >= images.min() - 1e-14
    assert together.max() <= images.max() + 1e-14


def test_folded_agrees_with_finite_differences() -> None:
    """det(1 - grad tau) by central differences of step 1e-6 on the same grid, for 200 fields near the edge."""
    size, cutoff = 12, 3
    ensemble = MaxEntropyEnsemble(size, cutoff, MaxEntropyEnsemble(size, cutoff, 1).temperature_range[1])
    coefficients = sample_coefficients(ensemble, 200, generator(3), torch.float64)

    def tau(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        k = np.arange(1, cutoff + 1) * np.pi
        return np.einsum("naij,iu,jv->nauv", coefficients.numpy(), np.sin(np.outer(k, u)), np.sin(np.outer(k, v)))

    grid, h = np.linspace(0, 1, size), 1e-6
    du = (tau(grid + h, grid) - tau(grid - h, grid)) / (2 * h)
    dv = (tau(grid, grid + h) - tau(grid, grid - h)) / (2 * h)
    determinant = (1 - du[:, 0]) * (1 - dv[:, 1]) - dv[:, 0] * du[:, 1]
    expected = (determinant <= 0).any((1, 2))
    assert folded(coefficients, size).numpy().tolist() == expected.tolist()
    assert 20 < expected.sum() < 180  # both kinds occur


@pytest.mark.parametrize(("cutoff", "percent"), [(2, 53), (3, 32), (5, 27), (15, 8)])
def test_folds_at_the_highest_temperature(cutoff: int, percent: int) -> None:
    """4000 fields at n = 32: within 4.5 binomial standard errors (3 in 10^5 false alarms for all four) of the
    percentages that an independent program once gave, widened by their rounding and their own error (about 1000
    fields). The paper says that none folds below T_max."""
    ensemble = MaxEntropyEnsemble(32, cutoff, MaxEntropyEnsemble(32, cutoff, 1).temperature_range[1])
    part = folded(sample_coefficients(ensemble, 4000, generator(cutoff)), 32).double().mean().item()
    expected = percent / 100
    assert abs(part - expected) < 4.5 * math.sqrt(expected * (1 - expected) * (1 / 4000 + 1 / 1000)) + 0.005


def test_reject_leaves_no_fold_and_keep_leaves_some() -> None:
    highest = MaxEntropyEnsemble(16, 2, 1).temperature_range[1]
    parts = {}
    for folding in ("keep", "reject", "allow"):
        diffeo = MaxEntropyDiffeo(2, temperature=highest, folding=folding, generator=generator(0))
        parts[folding] = folded(diffeo.sample(300, 16), 16).double().mean().item()
    assert parts["reject"] == 0
    assert parts["keep"] == parts["allow"] > 0.3


def test_temperatures_that_fold_are_refused_unless_allowed() -> None:
    images = torch.rand(2, 1, 16, 16, generator=generator(0))
    with pytest.raises(InputError, match=r"displacement = 3.0: folds: at cutoff 3 and 16 pixels .* at most 0\.01305"):
        MaxEntropyDiffeo(3, displacement=3.0)(images)
    with pytest.raises(InputError, match=r"temperature = 1.0: folds"):
        MaxEntropyDiffeo(3, temperature=1.0, folding="reject")(images)
    assert MaxEntropyDiffeo(3, displacement=3.0, folding="allow", generator=generator(0))(images).shape == images.shape


def test_a_generator_decides_and_the_default_one_is_left_alone() -> None:
    images = torch.rand(3, 1, 12, 12, generator=generator(0))
    state = torch.get_rng_state()
    one, two, other = (MaxEntropyDiffeo(2, displacement=1.0, generator=generator(s))(images) for s in (5, 5, 6))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(one[0] - images[0], one[1] - images[1])


def test_half_precision_images_stay_half() -> None:
    images = torch.rand(2, 1, 8, 8, generator=generator(0)).to(torch.bfloat16)
    assert MaxEntropyDiffeo(2, displacement=0.5, generator=generator(1))(images).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(8, 8), "images.shape = (8, 8): must be (channels, height, width), or a batch of them"),
        (torch.zeros(0, 1, 8, 8), "images.shape = (0, 1, 8, 8)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.int64), "images.dtype = torch.int64: must be floating-point or uint8"),
        (np.zeros((2, 1, 8, 8)), "images = ndarray: must be or hold an image"),
    ],
)
def test_what_are_no_images(images: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        MaxEntropyDiffeo(2, displacement=0.5)(images)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "options",
    [
        {"cutoff": 1, "displacement": 1.0}, {"cutoff": 2.5, "displacement": 1.0}, {"cutoff": 3},
        {"cutoff": 3, "displacement": 1.0, "temperature": 1e-3}, {"cutoff": 3, "displacement": 0.0},
        {"cutoff": 3, "displacement": float("nan")}, {"cutoff": 3, "temperature": -1.0},
        {"cutoff": 3, "displacement": 1.0, "interpolation": "cubic"},
        {"cutoff": 3, "displacement": 1.0, "folding": "maybe"},
        {"cutoff": 3, "displacement": 1.0, "calibration": "guess"},
    ],
)  # fmt: skip
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        MaxEntropyDiffeo(**options)  # type: ignore[arg-type]


def test_bad_displacement_shape() -> None:
    with pytest.raises(InputError, match=r"displacement.shape = \(1, 2, 4, 4\): must be \(1, 2, 5, 5\)"):
        warp(torch.zeros(1, 1, 5, 5), torch.zeros(1, 2, 4, 4))
