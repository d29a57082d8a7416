"""The site's pages: each is reached from the front page, and every tutorial shows a figure and a number."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted(set((DOCS / "tutorials").glob("*.md")) - {DOCS / "tutorials" / "index.md"})


def test_every_page_is_in_the_contents() -> None:
    listed = set(re.findall(r"^[\w/]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert pages - {"index"} == listed & pages
    assert len(pages) > 15


def test_the_tests_that_a_page_names_are_there() -> None:
    named = re.findall(r"`(\w+)` \|$", (DOCS / "pipelines.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = Path(__file__).parent.rglob("test_*.py")
    there = [name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))]
    assert len(named) > 25
    assert [one for one in named if not any(one in name for name in there)] == []


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_something_and_draws_it(path: Path) -> None:
    cells = re.findall(r"```\{code-cell\} python3\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert len(cells) >= 2
    assert any("plot" in cell or "imshow" in cell for cell in cells)
    last_lines = [cell.strip().splitlines()[-1] for cell in cells]
    assert any("print(" in cell for cell in cells) or any(re.fullmatch(r"[\w.\[\]-]+", line) for line in last_lines)


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_between_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("R_f falls as P^-1 at P*.", [r"R_{f}", "P^{-1}", "P^*"]),
        ("eps_t ~ 0.2 sqrt(R_f), w_perp^2", [r"\epsilon_{t}", r"\sqrt{R_{f}}", r"w_{\perp}^{2}"]),
        ("alpha and tau_k of `x`", [r"\alpha", r"\tau_{k}"]),
        # Names of code, and words, are none.
        ("train_size, n_points, x_range, alphabet, sqrt(2), deltas, a.x_1, 2 * 3", []),
    ],
)
def test_symbols_of_the_reference_are_set_as_mathematics(
    text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sphinx", reason="sphinx is not installed")
    from docutils import nodes

    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    symbols = import_module("symbols")
    parts = symbols.set_symbols(text)
    assert [part.astext() for part in parts if isinstance(part, nodes.math)] == expected
    kept = "".join(part.rawsource if isinstance(part, nodes.math) else part.astext() for part in parts)
    assert kept == (text if expected else "")


@pytest.mark.slow
@pytest.mark.parametrize("divisor", [1, 0], ids=["a cell that runs", "a cell that fails"])
def test_a_failing_cell_fails_the_build(tmp_path: Path, divisor: int) -> None:
    pages, site = tmp_path / "pages", tmp_path / "site"
    pages.mkdir()
    head = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n# A page\n"
    cell = f"```{{code-cell}} python3\nprint(f'seven is {{7 / {divisor}}}')\n```\n"
    (pages / "index.md").write_text(head + cell)
    options = ["-W", "-q", "-T", "-c", str(DOCS), "-D", f"nb_execution_cache_path={tmp_path / 'cache'}"]
    command = [sys.executable, "-m", "sphinx", *options, str(pages), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if divisor:
        assert done.returncode == 0, done.stderr
        assert "seven is 7.0" in (site / "index.html").read_text(encoding="utf-8")
    else:
        assert done.returncode != 0
        assert "ZeroDivisionError" in done.stderr
