"""The explorer of diffeomorphisms in a browser: the Python samplers' numbers, and it follows its controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browser_page import array, move, pixels, says
from scipy import stats

from theory.ensemble.battery import check_sampler
from theory.ensemble.diffeomorphisms import MaxEntropyEnsemble


@pytest.mark.slow
def test_the_generator_is_uniform_and_normal(functions: Any) -> None:
    """Kolmogorov-Smirnov, moments and neighbours' correlation on 100 000 numbers, each at a false-alarm rate of 1e-3.

    Fixed seeds: the test passes always or never. Its twin feeds the normal test uniform numbers of variance 1.
    """
    count = 100_000
    uniform = array(functions, "return relstabExplorer.uniforms(5, arguments[0]);", count)
    normal = array(functions, "return relstabExplorer.normals(6, arguments[0]);", count)

    def suspicious(numbers: np.ndarray) -> set[str]:
        moments = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}  # of a standard normal: mean and variance of x^k
        found = {k: (np.mean(numbers**k) - mean) / np.sqrt(var / count) for k, (mean, var) in moments.items()}
        neighbours = {lag: np.mean(numbers[lag:] * numbers[:-lag]) * np.sqrt(count) for lag in (1, 2)}
        p_values = {f"moment {k}": 2 * stats.norm.sf(abs(z)) for k, z in found.items()}
        p_values |= {f"lag {lag}": 2 * stats.norm.sf(abs(z)) for lag, z in neighbours.items()}
        p_values["law"] = stats.kstest(numbers, "norm").pvalue
        return {name for name, p in p_values.items() if p < 1e-3}

    assert suspicious(normal) == set()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert 0 < uniform.min() < uniform.max() <= 1
    assert suspicious((uniform - 0.5) * np.sqrt(12)) >= {"law", "moment 4"}
    assert "lag 1" in suspicious(np.repeat(normal[: count // 2], 2))
    again = array(functions, "return relstabExplorer.normals(6, 1000);")
    assert np.array_equal(again, normal[:1000])
    other = array(functions, "return relstabExplorer.normals(7, 1000);")
    assert abs(np.corrcoef(again, other)[0, 1]) < 3.3 / np.sqrt(1000)


def test_the_fields_are_of_maximum_entropy(functions: Any) -> None:
    """The page's sampler, a seed a field, held to the same statistics as the others (family-wise level 0.01)."""
    drawn = iter(range(0, 1_000_000, 5000))

    def sampler(draw: str) -> Any:
        def sample(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> np.ndarray:
            n = ensemble.size
            fields = array(
                functions,
                f"""var [count, size, cutoff, temperature, first] = arguments;
                var out = new Float64Array(count * 2 * size * size);
                for (var k = 0; k < count; k++) {{
                  var pair = {draw}, moved = relstabExplorer.field(pair, cutoff, size, temperature);
                  out.set(moved[0], k * 2 * size * size);
                  out.set(moved[1], (k * 2 + 1) * size * size);
                }}
                return out;""",
                *(count, n, ensemble.cutoff, ensemble.temperature, next(drawn)),
            )
            return fields.reshape(count, 2, n, n)

        return sample

    ensemble = MaxEntropyEnsemble(8, 3, 1e-3)
    right = check_sampler(sampler("relstabExplorer.coefficients(cutoff, first + k)"), ensemble)
    assert right.consistent, right
    twin = "[relstabExplorer.coefficients(cutoff, first + k)[0], relstabExplorer.coefficients(cutoff, first + k)[0]]"
    wrong = check_sampler(sampler(twin), ensemble)
    assert not wrong.consistent


def test_a_larger_cutoff_adds_modes_to_the_same_field(functions: Any) -> None:
    for cutoff in (2, 5, 15):
        small, large = (
            array(functions, "return relstabExplorer.coefficients(arguments[0], 11)[1];", c).reshape(c, c)
            for c in (cutoff, cutoff + 1)
        )
        kept = MaxEntropyEnsemble(32, cutoff, 1.0).mode_std > 0
        assert np.array_equal(small != 0, kept)
        assert np.array_equal(large[:cutoff, :cutoff][kept], small[kept])
        assert np.count_nonzero(large) > np.count_nonzero(small)


def _slopes(coefficients: np.ndarray, size: int) -> np.ndarray:
    """grad tau at the pixels, shape (n, n, 2, 2), [..., component, direction], from the definition."""
    u = np.linspace(0, 1, size)
    k = np.arange(1, coefficients.shape[-1] + 1)
    sine, slope = np.sin(np.pi * np.outer(k, u)), (np.pi * k)[:, None] * np.cos(np.pi * np.outer(k, u))
    along_u, along_v = (
        np.einsum("aij,ix,jy->yxa", coefficients, *pair) for pair in ((slope, sine), (sine, slope))
    )
    return np.stack([along_u, along_v], axis=-1)


@pytest.mark.parametrize(("size", "cutoff", "channels"), [(16, 2, 1), (28, 3, 1), (33, 5, 3), (20, 15, 3)])
def test_deformed_pixels_are_those_of_the_python_sampler(functions: Any, size: int, cutoff: int, channels: int) -> None:
    torch = pytest.importorskip("torch", reason="needs torch, which deforms the same images")
    from empirical.diffeo.fields import deform, displacement_fields, folded

    random = np.random.default_rng(size)
    unit = MaxEntropyEnsemble(size, cutoff, 1.0)
    coefficients = random.standard_normal((2, cutoff, cutoff)) * unit.mode_std
    image = random.random((size, size, channels))
    verdicts = set()
    for temperature in (unit.temperature_range[1] / 20, 3 * unit.temperature_range[1]):
        ensemble = MaxEntropyEnsemble(size, cutoff, temperature)
        scaled = torch.from_numpy(coefficients[None] * np.sqrt(temperature))
        pair = "var pair = [Float64Array.from(arguments[0]), Float64Array.from(arguments[1])];"
        given = [coefficients[0].ravel().tolist(), coefficients[1].ravel().tolist(), cutoff, size, temperature]
        code = f"{pair} var moved = relstabExplorer.field(pair, arguments[2], arguments[3], arguments[4]);"
        for k in (0, 1):
            moved = array(functions, f"{code} return moved[{k}];", *given).reshape(size, size)
            assert np.abs(moved - displacement_fields(scaled, size)[0, k].numpy()).max() < 1e-9
        code += "return relstabExplorer.deform(Float64Array.from(arguments[5]), arguments[3], arguments[6], moved);"
        ours = array(functions, code, *given, image.ravel().tolist(), channels).reshape(size, size, channels)
        theirs = deform(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()), scaled)[0].numpy().transpose(1, 2, 0)
        assert np.abs(ours - theirs).max() < 1e-9
        swapped = array(functions, code, given[1], given[0], *given[2:], image.ravel().tolist(), channels)
        assert np.abs(swapped - theirs.ravel()).max() > 1e-2  # components confused: told apart
        code = f"{pair} return relstabExplorer.determinant(pair, arguments[2], arguments[3], arguments[4]);"
        determinant = array(functions, code, *given)
        slopes = _slopes(coefficients * np.sqrt(temperature), size)
        assert np.abs(determinant - np.linalg.det(np.eye(2) - slopes).ravel()).max() < 1e-9
        folds = bool((determinant <= 0).any())
        assert folds == bool(folded(scaled, size)[0])
        verdicts.add(folds)
        delta, ends = functions.execute_script(
            "return [relstabExplorer.displacement(arguments[2], arguments[0], arguments[1]),"
            "relstabExplorer.temperatureRange(arguments[0], arguments[1])];",
            *given[2:],
        )
        assert delta == pytest.approx(ensemble.paper_displacement, rel=1e-12)
        assert ends == pytest.approx(ensemble.temperature_range, rel=1e-12)
    assert verdicts == {False, True}


def test_the_explorer_follows_its_sliders(page: Any) -> None:
    first = pixels(page, "deformed")
    clean = pixels(page, "clean")
    assert first != clean
    for name, value in (("temperature", -2.5), ("cutoff", 6), ("seed", 17), ("image", 1)):
        before = page.execute_script("return document.getElementById('explorer-' + arguments[0]).value;", name)
        move(page, name, value)
        assert pixels(page, "deformed") != first, name
        assert (pixels(page, "clean") != clean) == (name == "image")
        move(page, name, before)
        assert pixels(page, "deformed") == first, name
    chart = pixels(page, "map")
    move(page, "view", "arrows")
    assert pixels(page, "map") != chart
    page.execute_script("document.getElementById('explorer-another').click();")
    assert says(page, "seed-is") == "1"
    assert pixels(page, "deformed") != first


def test_the_explorer_says_the_range_and_folds(page: Any) -> None:
    move(page, "cutoff", 3)
    low = MaxEntropyEnsemble(32, 3, 1.0).temperature_range[0]
    for temperature, words, folds in ((low / 2, "below", False), (low * 1.1, "inside", False), (0.1, "above", True)):
        move(page, "temperature", round(np.log10(temperature), 2))
        assert words in says(page, "range")
        assert ("does not fold" not in says(page, "fold")) == folds
        shown = MaxEntropyEnsemble(32, 3, 10 ** round(np.log10(temperature), 2)).paper_displacement
        assert float(says(page, "temperature-is").split("δ = ")[1].split()[0]) == pytest.approx(shown, rel=6e-3)
    move(page, "cutoff", 20)
    move(page, "image", 1)  # 20 pixels: c is above 2 n / pi
    assert "no T is in the range" in says(page, "range")
