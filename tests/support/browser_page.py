"""The report in a browser as its tests drive it: opened, asked what is on it, its controls moved as a hand does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

CHARTS = "document.querySelectorAll('.plotly-graph-div')"
EACH = f"return Array.from({CHARTS}).map("


def open_page(browser: Any, path: Path) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what earlier pages left
    browser.get(path.as_uri())


def show(browser: Any, scheme: str, media: str = "") -> None:
    """The colours that the reader's system asks for, light or dark; `media` "print" shows the page as on paper."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def drawn(browser: Any) -> None:
    """Wait until what was asked of the figures is done."""
    browser.execute_async_script("var done = arguments[0]; window.relstabRedraw().then(function () { done(); });")


def unfold(browser: Any) -> None:
    """Open everything that the page folds away."""
    browser.execute_script("document.querySelectorAll('details').forEach(function (part) { part.open = true; });")


def console(browser: Any) -> list[str]:
    """Errors and warnings of the page's console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def fetched(browser: Any) -> list[str]:
    """Addresses asked for that are no file, and not part of the page itself."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    found = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert found, "the log of the network holds nothing, not even the page"
    return [address for address in found if not address.startswith(("file:", "data:", "blob:", "about:"))]


def move(browser: Any, name: str, value: float | str) -> None:
    """Move one of the explorer's controls, as a reader's hand does."""
    browser.execute_script(
        "var e = document.getElementById('explorer-' + arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        str(value),
    )


def choose_theme(browser: Any, theme: str) -> None:
    """Choose the page's own colours: "light", "dark", or "" for those of the system."""
    code = "var e = document.getElementById('theme'); e.value = arguments[0]; e.dispatchEvent(new Event('change'));"
    browser.execute_script(code, theme)


def pixels(browser: Any, name: str) -> str:
    """What one of the explorer's pictures shows, as a data address."""
    return browser.execute_script("return document.getElementById('explorer-' + arguments[0]).toDataURL();", name)


def says(browser: Any, name: str) -> str:
    """The words in one of the explorer's parts."""
    return browser.execute_script("return document.getElementById('explorer-' + arguments[0]).textContent;", name)


def array(browser: Any, code: str, *arguments: Any) -> np.ndarray:
    """The numbers of a Float64Array that the code returns."""
    text = browser.execute_script(
        f"var bytes = new Uint8Array((function () {{ {code} }}).apply(null, arguments).buffer), text = '';"
        "for (var k = 0; k < bytes.length; k += 8192)"
        "  text += String.fromCharCode.apply(null, bytes.subarray(k, k + 8192));"
        "return btoa(text);",
        *arguments,
    )
    return np.frombuffer(base64.b64decode(text), dtype="<f8")
