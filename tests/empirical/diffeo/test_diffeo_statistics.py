"""The torch sampler against the maximum-entropy statistics; wrong samplers are in tests/theory."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from empirical import displacement_fields, sample_coefficients  # noqa: E402
from theory import MaxEntropyEnsemble, check_sampler  # noqa: E402
from theory.ensemble.battery import sine_coefficients  # noqa: E402

SIZE, COUNT = 16, 4000


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Our sampler, as the battery calls one."""
    coefficients = sample_coefficients(ensemble, count, generator(int(rng.integers(2**31))))
    return displacement_fields(coefficients, ensemble.size)


@pytest.mark.parametrize("cutoff", [2, 3, 4, 7])
def test_the_sampler_has_the_maximum_entropy_statistics(cutoff: int) -> None:
    """Eleven checks, 4000 fields, a family-wise false-alarm rate of 1e-5 each time."""
    report = check_sampler(drawn, MaxEntropyEnsemble(SIZE, cutoff, 1e-4), count=COUNT, level=1e-5, rng=cutoff)
    assert report.consistent, report


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    size=st.integers(6, 40), cutoff=st.integers(2, 12), temperature=st.floats(1e-8, 1e-2),
    dtype=st.sampled_from([torch.float32, torch.float64]), count=st.integers(500, 1500), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_battery_passes_at_any_size_cutoff_temperature_type_and_batch(
    size: int, cutoff: int, temperature: float, dtype: torch.dtype, count: int, seed: int
) -> None:
    """A family-wise rate of 1e-6 for each of 20 examples."""
    ensemble = MaxEntropyEnsemble(size, min(cutoff, size - 2), temperature)

    def sampler(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> torch.Tensor:
        source = generator(int(rng.integers(2**31)))
        return displacement_fields(sample_coefficients(ensemble, count, source, dtype), ensemble.size)

    report = check_sampler(sampler, ensemble, count=count, level=1e-6, rng=seed)
    assert report.consistent, report


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
