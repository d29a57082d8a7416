"""A real browser for the report's tests: Chromium, headless, driven by selenium. They skip where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser_page import drawn, open_page, show, unfold

from compare import write_report
from empirical.diffeo.explorer_images import SampleImage, drawn_pattern
from theory.common.table import curve_table


def _program(*names: str) -> str:
    """The path of the first of these programs that is here; skips if none is."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"no browser test: {' or '.join(names)} is not installed")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One for all files of tests: its start takes seconds."""
    pytest.importorskip("selenium", reason="selenium is not installed: no browser can be driven")
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


@pytest.fixture(scope="session")
def page_table() -> pd.DataFrame:
    """The rows that the page below is about."""
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
            ("images", "digits, \"8 x 8\" & 'more'", "lenet", "trained"),
            ("images", "digits, \"8 x 8\" & 'more'", "lenet", "initial"),
        )
        for seed in range(3)
        for size in (64, 256, 1024, 4096)
    )


@pytest.fixture(scope="session")
def page_file(page_table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    coloured = np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    samples = [drawn_pattern(32), SampleImage("noise", coloured)]
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(page_table, path, samples=samples, command="a # command")


@pytest.fixture
def page(browser: Any, page_file: Path) -> Any:
    """The browser, freshly on the report, on a wide light screen, nothing folded away; every figure is drawn."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    show(browser, "light")
    open_page(browser, page_file)
    unfold(browser)
    drawn(browser)
    return browser


@pytest.fixture
def functions(browser: Any, page_file: Path) -> Any:
    """The browser on the report as the test before left it: for what does not look at the page."""
    if browser.current_url != page_file.as_uri():
        open_page(browser, page_file)
    return browser
