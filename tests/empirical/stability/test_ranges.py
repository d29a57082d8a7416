"""A range of cutoffs and displacements in one pass: each as if measured alone, the clean images shown once."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

from empirical import (  # noqa: E402
    build,
    draw_probes,
    measure_probes,
    measure_range,
    measure_stability,
    paper_temperatures,
)
from empirical.diffeo.interpolation import gaussian_blur  # noqa: E402
from theory import InputError, MaxEntropyEnsemble  # noqa: E402

IMAGES = torch.rand(24, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [{}, {"batch_norm": "clean"}, {"batch_norm": "own"}, {"average": "median"}])
def test_every_setting_is_as_if_measured_alone(options: dict[str, str]) -> None:
    net = build("resnet-small", 1, 16, 10, 0)
    found = measure_range(
        net, IMAGES, cutoffs=(2, 3), displacements=(0.3, 0.6), rng=4, resamples=20, batch_size=7, **options
    )
    assert [(one.cutoff, one.displacement) for one in found] == [(2, 0.3), (2, 0.6), (3, 0.3), (3, 0.6)]
    for one in found:
        alone = measure_stability(
            net, IMAGES, cutoff=one.cutoff, displacement=one.displacement, rng=4, resamples=20, batch_size=7, **options
        )
        assert one == alone
    assert len({one.relative.value for one in found}) == 4


def test_the_clean_images_are_shown_once() -> None:
    """2 m + 1 batches for m settings instead of 3 m; control: the deformed ones differ from the clean."""
    seen: list[torch.Tensor] = []

    def spy(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return batch.flatten(1)

    fractions: list[float] = []
    settings = {"cutoffs": (2, 3, 4), "displacements": (0.2, 0.4)}
    measure_range(spy, IMAGES, **settings, resamples=0, progress=fractions.append)
    assert len(seen) == 2 * 6 + 1
    assert sum(torch.equal(batch, IMAGES) for batch in seen) == 1
    assert fractions == pytest.approx(np.arange(1, 7) / 6)


def test_temperatures_and_the_paper_s_protocol() -> None:
    temperatures = paper_temperatures(16, 3, 5)
    low, high = MaxEntropyEnsemble(16, 3, 1.0).temperature_range
    assert temperatures[0] == pytest.approx(low / 15)
    assert temperatures[-1] == pytest.approx(2 * high)
    assert np.ptp(np.diff(np.log(temperatures))) < 1e-12
    found = measure_range(
        lambda batch: batch.flatten(1), IMAGES, temperatures=temperatures, folding="allow", resamples=0
    )
    assert [one.temperature for one in found] == pytest.approx(temperatures)
    assert all(np.diff([one.diffeo.value for one in found]) > 0)  # hotter fields move an identity further
    assert found[-1].folded_fraction > 0


def test_a_generator_is_drawn_from_once() -> None:
    one, other, third = (
        measure_range(lambda b: b.flatten(1) ** 2, IMAGES, displacements=(0.3, 0.5), rng=rng, resamples=5)
        for rng in (np.random.default_rng(1), np.random.default_rng(1), np.random.default_rng(2))
    )
    assert one == other != third


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoffs": ()}, "cutoffs = (): must name at least one"),
        ({"displacements": ()}, "displacements, temperatures = (): must name at least one"),
        ({"displacements": (1,), "temperatures": (1e-3,)}, "temperatures = (0.001,): must not be given with"),
        ({"displacements": (0.2, -1)}, "displacements = -1: must be a finite number, above 0"),
        ({"cutoffs": (3, 1)}, "cutoff = 1: must be a whole number, at least 2"),
        ({"displacements": (0.2, 9.0)}, "displacement = 9.0: folds"),
        ({"batch_norm": "none"}, "batch_norm = none: must be one of running, clean, own"),
        ({"average": "mode"}, "average = mode: must be one of"),
    ],
)
def test_refused_before_the_net_is_run(options: dict[str, object], message: str) -> None:
    def never(batch: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the net was run")

    with pytest.raises(InputError) as error:
        measure_range(never, IMAGES, **options)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_nets_share_probes() -> None:
    """Two nets on the same probes: their difference has less spread over probes than either value.

    A net and a copy with weights moved by 1 %, 12 draws of probes: sd of ln R's difference below a third of ln R's.
    """
    net = build("lenet", 1, 16, 10, 0)
    other = build("lenet", 1, 16, 10, 0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter *= 1 + 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    values = []
    for seed in range(12):
        probes = draw_probes(IMAGES, displacement=0.5, rng=seed)
        values.append([np.log(measure_probes(one, probes, resamples=0).relative.value) for one in (net, other)])
    mine, theirs = np.array(values).T
    assert np.std(mine - theirs) < np.std(mine) / 3
    assert np.std(mine - np.roll(theirs, 1)) > np.std(mine)  # control: probes not shared


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_agrees_with_single(dtype: torch.dtype) -> None:
    """The same net and images, rounded to half precision before; R_f, D_f and G_f within 5 %.

    A pixel in bfloat16 is off by up to 2^-9, the noise's pixels are some 0.1. Control: images of 1000 times the range
    would overflow float16's squares (65504), were they summed in it.
    """
    net = build("lenet", 1, 16, 10, 0)
    images = (torch.nn.functional.avg_pool2d(IMAGES.repeat(4, 1, 1, 1), 3, 1, 1) * 1000).to(dtype)
    half = measure_stability(net.to(dtype), images, resamples=20)
    single = measure_stability(net.float(), images.float(), resamples=20)
    for name in ("diffeo", "noise", "relative"):
        assert getattr(half, name).value == pytest.approx(getattr(single, name).value, rel=0.05)
        assert np.isfinite([getattr(half, name).low, getattr(half, name).high]).all()
    assert not torch.isfinite((images**2).sum()) or dtype == torch.bfloat16


def test_a_net_that_answers_in_half_precision_is_read_as_it_is() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    whole = measure_stability(net, IMAGES, displacement=0.5, resamples=0)
    rounded = measure_stability(lambda batch: net(batch).bfloat16(), IMAGES, displacement=0.5, resamples=0)
    assert rounded.relative.value == pytest.approx(whole.relative.value, rel=0.05)
    assert rounded.relative.value != whole.relative.value


def test_gaussian_interpolation_compares_with_smoothed_images() -> None:
    """A field of next to no displacement moves nothing but rounding; against unsmoothed images it would seem to."""
    probes = draw_probes(IMAGES, temperature=1e-12, interpolation="gaussian")
    still_there = (probes.deformed - probes.clean).norm()
    assert still_there < 1e-3 * (probes.deformed - IMAGES).norm()
    torch.testing.assert_close(probes.clean, gaussian_blur(IMAGES))
    torch.testing.assert_close(
        (probes.noisy - probes.clean).flatten(1).norm(dim=1), (probes.deformed - probes.clean).flatten(1).norm(dim=1),
        rtol=0.01, atol=1e-5,
    )  # fmt: skip
    found = measure_range(lambda b: b.flatten(1), IMAGES, displacements=(0.5,), interpolation="gaussian", rng=3)
    alone = measure_stability(lambda b: b.flatten(1), IMAGES, displacement=0.5, interpolation="gaussian", rng=3)
    assert found == [alone]
    assert alone.relative.value == pytest.approx(1, abs=0.02)  # an isometry: noise has the deformation's norm
