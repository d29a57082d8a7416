"""The colours of the report in a browser on a light and a dark screen and on paper, and what stands on paper."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest
from browser_page import CHARTS, EACH, choose_theme, console, drawn, move, pixels, says, show

#: Of each element seen that has words of its own: the words, their colour, the grounds behind it from the nearest
#: outwards, and the opacities of all it stands in.
WORDS = """return Array.from(document.body.querySelectorAll('*')).filter(function (e) {
  return !e.closest('script, noscript, style') && e.getClientRects().length && Array.from(e.childNodes).some(
    function (node) { return node.nodeType === 3 && node.textContent.trim(); });
}).map(function (e) {
  var grounds = [], opacity = 1;
  for (var up = e; up; up = up.parentElement) {
    grounds.push(getComputedStyle(up).backgroundColor);
    opacity *= getComputedStyle(up).opacity;
  }
  var style = getComputedStyle(e);
  return [e.textContent.trim().slice(0, 40), e.ownerSVGElement ? style.fill : style.color, grounds, opacity];
});"""


def colour(words: str) -> tuple[np.ndarray, float]:
    """Red, green and blue in [0, 1] and the opacity of "rgb(1, 2, 3)" or "rgba(1, 2, 3, 0.5)"."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", words)]
    assert words.startswith("rgb"), words
    return np.array(numbers[:3]) / 255, numbers[3] if len(numbers) > 3 else 1.0


def luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """(L1 + 0.05) / (L2 + 0.05), L the relative luminance, L1 the larger (WCAG 2.2); 4.5 is asked of text."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def grounds(browser: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By the words, the colour of each text on the page as it is seen, and the ground that it stands on."""
    found = {}
    for words, text, behind, opacity in browser.execute_script(WORDS):
        ground = np.ones(3)
        for rgb, alpha in map(colour, reversed(behind)):
            ground = alpha * rgb + (1 - alpha) * ground
        rgb, alpha = colour(text)
        found[words] = (alpha * opacity * rgb + (1 - alpha * opacity) * ground, ground)
    return found


def faint(browser: Any) -> dict[str, float]:
    """The texts whose contrast is too low, and their contrast."""
    ratios = {words: contrast(*pair) for words, pair in grounds(browser).items()}
    return {words: round(ratio, 2) for words, ratio in ratios.items() if ratio < 4.5}


def test_the_measure_of_contrast() -> None:
    black, white, orange = (colour(f"rgb({c})")[0] for c in ("0, 0, 0", "255, 255, 255", "213, 94, 0"))
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(white, white) == 1
    assert contrast(orange, white) == pytest.approx(3.87, abs=0.005)


def test_dark_and_light(page: Any) -> None:
    def brightness() -> tuple[float, float]:
        """Of the page and of a figure's letters, 0 to 255."""
        found = page.execute_script(
            "return [getComputedStyle(document.body).backgroundColor,"
            "getComputedStyle(document.querySelector('.xtick text')).fill];"
        )
        return tuple(255 * float(np.mean(colour(words)[0])) for words in found)

    ground, letters = brightness()
    assert ground > 230
    assert letters < 90
    show(page, "dark")
    drawn(page)
    ground, letters = brightness()
    assert ground < 40
    assert letters > 180
    choose_theme(page, "light")
    drawn(page)
    assert brightness()[0] > 230
    choose_theme(page, "dark")
    show(page, "light")
    drawn(page)
    assert brightness()[0] < 40
    assert console(page) == []


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
def test_all_text_stands_out_from_its_ground(page: Any, scheme: str, media: str) -> None:
    """Contrast at least 4.5, the warning of a fold, links and the letters of the figures included."""
    show(page, scheme, media)
    drawn(page)
    move(page, "temperature", -1)
    assert says(page, "fold").startswith("This field folds")
    assert faint(page) == {}
    seen = " ".join(grounds(page))
    assert all(words in seen for words in ("This field folds", "curves.csv", "How to read", "stripe-net", "64"))
    assert ("logarithmic" in seen) == (media == "screen")
    page.execute_script(
        "var p = document.createElement('p'); p.textContent = 'faint'; p.style.color = arguments[0];"
        "document.querySelector('main').appendChild(p);",
        "#d55e00" if media == "print" or scheme == "light" else "#57606a",
    )
    assert list(faint(page)) == ["faint"]  # negative control


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["", "dark"])
def test_a_dark_page_is_black_on_white_on_paper(page: Any, theme: str) -> None:
    """Text, figures and the explorer's map are those of the light page, and dark again afterwards."""
    light = pixels(page, "map")
    show(page, "dark")
    choose_theme(page, theme)
    drawn(page)
    dark = pixels(page, "map")
    assert dark != light
    show(page, "dark", "print")
    drawn(page)
    for words, (text, ground) in grounds(page).items():
        assert np.array_equal(ground, [1, 1, 1]) or luminance(ground) > 0.9, words
        assert luminance(text) < 0.18, words  # contrast above 4.5 on white
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert pixels(page, "map") == light
    show(page, "dark", "screen")
    drawn(page)
    assert pixels(page, "map") == dark
    assert page.execute_script("return document.documentElement.dataset.theme || '';") == theme


@pytest.mark.slow
def test_it_prints(page: Any) -> None:
    """As wide as the paper, dark on white, nothing folded away; on the screen it is then as it was."""
    show(page, "dark")
    drawn(page)
    width = f"{EACH}function (gd) {{ return gd._fullLayout.width; }})"
    unfolded = "Array.from(document.querySelectorAll('details')).map(function (d) { return d.open; })"
    before, count = page.execute_script(width), len(page.execute_script(f"return {unfolded};"))
    page.execute_script(
        "window.addEventListener('beforeprint', function () { window.seen = Array.from("
        f"{CHARTS}).map(function (gd) {{ return [gd._fullLayout.width, gd._fullLayout.font.color]; }});"
        f"window.unfolded = {unfolded}; }});"
    )
    figures = page.execute_script(
        "return Array.from(document.querySelectorAll('details')).findIndex(function (d) {"
        "return d.querySelector('.plotly-graph-div'); });"
    )
    # The other figures on the page stand in one part: open, then folded away.
    for opened in (figures, figures + 1):
        folds = [k == opened for k in range(count)]
        page.execute_script(
            "document.querySelectorAll('details').forEach(function (d, k) { d.open = k === arguments[0]; }.bind(null));"
            .replace("arguments[0]", str(opened))
        )
        printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
        assert printed.startswith(b"%PDF-")
        assert len(printed) > 30_000
        assert page.execute_script("return window.seen;") == [[670, "#30363d"]] * 4
        assert page.execute_script("return window.unfolded;") == [True] * count
        drawn(page)
        if opened == figures:
            assert page.execute_script(width) == before
        assert page.execute_script(f"return {unfolded};") == folds
