"""`.. public-names:: PACKAGE`: the reference of every name in a package's `__all__`, from its docstring."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def described(package: str, name: str) -> list[str]:
    """The directive for one name: a class with what it has, a function, or a value."""
    value = getattr(import_module(package), name)
    if inspect.isclass(value):
        ours = all(base.__module__.split(".")[0] == package for base in value.__mro__ if base not in (Generic, object))
        return [f".. autoclass:: {package}.{name}", "   :members:", *["   :inherited-members:"] * ours, ""]
    if callable(value):
        return [f".. autofunction:: {package}.{name}", ""]
    kind = type(value).__name__
    return [f".. py:data:: {package}.{name}", f"   :type: {kind}", "", f"   {', '.join(map(str, value))}.", ""]


class PublicNames(SphinxDirective):
    """All of them, by the alphabet."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        package = self.arguments[0]
        lines = [line for name in import_module(package).__all__ for line in described(package, name)]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, f"{package}.__all__"), self.content_offset, container)
        return container.children


def _bars_as_they_are(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """|x| in a docstring is a modulus, and no substitution."""
    for number, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[number] = "``".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", _bars_as_they_are)
    return {"parallel_read_safe": True}
