"""The description for a package index, which README.md is but for its addresses; all else is in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def described(text: str, source: str | None) -> str:
    """README.md with addresses that hold outside the repository, at `source`; without one, with words for pictures.

    A package index shows no file of the repository: a relative address would be a broken picture or a dead link.
    """

    def outside(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        if path.startswith(("https://", "#")):
            return found.group()
        if source is None:
            return f"*Figure: {words}.*" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}]({source}/{kind}/HEAD/{path})"

    return _LINK.sub(outside, text)


if __name__ == "__main__":
    from setuptools import setup

    here = Path(__file__).parent
    project = tomllib.loads((here / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (here / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=described(readme, project["urls"].get("Source")),
        long_description_content_type="text/markdown",
    )
