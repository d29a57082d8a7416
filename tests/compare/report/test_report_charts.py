"""The report in a browser: it loads without an error or a request, its figures do as asked, it fits on a phone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser_page import CHARTS, EACH, console, drawn, fetched, open_page, unfold

from theory.common.table import read_table


def test_no_error_and_nothing_is_fetched(page: Any, page_file: Path) -> None:
    assert len(page.execute_script(f"{EACH}function (gd) {{ return gd.id; }})")) == 4
    assert console(page) == []
    assert fetched(page) == []
    assert page_file.stat().st_size < 8e6
    page.execute_script("new Image().src = 'https://example.org/pixel.png';")
    deadline, said = time.monotonic() + 5, ""
    while not said and time.monotonic() < deadline:
        said = " ".join(console(page))
    assert "Content Security Policy" in said  # refused by the page's own policy


def test_the_checks_see_an_error_and_a_request(browser: Any, tmp_path: Path) -> None:
    """Negative control of the test above: a page that complains, and one that asks for an image."""
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><title>bad</title><script>console.error('no good')</script>")
    open_page(browser, bad)
    assert "no good" in " ".join(console(browser))
    bad.write_text("<!DOCTYPE html><title>bad</title><img src='https://example.org/pixel.png'>")
    open_page(browser, bad)
    assert fetched(browser) == ["https://example.org/pixel.png"]


def _visible(browser: Any) -> dict[str, set[str]]:
    """Names of the series seen in each figure, from the marks in the picture's legend."""
    return {
        name: set(labels)
        for name, labels in browser.execute_script(
            f"{EACH}function (gd) {{ return [gd.id, Array.from(gd.querySelectorAll('.legendtext'))"
            ".map(function (t) { return t.textContent; })]; })"
        )
    }


@pytest.mark.slow
def test_a_tick_hides_and_shows_series_in_all_figures(page: Any) -> None:
    def click(facet: str, value: str) -> None:
        page.execute_script(
            "document.querySelectorAll('#toggles input').forEach(function (box) {"
            "if (box.dataset.facet === arguments[0][0] && box.value === arguments[0][1]) box.click(); }.bind(null));"
            .replace("arguments[0][0]", json.dumps(facet))
            .replace("arguments[0][1]", json.dumps(value))
        )
        drawn(page)

    def seen(word: str) -> list[bool]:
        return [any(word in label for label in labels) for labels in _visible(page).values()]

    before = _visible(page)
    marks = "return document.querySelectorAll('.scatterlayer .trace').length;"
    count = page.execute_script(marks)
    assert seen("images") == seen("stripe-net") == [True] * 4
    click("source", "images")
    assert seen("images") == [False] * 4
    assert seen("stripe-net") == seen("theory") == [True] * 4
    # Two series in three figures, one of them in the collapse and, in the first figure, the fit of each.
    assert page.execute_script(marks) == count - 3 * 2 - 1 - 2
    click("source", "images")
    assert _visible(page) == before
    assert page.execute_script(marks) == count
    click("task", "digits, \"8 x 8\" & 'more'")
    assert seen("images") == [False] * 4
    click("stage", "q=0.3")
    assert seen("stripe-net") == [False] * 4
    assert seen("q=0.1") == [True, False, True, True]  # the collapse has only the theory's curve that is used
    page.execute_script("document.querySelectorAll('#toggles [data-tick=all]').forEach(function (b) { b.click(); });")
    drawn(page)
    assert seen("stripe-net") == [True] * 4


def test_axes_switch_to_linear_and_back(page: Any) -> None:
    state = f"{EACH}function (gd) {{ return ['xaxis', 'yaxis'].map(function (a) {{ var x = gd._fullLayout[a];"
    state += "return [x.type, x.range[0], x.range[1]]; }); })"
    before = page.execute_script(state)
    assert all(axis[0] == "log" for figure in before for axis in figure)
    page.execute_script("document.getElementById('log-y').click();")
    drawn(page)
    for (x, y), (x_before, y_before) in zip(page.execute_script(state), before, strict=True):
        assert x == x_before
        assert y == ["linear", 0, pytest.approx(10 ** y_before[2])]
    page.execute_script("document.getElementById('log-x').click();")
    drawn(page)
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
    drawn(page)
    assert page.execute_script(state) == before
    assert console(page) == []


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


@pytest.mark.slow
def test_a_phone_need_not_scroll_sideways(page: Any, page_file: Path) -> None:
    _size(page, 390, mobile=True)
    open_page(page, page_file)
    unfold(page)
    drawn(page)
    width = "return Math.max(document.documentElement.scrollWidth, window.innerWidth);"
    assert page.execute_script(width) == 390
    left = (
        f"{EACH}function (gd) {{ return gd.getBoundingClientRect().bottom -"
        "gd.querySelector('.legend').getBoundingClientRect().bottom; })"
    )
    assert min(page.execute_script(left)) >= 0  # no legend runs into what follows
    page.execute_script(f"{CHARTS}[0].style.height = '100px';")
    assert min(page.execute_script(left)) < 0  # negative control
    page.execute_script("var d = document.createElement('div'); d.style.width = '500px'; d.textContent = 'wide';"
                        "document.querySelector('main').appendChild(d);")  # fmt: skip
    assert page.execute_script(width) > 390  # negative control


def test_the_downloaded_table_is_the_table(page: Any, page_table: pd.DataFrame, tmp_path: Path) -> None:
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    for name in ("curves.csv", "fits.csv"):
        page.execute_script("document.querySelector('a[download=\"' + arguments[0] + '\"]').click();", name)
        deadline = time.monotonic() + 10
        while not (tmp_path / name).is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
    pd.testing.assert_frame_equal(read_table(tmp_path / "curves.csv"), page_table, check_exact=True)
    fits = pd.read_csv(tmp_path / "fits.csv")
    assert list(fits["exponent"]) == pytest.approx([-1] * len(fits), abs=0.2)
    assert len(fits) == 4
    assert fetched(page) == []


@pytest.mark.slow
def test_the_answer_stands_alone_and_figures_unfold_at_full_width(browser: Any, page_file: Path) -> None:
    """At first one sentence, one table and one figure; a folded figure has the width of the page once it is shown."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    open_page(browser, page_file)
    drawn(browser)
    seen = "return Array.from(document.querySelectorAll(arguments[0]))"
    seen += ".filter(function (e) { return e.checkVisibility(); })"
    assert [browser.execute_script(f"{seen}.length;", what) for what in ("table", ".plotly-graph-div")] == [1, 1]
    words = browser.execute_script("return document.querySelector('main').innerText;")
    assert words.index("The simple model") < words.index("theory ~ P^") < words.index("training-set size P")
    assert "eps_t" not in words
    widths = f"{EACH}function (gd) {{ return gd.checkVisibility() ? gd._fullLayout.width : 0; }})"
    first, *folded = browser.execute_script(widths)
    assert first > 600
    assert folded == [0, 0, 0]
    unfold(browser)
    drawn(browser)
    assert browser.execute_script(widths) == [first] * 4
