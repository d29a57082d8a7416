"""The sampler against the maximum-entropy statistics, and wrong samplers that must fail them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from maxent import CHECKS, failures, sine_coefficients

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from empirical import MaxEntropyDiffeo, displacement_fields, sample_coefficients  # noqa: E402
from theory import MaxEntropyEnsemble  # noqa: E402

SIZE, COUNT = 16, 4000
ENSEMBLE = MaxEntropyEnsemble(SIZE, 4, 1e-3)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("cutoff", [2, 3, 4, 7])
def test_the_sampler_has_the_maximum_entropy_statistics(cutoff: int) -> None:
    """Nine checks at a false-alarm rate of 1e-6 each, 4000 fields."""
    diffeo = MaxEntropyDiffeo(cutoff, temperature=1e-4, generator=generator(cutoff))
    fields = displacement_fields(diffeo.sample(COUNT, SIZE), SIZE).numpy()
    assert failures(fields, diffeo.ensemble(SIZE)) == set()


Sampler = Callable[[], torch.Tensor]
RADIUS = torch.as_tensor(ENSEMBLE.mode_radius)
STD = torch.as_tensor(ENSEMBLE.mode_std)


def normal(seed: int, count: int = COUNT, components: int = 2) -> torch.Tensor:
    return torch.randn((count, components, 4, 4), generator=generator(seed), dtype=torch.float64)


def tilted() -> torch.Tensor:
    tilt = 1 + 0.1 * (torch.ones(4, 4).triu(1) - torch.ones(4, 4).tril(-1))
    return normal(7) * STD * tilt


WRONG: dict[str, tuple[Sampler, set[str]]] = {
    "variance T": (lambda: normal(0) * STD * RADIUS, {"equipartition", "total_energy", "gaussianity"}),
    "variance T / r": (lambda: normal(1) * STD * RADIUS.sqrt(), {"equipartition", "total_energy", "gaussianity"}),
    "cutoff too small": (lambda: normal(2) * STD * (RADIUS < 3.5), {"equipartition", "total_energy"}),
    "square cutoff": (lambda: normal(3) * 1e-3**0.5 / RADIUS, {"nothing_above_the_cutoff"}),
    "components shared": (lambda: normal(4, components=1).expand(-1, 2, -1, -1) * STD, {"independence_of_modes"}),
    "one field for the batch": (
        lambda: normal(5, count=1).expand(COUNT, -1, -1, -1) * STD, {"independence_of_fields", "zero_mean"},
    ),
    "uniform": (
        lambda: (torch.rand((COUNT, 2, 4, 4), generator=generator(6), dtype=torch.float64) - 0.5) * 12**0.5 * STD,
        {"gaussianity", "total_energy"},
    ),
    "x and y unlike": (tilted, {"exchange_symmetry", "equipartition"}),
    "skewed": (lambda: (normal(8) ** 2 - 1) / 2**0.5 * STD, {"reflection_symmetry", "gaussianity"}),
    "not centred": (lambda: (normal(9) + 0.2) * STD, {"zero_mean"}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_samplers_fail(name: str) -> None:
    sampler, caught_by = WRONG[name]
    assert caught_by <= failures(displacement_fields(sampler(), SIZE).numpy(), ENSEMBLE)


def test_every_check_catches_some_wrong_sampler() -> None:
    assert set.union(*(caught for _, caught in WRONG.values())) == set(CHECKS)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(size=st.integers(4, 40), cutoff=st.integers(2, 12), temperature=st.floats(1e-8, 1e-2), seed=st.integers(0, 99))
def test_fields_vanish_on_the_border_and_scale_with_the_root_of_t(
    size: int, cutoff: int, temperature: float, seed: int
) -> None:
    """Border: exactly zero. Scaling: 4 T doubles the field, exactly to 4 ulp of float64's largest entry."""
    fields = [
        displacement_fields(
            sample_coefficients(MaxEntropyEnsemble(size, cutoff, t), 3, generator(seed), torch.float64), size
        )
        for t in (temperature, 4 * temperature)
    ]
    for edge in (fields[0][..., 0, :], fields[0][..., -1, :], fields[0][..., 0], fields[0][..., -1]):
        assert torch.equal(edge, torch.zeros_like(edge))
    largest = fields[1].abs().max()
    assert largest > 0
    assert (fields[1] - 2 * fields[0]).abs().max() <= 1e-15 * largest


def test_displacement_and_gradient_have_the_sizes_that_the_ensemble_states() -> None:
    """Mean squares over 4000 fields of 38 modes: five standard errors are below 2.5 %.

    The gradient's energy comes from the coefficients, (pi^2 / 4) sum r^2 C^2 a component; the displacement is
    averaged over a grid of n points, which is (n - 1)/n of the mean over the square in each direction.
    """
    ensemble = MaxEntropyEnsemble(SIZE, 5, 1e-4)
    coefficients = sample_coefficients(ensemble, COUNT, generator(11), torch.float64)
    fields = displacement_fields(coefficients, SIZE).numpy()
    square = (fields**2).sum(1).mean() * (SIZE / (SIZE - 1)) ** 2
    assert abs(square / ensemble.rms_displacement**2 - 1) < 0.025
    found = sine_coefficients(fields)
    k = np.arange(1, SIZE - 1)
    energy = (np.pi**2 / 4) * ((k[:, None] ** 2 + k**2) * found**2).sum((1, 2, 3)).mean()
    assert abs(energy / ensemble.mean_gradient_energy - 1) < 0.025
    # Control: the paper's calibration is not the exact one.
    assert abs(square / ensemble.paper_displacement**2 - 1) > 0.025
