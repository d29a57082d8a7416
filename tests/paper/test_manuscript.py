"""The manuscript is built from the committed tables, whole, in time, and states no result of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: What a computed number looks like: two decimals or more.
RESULT = re.compile(r"\d+\.\d{2,}")
FEWEST_PAGES, MOST_PAGES, SECONDS = 6, 9, 120


@pytest.fixture(scope="module")
def built(paper: Path) -> tuple[Path, float]:
    """The PDF, and how long it took, without a data folder."""
    environment = {name: value for name, value in os.environ.items() if name != "RELSTAB_DATA"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "paper.scripts.build_manuscript"],
        cwd=paper.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return paper.parent / "build" / "relstab.pdf", time.monotonic() - began


@pytest.fixture(scope="module")
def numbers(built: tuple[Path, float]) -> dict[str, str]:
    return json.loads((built[0].parent / "paper" / "numbers.json").read_text(encoding="utf-8"))


def stated(text: str, numbers: dict[str, str]) -> set[str]:
    """Computed numbers that stand in the text as digits."""
    found = {number for value in numbers.values() for number in RESULT.findall(value)}
    return found & set(RESULT.findall(text))


@pytest.mark.slow
def test_it_is_whole_and_in_time(built: tuple[Path, float], paper: Path) -> None:
    import typst

    path, seconds = built
    assert seconds < SECONDS
    assert path.read_bytes().startswith(b"%PDF")
    pages = typst.compile(str(paper / "text" / "manuscript.typ"), root=str(paper.parent), format="png", ppi=20)
    assert FEWEST_PAGES <= len(pages) <= MOST_PAGES


@pytest.mark.slow
def test_every_number_that_the_text_asks_for_is_computed(numbers: dict[str, str], paper: Path) -> None:
    from paper.scripts import build_manuscript

    asked = build_manuscript.asked(build_manuscript.NUMBER, build_manuscript.sources())
    assert len(asked) > 50
    assert set(asked) <= set(numbers)


@pytest.mark.slow
def test_no_result_stands_in_the_text(numbers: dict[str, str], paper: Path) -> None:
    from paper.scripts import build_manuscript

    text = "\n".join(file.read_text(encoding="utf-8") for file in build_manuscript.sources())
    assert stated(text, numbers) == set()
    # Control: a result that somebody typed is found.
    ratio = numbers["theory.q=0.3.ratio"]
    assert stated(f"the flow is {ratio} times the prediction", numbers)


@pytest.mark.slow
def test_every_figure_of_the_text_is_drawn_and_none_for_nothing(built: tuple[Path, float], paper: Path) -> None:
    from paper.figures import all_figures
    from paper.scripts import build_manuscript

    shown = build_manuscript.asked(build_manuscript.FIGURE, build_manuscript.sources())
    assert set(shown) == set(all_figures.FIGURES)
    for name in shown:
        assert (built[0].parent / "paper" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_every_section_is_included_and_every_label_met(paper: Path) -> None:
    sections = {path.name for path in (paper / "text" / "sections").glob("*.typ")}
    main = (paper / "text" / "manuscript.typ").read_text(encoding="utf-8")
    assert set(re.findall(r'include "sections/([^"]+)"', main)) == sections
    text = "\n".join((paper / "text" / "sections" / name).read_text(encoding="utf-8") for name in sorted(sections))
    works = set(re.findall(r"^@\w+\{(\w+),", (paper / "text" / "references.bib").read_text(encoding="utf-8"), re.M))
    used = set(re.findall(r"@([a-z][\w-]*)", text))
    assert works <= used  # no work is listed that the text does not cite
    for figure in re.findall(r"<((?:fig|tab)-[\w-]+)>", text):
        assert figure in used
