"""The maximum-entropy ensemble in numbers, against brute force and numerical quadrature."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import InputError, MaxEntropyEnsemble

SIZES, CUTOFFS = st.integers(2, 64), st.integers(2, 20)
TEMPERATURES = st.floats(1e-9, 1e-1)
QUICK = settings(max_examples=30, deadline=None, derandomize=True)


@QUICK
@given(size=SIZES, cutoff=CUTOFFS, temperature=TEMPERATURES)
def test_modes_are_counted_by_brute_force(size: int, cutoff: int, temperature: float) -> None:
    """A plain double loop over twice the cutoff; the squares are whole numbers, so r < c + 1/2 is exact."""
    ensemble = MaxEntropyEnsemble(size, cutoff, temperature)
    expected = {
        (i, j): temperature / (i * i + j * j)
        for i in range(1, 2 * cutoff)
        for j in range(1, 2 * cutoff)
        if 4 * (i * i + j * j) < (2 * cutoff + 1) ** 2
    }
    assert ensemble.mode_count == len(expected)
    variance = ensemble.mode_std**2
    assert variance.shape == (cutoff, cutoff)
    for (i, j), value in np.ndenumerate(variance):
        assert value == pytest.approx(expected.get((i + 1, j + 1), 0.0), rel=1e-14, abs=0)


@pytest.mark.parametrize(("cutoff", "ratio"), [(2, 0.909), (3, 0.843), (5, 0.862), (15, 0.889)])
def test_the_papers_displacement_is_the_large_cutoff_approximation(cutoff: int, ratio: float) -> None:
    """Ratios to the three digits quoted in the design notes; they depend on c alone."""
    for size, temperature in ((32, 1e-3), (7, 0.2)):
        ensemble = MaxEntropyEnsemble(size, cutoff, temperature)
        assert ensemble.rms_displacement / ensemble.paper_displacement == pytest.approx(ratio, abs=5e-4)


def test_the_ratio_tends_to_one() -> None:
    """Sum of 1 / r^2 over the quarter disk = (pi / 2)(ln c + O(1)): the ratio rises, as slowly as ln c."""
    ratios = []
    for cutoff in (5, 30, 200, 1000):
        ensemble = MaxEntropyEnsemble(32, cutoff, 1e-3)
        ratios.append(ensemble.rms_displacement / ensemble.paper_displacement)
    assert ratios == sorted(ratios)
    assert 0.93 < ratios[-1] < 1


@QUICK
@given(size=SIZES, cutoff=CUTOFFS)
def test_the_temperature_range_has_its_meaning(size: int, cutoff: int) -> None:
    """T_min: a displacement of half a pixel; T_max = 4 / (pi^3 c^2 ln c); T_min < T_max iff c < 2 n / pi."""
    lowest, highest = MaxEntropyEnsemble(size, cutoff, 1.0).temperature_range
    assert MaxEntropyEnsemble(size, cutoff, lowest).paper_displacement == pytest.approx(0.5, rel=1e-13)
    assert highest == pytest.approx(4 / (math.pi**3 * cutoff**2 * math.log(cutoff)), rel=1e-13)
    assert MaxEntropyEnsemble(size, cutoff, highest).paper_displacement == pytest.approx(
        size / (math.pi * cutoff), rel=1e-13
    )
    assert (lowest < highest) == (cutoff < 2 * size / math.pi)


@pytest.mark.parametrize("cutoff", [2, 3, 5])
def test_sizes_agree_with_quadrature_of_the_fields(cutoff: int) -> None:
    """Fields of random coefficients, integrated by Gauss and Legendre on 48 x 48 nodes.

    ||grad tau||^2 and ||tau||^2 are quadratic in C, so their means follow from the integrals of single modes
    and the variances: that is compared with the ensemble. Every integral is exact to 1e-10: the integrands
    are sines and cosines of at most 2 c half-waves. The derivative is a central difference of step 1e-4,
    whose error (k pi h)^2 / 6 is below 1e-6 at k = 5.
    """
    nodes, weights = np.polynomial.legendre.leggauss(48)
    u, w = (nodes + 1) / 2, weights / 2
    ensemble = MaxEntropyEnsemble(20, cutoff, 2e-3)
    h = 1e-4

    def integrals(coefficients: np.ndarray) -> tuple[float, float]:
        """(gradient energy, mean square) of sum_ij C_ij sin(i pi u) sin(j pi v)."""

        def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            terms = [
                coefficients[i, j] * np.outer(np.sin((i + 1) * np.pi * x), np.sin((j + 1) * np.pi * y))
                for i in range(cutoff)
                for j in range(cutoff)
            ]
            return np.sum(terms, axis=0)

        du = (field(u + h, u) - field(u - h, u)) / (2 * h)
        dv = (field(u, u + h) - field(u, u - h)) / (2 * h)
        return w @ (du**2 + dv**2) @ w, w @ field(u, u) ** 2 @ w

    gradient = square = 0.0
    for i in range(cutoff):
        for j in range(cutoff):
            unit = np.zeros((cutoff, cutoff))
            unit[i, j] = 1.0
            energy, mean_square = integrals(unit)
            gradient += 2 * ensemble.mode_std[i, j] ** 2 * energy
            square += 2 * ensemble.mode_std[i, j] ** 2 * mean_square
    assert gradient == pytest.approx(ensemble.mean_gradient_energy, rel=2e-6)
    assert 20 * math.sqrt(square) == pytest.approx(ensemble.rms_displacement, rel=1e-10)
    # Modes do not interfere, which the sum over single ones takes for granted.
    c = np.random.default_rng(cutoff).normal(size=(cutoff, cutoff))
    energies = np.array([[integrals(np.outer(a, b))[0] for b in np.eye(cutoff)] for a in np.eye(cutoff)])
    assert integrals(c)[0] == pytest.approx((c**2 * energies).sum(), rel=2e-6)


def test_gradient_energy_tends_to_the_papers_formula() -> None:
    """(pi^3 / 8) c^2 T. Modes number pi c^2 / 4 up to the unit squares that the arc and axes cut, 2 c + 2."""
    for cutoff in (5, 20, 80):
        ratio = MaxEntropyEnsemble(32, cutoff, 1e-3).mean_gradient_energy / (math.pi**3 / 8 * cutoff**2 * 1e-3)
        assert abs(ratio - 1) < (2 * cutoff + 2) / (math.pi * cutoff**2 / 4)


@QUICK
@given(size=SIZES, cutoff=CUTOFFS, displacement=st.floats(1e-3, 10))
def test_calibrations_give_the_displacement_that_was_asked_for(size: int, cutoff: int, displacement: float) -> None:
    paper = MaxEntropyEnsemble.from_displacement(size, cutoff, displacement)
    assert paper == MaxEntropyEnsemble.from_displacement(size, cutoff, displacement, "paper")
    assert paper.paper_displacement == pytest.approx(displacement, rel=1e-13)
    assert paper.temperature == pytest.approx(
        4 * displacement**2 / (math.pi * size**2 * math.log(cutoff)), rel=1e-13
    )
    exact = MaxEntropyEnsemble.from_displacement(size, cutoff, displacement, "exact")
    assert exact.rms_displacement == pytest.approx(displacement, rel=1e-13)
    assert exact.temperature > paper.temperature


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ((1, 3, 1e-3), "size"),
        ((32.0, 3, 1e-3), "size"),
        ((32, 1, 1e-3), "cutoff"),
        ((32, 2.5, 1e-3), "cutoff"),
        ((32, 3, 0.0), "temperature"),
        ((32, 3, -1e-3), "temperature"),
        ((32, 3, math.nan), "temperature"),
        ((32, 3, math.inf), "temperature"),
        ((32, 3, "hot"), "temperature"),
    ],
)
def test_bad_input_is_told(arguments: tuple[Any, ...], parameter: str) -> None:
    with pytest.raises(InputError, match=f"^{parameter} = ") as caught:
        MaxEntropyEnsemble(*arguments)
    assert caught.value.parameter == parameter


def test_bad_displacements_and_calibrations_are_told() -> None:
    for displacement in (0, -1.0, math.nan, None):
        with pytest.raises(InputError, match="^displacement = .*above 0$"):
            MaxEntropyEnsemble.from_displacement(32, 3, displacement)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^calibration = rms: must be one of paper, exact$"):
        MaxEntropyEnsemble.from_displacement(32, 3, 1.0, "rms")  # type: ignore[arg-type]


@pytest.mark.parametrize("cutoff", [2, 3, 5, 15])
def test_folding_is_refused_just_above_t_max(cutoff: int) -> None:
    highest = MaxEntropyEnsemble(32, cutoff, 1.0).temperature_range[1]
    MaxEntropyEnsemble(32, cutoff, highest).require_below_folding("temperature", highest)
    above = 1.0001 * highest
    with pytest.raises(InputError, match=f"^temperature = .*folds: at cutoff {cutoff} and 32 pixels") as caught:
        MaxEntropyEnsemble(32, cutoff, above).require_below_folding("temperature", above)
    assert f"(displacement {32 / (math.pi * cutoff):.3g} pixels)" in str(caught.value)


def test_summary_is_json_ready_and_complete() -> None:
    ensemble = MaxEntropyEnsemble(32, 3, 1e-3)
    summary = json.loads(json.dumps(ensemble.summary(), allow_nan=False))
    assert (summary["size"], summary["cutoff"], summary["temperature"]) == (32, 3, 1e-3)
    assert (summary["temperature_min"], summary["temperature_max"]) == ensemble.temperature_range
    for name in ("mode_count", "paper_displacement", "rms_displacement", "mean_gradient_energy"):
        assert summary[name] == getattr(ensemble, name)
