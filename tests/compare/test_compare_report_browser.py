"""The report in a real browser: Chromium, headless, driven by selenium. Skipped where there is none."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compare import write_report
from compare.samples import SampleImage, drawn_pattern
from theory.diffeo import MaxEntropyEnsemble
from theory.maxent import check_sampler
from theory.table import curve_table, read_table

pytest.importorskip("selenium", reason="selenium is not installed: no browser can be driven")

CHARTS = "document.querySelectorAll('.plotly-graph-div')"
EACH = f"return Array.from({CHARTS}).map("


def _program(*names: str) -> str:
    """The path of the first of these programs that is here; skips if none is."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"no browser test: {' or '.join(names)} is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium", "chromium-browser", "google-chrome")
    driver = _program("chromedriver")
    quiet = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    # No name is resolved: what would be fetched fails, and its attempt is logged.
    for argument in [*quiet, "--no-first-run", "--window-size=1280,900", "--host-resolver-rules=MAP * ~NOTFOUND"]:
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's sandbox refuses root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    found.set_script_timeout(30)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(7)
    return curve_table(
        {
            **dict(zip(("source", "task", "architecture", "stage"), key, strict=True)),
            "train_size": size,
            "seed": seed,
            "relative_stability": 20 / size * np.exp(0.1 * random.normal()),
            "diffeo_stability": 0.05 * np.exp(0.1 * random.normal()),
            "test_error": 3 * size**-0.5,
        }
        for key in (
            ("theory", "stripe-d30", "one-hidden-h1000", "q=0.3"),
            ("theory", "stripe-d30", "one-hidden-h1000", "q=0.1"),
            ("stripe-net", "stripe-d30", "one-hidden-h1000", "q=0.3"),
            ("image-net", "digits, \"8 x 8\" & 'more'", "lenet", "trained"),
            ("image-net", "digits, \"8 x 8\" & 'more'", "lenet", "initial"),
        )
        for seed in range(3)
        for size in (64, 256, 1024, 4096)
    )


@pytest.fixture(scope="module")
def report(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    coloured = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    samples = [drawn_pattern(32), SampleImage("noise", coloured)]
    return write_report(table, tmp_path_factory.mktemp("page") / "report.html", samples=samples, command="a # command")


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    """The browser, freshly on the report, on a wide light screen; every figure is drawn."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    _prefer(browser, "light")
    _open(browser, report)
    _drawn(browser)
    return browser


@pytest.fixture
def functions(browser: Any, report: Path) -> Any:
    """The browser on the report as the test before left it: for what does not look at the page."""
    if browser.current_url != report.as_uri():
        _open(browser, report)
    return browser


def _open(browser: Any, path: Path) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what earlier pages left
    browser.get(path.as_uri())


def _prefer(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _drawn(browser: Any) -> None:
    """Wait until what was asked of the figures is done."""
    browser.execute_async_script("var done = arguments[0]; window.relstabRedraw().then(function () { done(); });")


def _console(browser: Any) -> list[str]:
    """Errors and warnings of the page's console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def _fetched(browser: Any) -> list[str]:
    """Addresses asked for that are no file, and not part of the page itself."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    found = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert found, "the log of the network holds nothing, not even the page"
    return [address for address in found if not address.startswith(("file:", "data:", "blob:", "about:"))]


def _set(browser: Any, name: str, value: float | str) -> None:
    """Move one of the explorer's controls, as a reader's hand does."""
    browser.execute_script(
        "var e = document.getElementById('explorer-' + arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        str(value),
    )


def _pixels(browser: Any, name: str) -> str:
    return browser.execute_script("return document.getElementById('explorer-' + arguments[0]).toDataURL();", name)


def _says(browser: Any, name: str) -> str:
    return browser.execute_script("return document.getElementById('explorer-' + arguments[0]).textContent;", name)


def _array(browser: Any, code: str, *arguments: Any) -> np.ndarray:
    """The numbers of a Float64Array that the code returns."""
    text = browser.execute_script(
        f"var bytes = new Uint8Array((function () {{ {code} }}).apply(null, arguments).buffer), text = '';"
        "for (var k = 0; k < bytes.length; k += 8192)"
        "  text += String.fromCharCode.apply(null, bytes.subarray(k, k + 8192));"
        "return btoa(text);",
        *arguments,
    )
    return np.frombuffer(base64.b64decode(text), dtype="<f8")


def test_no_error_and_nothing_is_fetched(page: Any, report: Path) -> None:
    assert len(page.execute_script(f"{EACH}function (gd) {{ return gd.id; }})")) == 4
    assert _console(page) == []
    assert _fetched(page) == []
    assert report.stat().st_size < 8e6
    page.execute_script("new Image().src = 'https://example.org/pixel.png';")
    deadline, said = time.monotonic() + 5, ""
    while not said and time.monotonic() < deadline:
        said = " ".join(_console(page))
    assert "Content Security Policy" in said  # refused by the page's own policy


def test_the_checks_see_an_error_and_a_request(browser: Any, tmp_path: Path) -> None:
    """Negative control of the test above: a page that complains, and one that asks for an image."""
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><title>bad</title><script>console.error('no good')</script>")
    _open(browser, bad)
    assert "no good" in " ".join(_console(browser))
    bad.write_text("<!DOCTYPE html><title>bad</title><img src='https://example.org/pixel.png'>")
    _open(browser, bad)
    assert _fetched(browser) == ["https://example.org/pixel.png"]


def test_the_generator_is_uniform_and_normal(functions: Any) -> None:
    """Kolmogorov-Smirnov, moments and neighbours' correlation on 100 000 numbers, each at a false-alarm rate of 1e-3.

    Fixed seeds: the test passes always or never. Its twin feeds the normal test uniform numbers of variance 1.
    """
    count = 100_000
    uniform = _array(functions, "return relstabExplorer.uniforms(5, arguments[0]);", count)
    normal = _array(functions, "return relstabExplorer.normals(6, arguments[0]);", count)

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
    again = _array(functions, "return relstabExplorer.normals(6, 1000);")
    assert np.array_equal(again, normal[:1000])
    other = _array(functions, "return relstabExplorer.normals(7, 1000);")
    assert abs(np.corrcoef(again, other)[0, 1]) < 3.3 / np.sqrt(1000)


def test_the_fields_are_of_maximum_entropy(functions: Any) -> None:
    """The page's sampler, a seed a field, held to the same statistics as the others (family-wise level 0.01)."""
    drawn = iter(range(0, 1_000_000, 5000))

    def sampler(draw: str) -> Any:
        def sample(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> np.ndarray:
            n = ensemble.size
            fields = _array(
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
            _array(functions, "return relstabExplorer.coefficients(arguments[0], 11)[1];", c).reshape(c, c)
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
    from empirical.diffeo import deform, displacement_fields, folded

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
            moved = _array(functions, f"{code} return moved[{k}];", *given).reshape(size, size)
            assert np.abs(moved - displacement_fields(scaled, size)[0, k].numpy()).max() < 1e-9
        code += "return relstabExplorer.deform(Float64Array.from(arguments[5]), arguments[3], arguments[6], moved);"
        ours = _array(functions, code, *given, image.ravel().tolist(), channels).reshape(size, size, channels)
        theirs = deform(torch.from_numpy(image.transpose(2, 0, 1)[None].copy()), scaled)[0].numpy().transpose(1, 2, 0)
        assert np.abs(ours - theirs).max() < 1e-9
        swapped = _array(functions, code, given[1], given[0], *given[2:], image.ravel().tolist(), channels)
        assert np.abs(swapped - theirs.ravel()).max() > 1e-2  # components confused: told apart
        code = f"{pair} return relstabExplorer.determinant(pair, arguments[2], arguments[3], arguments[4]);"
        determinant = _array(functions, code, *given)
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
    first = _pixels(page, "deformed")
    clean = _pixels(page, "clean")
    assert first != clean
    for name, value in (("temperature", -2.5), ("cutoff", 6), ("seed", 17), ("image", 1)):
        before = page.execute_script("return document.getElementById('explorer-' + arguments[0]).value;", name)
        _set(page, name, value)
        assert _pixels(page, "deformed") != first, name
        assert (_pixels(page, "clean") != clean) == (name == "image")
        _set(page, name, before)
        assert _pixels(page, "deformed") == first, name
    chart = _pixels(page, "map")
    _set(page, "view", "arrows")
    assert _pixels(page, "map") != chart
    page.execute_script("document.getElementById('explorer-another').click();")
    assert _says(page, "seed-is") == "1"
    assert _pixels(page, "deformed") != first


def test_the_explorer_says_the_range_and_folds(page: Any) -> None:
    _set(page, "cutoff", 3)
    low = MaxEntropyEnsemble(32, 3, 1.0).temperature_range[0]
    for temperature, words, folds in ((low / 2, "below", False), (low * 1.1, "inside", False), (0.1, "above", True)):
        _set(page, "temperature", round(np.log10(temperature), 2))
        assert words in _says(page, "range")
        assert ("does not fold" not in _says(page, "fold")) == folds
        shown = MaxEntropyEnsemble(32, 3, 10 ** round(np.log10(temperature), 2)).paper_displacement
        assert float(_says(page, "temperature-is").split("δ = ")[1].split()[0]) == pytest.approx(shown, rel=6e-3)
    _set(page, "cutoff", 20)
    _set(page, "image", 1)  # 20 pixels: c is above 2 n / pi
    assert "no T is in the range" in _says(page, "range")


def _visible(browser: Any) -> dict[str, set[str]]:
    """Names of the series seen in each figure, from the marks in the picture's legend."""
    return {
        name: set(labels)
        for name, labels in browser.execute_script(
            f"{EACH}function (gd) {{ return [gd.id, Array.from(gd.querySelectorAll('.legendtext'))"
            ".map(function (t) { return t.textContent; })]; })"
        )
    }


def test_a_tick_hides_and_shows_series_in_all_figures(page: Any) -> None:
    def click(facet: str, value: str) -> None:
        page.execute_script(
            "document.querySelectorAll('#toggles input').forEach(function (box) {"
            "if (box.dataset.facet === arguments[0][0] && box.value === arguments[0][1]) box.click(); }.bind(null));"
            .replace("arguments[0][0]", json.dumps(facet))
            .replace("arguments[0][1]", json.dumps(value))
        )
        _drawn(page)

    def seen(word: str) -> list[bool]:
        return [any(word in label for label in labels) for labels in _visible(page).values()]

    before = _visible(page)
    marks = "return document.querySelectorAll('.scatterlayer .trace').length;"
    count = page.execute_script(marks)
    assert seen("image-net") == seen("stripe-net") == [True] * 4
    click("source", "image-net")
    assert seen("image-net") == [False] * 4
    assert seen("stripe-net") == seen("theory") == [True] * 4
    # Two series in three figures, one of them in the collapse and, in the first figure, the fit of each.
    assert page.execute_script(marks) == count - 3 * 2 - 1 - 2
    click("source", "image-net")
    assert _visible(page) == before
    assert page.execute_script(marks) == count
    click("task", "digits, \"8 x 8\" & 'more'")
    assert seen("image-net") == [False] * 4
    click("stage", "q=0.3")
    assert seen("stripe-net") == [False] * 4
    assert seen("q=0.1") == [True, False, True, True]  # the collapse has only the theory's curve that is used
    page.execute_script("document.querySelectorAll('#toggles [data-tick=all]').forEach(function (b) { b.click(); });")
    _drawn(page)
    assert seen("stripe-net") == [True] * 4


def test_axes_switch_to_linear_and_back(page: Any) -> None:
    state = f"{EACH}function (gd) {{ return ['xaxis', 'yaxis'].map(function (a) {{ var x = gd._fullLayout[a];"
    state += "return [x.type, x.range[0], x.range[1]]; }); })"
    before = page.execute_script(state)
    assert all(axis[0] == "log" for figure in before for axis in figure)
    page.execute_script("document.getElementById('log-y').click();")
    _drawn(page)
    for (x, y), (x_before, y_before) in zip(page.execute_script(state), before, strict=True):
        assert x == x_before
        assert y == ["linear", 0, pytest.approx(10 ** y_before[2])]
    page.execute_script("document.getElementById('log-x').click();")
    _drawn(page)
    assert {axis[0] for figure in page.execute_script(state) for axis in figure} == {"linear"}
    # A fitted law is a curve on linear axes: it must not be drawn as the chord between its ends.
    bent = page.execute_script(
        "return document.getElementById('stability-against-train-size').data.filter(function (t) {"
        "return t.mode === 'lines'; }).map(function (t) {"
        "return [t.x[30], t.y[30], t.x[0], t.y[0], t.x[59], t.y[59]]; })"
    )
    for x, y, x0, y0, x1, y1 in bent:
        assert np.log(y / y0) / np.log(x / x0) == pytest.approx(np.log(y1 / y0) / np.log(x1 / x0))
    page.execute_script("document.getElementById('log-x').click(); document.getElementById('log-y').click();")
    _drawn(page)
    assert page.execute_script(state) == before
    assert _console(page) == []


def test_hovering_tells_of_a_point(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    mark = page.find_elements(By.CSS_SELECTOR, "#stability-against-train-size .trace .points path")[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'});", mark)
    ActionChains(page).move_to_element(mark).perform()
    deadline = time.monotonic() + 5
    words = ""
    while "P = " not in words and time.monotonic() < deadline:
        words = page.execute_script("return document.querySelector('.hoverlayer').textContent;")
    assert "P = 64, n = 3" in words


def _size(browser: Any, width: int, mobile: bool) -> None:
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_a_phone_need_not_scroll_sideways(page: Any, report: Path) -> None:
    _size(page, 390, mobile=True)
    _open(page, report)
    _drawn(page)
    width = "return Math.max(document.documentElement.scrollWidth, window.innerWidth);"
    assert page.execute_script(width) == 390
    overlap = page.execute_script(
        f"{EACH}function (gd) {{ return gd.getBoundingClientRect().bottom -"
        "gd.querySelector('.legend').getBoundingClientRect().bottom; })"
    )
    assert min(overlap) >= 0  # no legend runs into what follows
    page.execute_script("var d = document.createElement('div'); d.style.width = '500px'; d.textContent = 'wide';"
                        "document.querySelector('main').appendChild(d);")  # fmt: skip
    assert page.execute_script(width) > 390  # negative control


def test_dark_and_light(page: Any) -> None:
    def brightness() -> tuple[float, float]:
        """Of the page and of a figure's letters, 0 to 255."""
        found = page.execute_script(
            "return [getComputedStyle(document.body).backgroundColor,"
            "getComputedStyle(document.querySelector('.xtick text')).fill];"
        )
        channels = [[int(c) for c in text.split("(")[1].strip(")").split(",")[:3]] for text in found]
        return float(np.mean(channels[0])), float(np.mean(channels[1]))

    ground, letters = brightness()
    assert ground > 230
    assert letters < 90
    _prefer(page, "dark")
    _drawn(page)
    ground, letters = brightness()
    assert ground < 40
    assert letters > 180
    choose = "var e = document.getElementById('theme'); e.value = arguments[0]; e.dispatchEvent(new Event('change'));"
    page.execute_script(choose, "light")
    _drawn(page)
    assert brightness()[0] > 230
    page.execute_script(choose, "dark")
    _prefer(page, "light")
    _drawn(page)
    assert brightness()[0] < 40
    assert _console(page) == []


def test_it_prints(page: Any) -> None:
    _prefer(page, "dark")
    _drawn(page)
    width = f"{EACH}function (gd) {{ return gd._fullLayout.width; }})"
    before = page.execute_script(width)
    page.execute_script(
        "window.addEventListener('beforeprint', function () { window.seen = Array.from("
        f"{CHARTS}).map(function (gd) {{ return [gd._fullLayout.width, gd._fullLayout.font.color]; }}); }});"
    )
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF-")
    assert len(printed) > 30_000
    assert page.execute_script("return window.seen;") == [[670, "#30363d"]] * 4  # dark on white, as wide as the paper
    _drawn(page)
    assert page.execute_script(width) == before


def test_the_downloaded_table_is_the_table(page: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    for name in ("curves.csv", "fits.csv"):
        page.execute_script("document.querySelector('a[download=\"' + arguments[0] + '\"]').click();", name)
        deadline = time.monotonic() + 10
        while not (tmp_path / name).is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
    pd.testing.assert_frame_equal(read_table(tmp_path / "curves.csv"), table, check_exact=True)
    fits = pd.read_csv(tmp_path / "fits.csv")
    assert list(fits["exponent"]) == pytest.approx([-1] * len(fits), abs=0.2)
    assert len(fits) == 4
    assert _fetched(page) == []
