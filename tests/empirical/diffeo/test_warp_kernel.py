"""The fused kernel against torch's way, and when it is not taken."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import empirical.diffeo.deformation  # noqa: E402
from empirical import MaxEntropyDiffeo, displacement_fields, warp  # noqa: E402
from empirical.diffeo.fields import deform  # noqa: E402
from empirical.diffeo.warp_kernel import deform_arrays  # noqa: E402


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(
    count: int, channels: int, height: int, width: int, cutoff: int, pixels: float, dtype: torch.dtype, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(count, channels, height, width, generator=generator(seed), dtype=dtype)
    coefficients = torch.randn(count, 2, cutoff, cutoff, generator=generator(seed + 1), dtype=dtype)
    return images, coefficients * (pixels / max(height, width))


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 5), channels=st.integers(1, 7), height=st.integers(2, 40), width=st.integers(2, 40),
    cutoff=st.integers(2, 9), pixels=st.floats(0, 20), seed=st.integers(0, 1000),
)  # fmt: skip
def test_fused_is_torch_s_to_rounding(
    count: int, channels: int, height: int, width: int, cutoff: int, pixels: float, seed: int
) -> None:
    """In double precision to 1e-9 of images of order 1, fields from none to those that leave the image everywhere."""
    images, coefficients = case(count, channels, height, width, cutoff, pixels, torch.float64, seed)
    expected = warp(images, displacement_fields(coefficients, (height, width)))
    found = deform(images, coefficients)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_single_precision_and_control() -> None:
    """Positions up to 64 are rounded at 4e-6 and pixels differ by up to 1: 1e-4. Control: x for y is seen."""
    images, coefficients = case(4, 3, 64, 64, 3, 2.0, torch.float32)
    expected = warp(images, displacement_fields(coefficients, 64))
    torch.testing.assert_close(deform(images, coefficients), expected, rtol=0, atol=1e-4)
    assert (deform(images, coefficients.flip(1)) - expected).abs().max() > 0.1


def test_threads_change_nothing() -> None:
    images, coefficients = (part.numpy() for part in case(7, 2, 20, 24, 4, 1.5, torch.float32))
    one = deform_arrays(images, coefficients, 1)
    for threads in (2, 3, 20):
        np.testing.assert_array_equal(deform_arrays(images, coefficients, threads), one)


def test_a_transposed_view_is_read_as_it_is() -> None:
    images, coefficients = case(3, 3, 16, 16, 3, 1.0, torch.float64)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(deform(channels_last, coefficients), deform(images, coefficients))
    turned = images.transpose(2, 3)
    torch.testing.assert_close(deform(turned, coefficients), warp(turned, displacement_fields(coefficients, 16)))


def test_when_torch_s_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gradients, half precision and other interpolations; the gradient is there and right in the first case."""
    calls = []

    def counted(*arguments: object) -> np.ndarray:
        calls.append(1)
        return deform_arrays(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(empirical.diffeo.deformation, "deform_arrays", counted)
    images, coefficients = case(3, 1, 16, 16, 3, 1.0, torch.float64)
    deform(images, coefficients)
    assert len(calls) == 1
    leaf = images.clone().requires_grad_()
    deform(leaf, coefficients).sum().backward()
    assert leaf.grad is not None
    curve = coefficients.clone().requires_grad_()
    (deform(images, curve) ** 2).sum().backward()
    step = 1e-6 * torch.randn(coefficients.shape, generator=generator(9), dtype=torch.float64)
    difference = (deform(images, coefficients + step) ** 2 - deform(images, coefficients - step) ** 2).sum() / 2
    assert float((curve.grad * step).sum()) == pytest.approx(float(difference), rel=1e-4)
    calls.clear()
    deform(images.half(), coefficients)
    deform(images, coefficients, "nearest")
    assert not calls
    with torch.no_grad():
        deform(leaf, curve)
    assert len(calls) == 1


class _Deformed(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return MaxEntropyDiffeo(3, 0.5, generator=generator(index))(torch.ones(2, 1, 16, 16))


def test_workers_of_a_data_loader_may_be_forked_afterwards() -> None:
    """The kernel has run with several threads in this process; a forked worker runs it too, and ends."""
    images, coefficients = (part.numpy() for part in case(7, 2, 20, 24, 4, 1.5, torch.float32))
    deform_arrays(images, coefficients, 3)
    loader = torch.utils.data.DataLoader(_Deformed(), num_workers=1, multiprocessing_context="fork", timeout=60)
    assert sum(len(batch) for batch in loader) == 4
