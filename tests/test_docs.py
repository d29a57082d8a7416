"""The site's pages: each is reached from the front page, and every tutorial shows a figure and a number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


def test_every_page_is_in_the_contents() -> None:
    listed = set(re.findall(r"^[\w/]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert pages - {"index"} == listed & pages
    assert len(pages) > 15


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
