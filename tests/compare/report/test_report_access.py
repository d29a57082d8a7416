"""The report for readers who do not see it, by the browser's accessibility tree, or who run no scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser_page import drawn, move, open_page, says, unfold

CONTROLS = {"slider", "checkbox", "combobox", "button", "link"}


def told(browser: Any) -> list[tuple[str, str]]:
    """Role and name of everything that a screen reader is told of."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")]


def named(browser: Any, role: str) -> list[str]:
    return [name for found, name in told(browser) if found == role]


def test_controls_and_figures_have_names(page: Any) -> None:
    assert named(page, "slider") == ["temperature T", "cutoff c", "seed"]
    assert sorted(named(page, "combobox")) == ["colours", "image", "map"]
    figures = page.execute_script(
        "return Array.from(document.querySelectorAll('.plotly-graph-div')).map(function (gd) {"
        "return gd.closest('section').querySelector('h2').textContent; });"
    )
    assert len(set(figures)) == 4
    assert sorted(name for name in named(page, "figure") if name in figures) == sorted(figures)
    assert [pair for pair in told(page) if pair[0] in CONTROLS and not pair[1]] == []
    page.execute_script("document.querySelector('label[for=explorer-seed]').remove();")
    assert named(page, "slider") == ["temperature T", "cutoff c", ""]  # negative control


def test_pictures_say_what_they_show(page: Any) -> None:
    """T, c, the seed and whether the field folds, after each move of a control."""

    def pictures() -> list[str]:
        found = [name for name in named(page, "image") if name]  # the signs on the figures' buttons have none
        assert len(found) == 3
        return found

    move(page, "temperature", -4)
    clean, deformed, chart = pictures()
    assert clean == "test pattern, 32 × 32, clean"
    assert deformed == (
        "test pattern, 32 × 32, deformed by the field of T = 1.0e−4, c = 3, seed 0, which does not fold"
    )
    assert chart == "Grid of the field of T = 1.0e−4, c = 3, seed 0, which does not fold"
    for control, value in (("temperature", -1), ("cutoff", 5), ("seed", 17), ("image", 1)):
        move(page, control, value)
    move(page, "view", "arrows")
    clean, deformed, chart = pictures()
    assert clean == "noise, 20 × 20, clean"
    folds = says(page, "fold").split(" at ")[1]
    field = f"field of T = 0.100, c = 5, seed 17, which folds at {folds.split(' (')[0]}"
    assert deformed == f"noise, 20 × 20, deformed by the {field}"
    assert chart == f"Arrows of the {field}"
    page.execute_script("document.getElementById('explorer-another').click();")
    assert all("seed 18," in words for words in pictures()[1:])
    assert says(page, "caption") == "deformed, T = 0.100, c = 5, seed 18"
    # The slider itself holds log10 T.
    said = page.execute_script("return document.getElementById('explorer-temperature').ariaValueText;")
    assert said.startswith("T = 0.100, δ = ")


@pytest.mark.slow
def test_without_scripts_the_page_says_what_is_missing(page: Any, page_file: Path) -> None:
    with_scripts = page.execute_script("return document.querySelector('.verdict').innerText;")
    assert "need scripts" not in page.execute_script("return document.body.innerText;")
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page(page, page_file)
        unfold(page)
        words = page.execute_script("return document.body.innerText;")
        drawings = page.execute_script("return document.querySelectorAll('.main-svg').length;")
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert drawings == 0
    assert "need scripts, which are off in this browser" in words
    assert with_scripts in words
    assert all(part in words for part in ("Power laws", "The points", "R_f", "Downloads"))
    assert not any(part in words for part in ("Explore the diffeomorphisms", "horizontal logarithmic"))
    open_page(page, page_file)
    drawn(page)
