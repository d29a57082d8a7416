"""Tensors of any kind that torch knows are deformed rightly, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

from empirical import (  # noqa: E402
    MaxEntropyDiffeo,
    RandomDiffeo,
    displacement_fields,
    draw_probes,
    folded,
    inverse_fields,
    measure_stability,
)
from empirical.diffeo.deformation import deform  # noqa: E402
from empirical.diffeo.sine_series import moved_points  # noqa: E402
from theory import InputError  # noqa: E402

IMAGES = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
FIELDS = MaxEntropyDiffeo(3, 1.0, generator=torch.Generator().manual_seed(1)).sample(4, 16)
RIGHT = deform(IMAGES, FIELDS)


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_position(dtype: torch.dtype) -> None:
    """Control: a matrix product in it is of the type asked for."""
    points = torch.tensor([[3.0, 4.0], [7.5, 9.25]]).expand(4, -1, -1)
    mild = FIELDS / 4
    with torch.autocast("cpu", dtype):
        assert (FIELDS @ FIELDS).dtype == dtype
        found = (displacement_fields(FIELDS, 16), inverse_fields(mild, 16), moved_points(mild, 16, points))
        deformed, fold, probes = deform(IMAGES, FIELDS), folded(20 * FIELDS, 16), draw_probes(IMAGES, rng=1)
    expected = displacement_fields(FIELDS, 16), inverse_fields(mild, 16), moved_points(mild, 16, points)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)
    assert torch.equal(deformed, RIGHT)
    assert torch.equal(fold, folded(20 * FIELDS, 16))
    assert torch.equal(probes.noisy, draw_probes(IMAGES, rng=1).noisy)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_type_changes_no_draw(dtype: torch.dtype) -> None:
    def drawn() -> list[torch.Tensor]:
        seeded = {"generator": torch.Generator().manual_seed(5)}
        fields = RandomDiffeo(**seeded).coefficients(3, 16)
        moved = MaxEntropyDiffeo(3, [0.5, 1.0, 0.7, 0.2], **seeded)(IMAGES)
        return [fields, moved, draw_probes(IMAGES, rng=2).noisy, RandomDiffeo(probability=0.5, **seeded)(IMAGES)]

    right = drawn()
    with default(dtype):
        found = drawn()
        stability = measure_stability(nn.Flatten(), IMAGES, resamples=0)
    for one, other in zip(found, right, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)
    assert stability.relative.value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_deformed_as_single_precision_is(dtype: torch.dtype) -> None:
    found = deform(IMAGES.to(dtype), FIELDS)
    assert found.dtype == dtype
    right = deform(IMAGES.to(dtype).float(), FIELDS)
    torch.testing.assert_close(found.float(), right.to(dtype).float(), atol=1e-3, rtol=1e-2)


def test_forward_derivatives() -> None:
    """deform is linear in the images: its derivative along x is x deformed; where torch has none, it says so."""
    along = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(2))
    right = deform(IMAGES, FIELDS, "gaussian"), deform(along, FIELDS, "gaussian")
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(IMAGES, along)
        torch.testing.assert_close(
            tuple(torch.autograd.forward_ad.unpack_dual(deform(dual, FIELDS, "gaussian"))), right
        )
        with pytest.raises(NotImplementedError, match="forward AD with grid_sampler_2d"):
            deform(dual, FIELDS)
    torch.testing.assert_close(torch.func.jvp(lambda x: deform(x, FIELDS, "gaussian"), (IMAGES,), (along,)), right)
    with pytest.raises(NotImplementedError, match="forward AD with grid_sampler_2d"):
        torch.func.jvp(lambda x: deform(x, FIELDS), (IMAGES,), (along,))


def test_backward_derivatives_and_maps() -> None:
    weights = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(3))
    gradient = torch.func.grad(lambda x: (weights * deform(x, FIELDS)).sum())(IMAGES)
    plain = IMAGES.clone().requires_grad_()
    (weights * deform(plain, FIELDS)).sum().backward()
    torch.testing.assert_close(gradient, plain.grad)
    assert float((gradient * IMAGES).sum()) == pytest.approx(float((weights * RIGHT).sum()), rel=1e-4)
    mapped = torch.func.vmap(lambda x, c: deform(x[None], c[None])[0])(IMAGES, FIELDS)
    torch.testing.assert_close(mapped, RIGHT)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_trace_keeps_no_image() -> None:
    traced = torch.jit.trace(deform, (IMAGES, FIELDS))
    torch.testing.assert_close(traced(IMAGES.flip(0), FIELDS.flip(0)), RIGHT.flip(0))
    for transform in (RandomDiffeo(), MaxEntropyDiffeo(3, 1.0)):
        with pytest.raises(InputError, match="transform = traced"):
            torch.jit.trace(transform, IMAGES)
        with pytest.raises(InputError, match="transform = scripted"):
            torch.jit.script(torch.nn.Sequential(transform))
        if hasattr(torch.compiler, "is_exporting"):
            with pytest.raises(InputError, match="transform = exported"):
                torch.export.export(transform, (IMAGES,))


class Tagged(torch.Tensor):
    """A subclass, as libraries of medical images or of physical units have."""


def test_subclasses_views_and_inference() -> None:
    torch.testing.assert_close(deform(IMAGES.as_subclass(Tagged), FIELDS).as_subclass(torch.Tensor), RIGHT)
    torch.testing.assert_close(deform(IMAGES.to(memory_format=torch.channels_last), FIELDS), RIGHT)
    torch.testing.assert_close(deform(IMAGES.flip(0).flip(0), FIELDS), RIGHT)
    torch.testing.assert_close(deform(IMAGES[:1].expand(4, -1, -1, -1), FIELDS)[0], RIGHT[0])
    with torch.inference_mode():
        torch.testing.assert_close(deform(IMAGES + 0, FIELDS), RIGHT)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES.to(torch.complex64),
        IMAGES.to_sparse(),
        IMAGES.long(),
        IMAGES > 0.5,
        torch.nested.nested_tensor([IMAGES[0], IMAGES[1]]),
        IMAGES.to(torch.float8_e4m3fn),
        torch.quantize_per_tensor(IMAGES, 0.01, 0, torch.quint8),
        IMAGES.numpy(),
        IMAGES.to("meta"),
    ],
    ids=["complex", "sparse", "long", "bool", "nested", "float8", "quantized", "numpy", "meta"],
)
@pytest.mark.filterwarnings(
    "ignore:.*nested tensors.*:UserWarning", "ignore:.*quantize.*:UserWarning", "ignore::DeprecationWarning"
)
def test_other_kinds_are_refused_in_one_line(images: object) -> None:
    for call in (RandomDiffeo(), MaxEntropyDiffeo(3, 1.0), draw_probes):
        with pytest.raises(InputError) as caught:
            call(images)
        assert "\n" not in str(caught.value)
