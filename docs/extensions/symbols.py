"""Symbols in the reference are set as mathematics: R_f, eps_t, w_perp^2, P*, T_min and Greek letters.

Docstrings write them as a terminal shows them best; names of code, which stand in backticks, stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_GREEK = "alpha|beta|delta|epsilon|eps|eta|lambda|Lambda|rho|sigma|tau|theta|xi"
_SUBSCRIPT = "par|perp|min|max|inf|left|right|th|start|modes|ij|[A-Za-z0-9]"
_POWER = r"-?\d+|[A-Za-z]\w?|\([^()\s]+\)"
#: A letter with a subscript or a power or both, P*, or a Greek letter.
_SYMBOL = re.compile(
    rf"(?<![\w\\./*^-])(?:"
    rf"(?:{_GREEK}|[A-Za-z])_(?:{_SUBSCRIPT})(?:\^(?:{_POWER}))?(?![\w=])"
    rf"|(?:{_GREEK}|[A-Za-z0-9])\^(?:{_POWER})(?![\w(])"
    rf"|P\*(?:_[A-Z])?(?!\w)"
    rf"|(?:{_GREEK})(?![\w(=_^-])"
    rf")"
)
_ROOT = re.compile(r"sqrt\(([^()]*)\)")
_WORDS = {
    "par": r"\parallel", "perp": r"\perp", "min": r"\min", "max": r"\max", "inf": r"\infty", "th": r"\text{th}",
    "left": r"\text{left}", "right": r"\text{right}", "start": r"\text{start}", "modes": r"\text{modes}",
}  # fmt: skip
#: Where text is code, or mathematics already.
_AS_IT_IS = (
    nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block, nodes.strong,
    nodes.reference, nodes.title, addnodes.desc_signature, addnodes.literal_strong, addnodes.literal_emphasis,
    addnodes.pending_xref,
)  # fmt: skip


def as_latex(symbol: str) -> str:
    r"""A symbol as LaTeX: ``eps_t`` is ``\epsilon_{t}``."""
    base, _, power = symbol.partition("^")
    letter, _, subscript = base.replace("P*", "P^*").partition("_")
    greek = re.fullmatch(_GREEK, letter)
    found = f"\\{'epsilon' if letter == 'eps' else letter}" if greek else letter
    found += f"_{{{_WORDS.get(subscript, subscript)}}}" if subscript else ""
    return found + (f"^{{{power.strip('()')}}}" if power else "")


def _found(text: str) -> list[tuple[int, int, str]]:
    """Where symbols, and roots that hold one, begin and end, and their LaTeX."""
    roots = []
    for root in _ROOT.finditer(text):
        inside = _SYMBOL.sub(lambda found: as_latex(found[0]), root[1])
        if inside != root[1]:
            roots.append((root.start(), root.end(), rf"\sqrt{{{inside}}}"))
    alone = [(found.start(), found.end(), as_latex(found[0])) for found in _SYMBOL.finditer(text)]
    return sorted(roots + [one for one in alone if not any(start <= one[0] < end for start, end, _ in roots)])


def set_symbols(text: str) -> list[nodes.Node]:
    """The text's parts, symbols among them as mathematics; nothing if it has none."""
    parts: list[nodes.Node] = []
    at = 0
    for start, end, latex in _found(text):
        parts += [nodes.Text(text[at:start]), nodes.math(text[start:end], latex)]
        at = end
    return [*parts, nodes.Text(text[at:])] if parts else []


def _in_the_reference(app: Sphinx, doctree: nodes.document) -> None:
    for content in list(doctree.findall(addnodes.desc_content)):
        for text in list(content.findall(nodes.Text)):
            above = text.parent
            while above is not None and above is not content and not isinstance(above, _AS_IT_IS):
                above = above.parent
            if above is content and (parts := set_symbols(text.astext())):
                text.parent.replace(text, parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", _in_the_reference)
    return {"parallel_read_safe": True}
