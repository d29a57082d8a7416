"""Build the manuscript, `build/relstab.pdf`, from the committed tables alone; `make paper` runs it.

It computes all numbers and draws all figures that the text asks for, and compiles the text. When one is missing it
writes no PDF and ends with exit status 1 and one line that names it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typst

from paper.figures import all_figures
from paper.numbers import all_numbers
from theory import InputError
from theory.common.files import write_whole

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
TARGET = ROOT / "build" / "relstab.pdf"
NUMBER, FIGURE = re.compile(r'(?:num|say)\("([^"]+)"\)'), re.compile(r'plot\(\s*"([^"]+)"')


class Missing(RuntimeError):
    """The text asks for a number or figure that is not there."""


def sources(folder: Path = HERE / "text") -> list[Path]:
    """The text's files."""
    return [folder / "manuscript.typ", *sorted((folder / "sections").glob("*.typ"))]


def asked(pattern: re.Pattern[str], files: list[Path]) -> dict[str, Path]:
    """What the text asks for by name, and the first file that does."""
    found: dict[str, Path] = {}
    for file in files:
        for key in pattern.findall(file.read_text(encoding="utf-8")):
            found.setdefault(key, file)
    return found


def require(files: list[Path], numbers: dict[str, str]) -> None:
    """`Missing` if the text asks for a number or figure that is not made, or a number is not finite."""
    for kind, pattern, known in (("number", NUMBER, numbers), ("figure", FIGURE, all_figures.FIGURES)):
        for key, file in asked(pattern, files).items():
            if key not in known:
                raise Missing(f"{kind} {key}: {file.name} asks for it, and it is not computed")
    for key, text in numbers.items():
        if re.search(r"\b(nan|inf)\b", text):
            raise Missing(f"number {key}: it comes out as {text}")


def build(target: Path = TARGET) -> Path:
    """Numbers, figures, PDF.

    Raises
    ------
    Missing, InputError, FileNotFoundError
        If a number, a figure or a table is missing.
    """
    files = sources()
    numbers = all_numbers.all_numbers()
    require(files, numbers)
    all_numbers.write_numbers(numbers)
    for name in asked(FIGURE, files):
        all_figures.draw(name)
    return write_whole(target, lambda aside: aside.write_bytes(compiled(files[0])))


def compiled(file: Path) -> bytes:
    """The PDF of the text; `Missing` with the compiler's first line where it stops, as it does at a missing number."""
    try:
        return typst.compile(str(file), root=str(ROOT))
    except typst.TypstError as error:
        raise Missing(str(error).strip().splitlines()[0]) from error


def main() -> int:
    try:
        path = build()
    except (Missing, InputError, FileNotFoundError, KeyError) as error:
        print(f"paper: {error}", file=sys.stderr)
        return 1
    print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
