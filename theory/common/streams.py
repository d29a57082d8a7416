"""Output where it cannot be written as it is: terminals without our signs, and readers that stop early."""

from __future__ import annotations

import codecs
import os
import select
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["is_closed", "plain_signs", "silence"]

_PLAIN = {
    "±": "+-", "–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"',
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∝": "~", "→": "->", "∞": "inf", "√": "sqrt ", "α": "alpha",
    "β": "beta", "δ": "delta", "ε": "eps", "Λ": "Lambda", "λ": "lambda", "μ": "mu", "σ": "sigma", "τ": "tau",
    "━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|", "•": "*",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What cannot be encoded, in ASCII: our signs by their words, accents left out, the rest as question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = ""
    for sign in error.object[error.start : error.end]:
        bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
        text += _PLAIN.get(sign) or bare or "?"
    return text, error.end


@contextmanager
def plain_signs() -> Iterator[None]:
    """Standard output and error, inside, replace the signs that their encoding has not: an ASCII terminal shows +-."""
    codecs.register_error("relstab.plain", _plain)
    changed: list[tuple[Any, str]] = []
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors is not None:
            changed.append((stream, stream.errors))
            stream.reconfigure(errors="relstab.plain")
    try:
        yield
    finally:
        for stream, errors in changed:
            if not stream.closed:
                stream.reconfigure(errors=errors)


def is_closed(stream: Any) -> bool:
    """Whether its reader has gone; what was written is flushed."""
    if stream is None:  # there was none from the start
        return False
    try:
        stream.flush()
        number = stream.fileno()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):  # a full disk, no file at all: other errors, told elsewhere
        return False
    if not hasattr(select, "poll"):  # Windows
        return False
    # What a failed write has thrown away is not flushed again, so that the pipe itself is asked.
    asked = select.poll()
    asked.register(number, 0)
    return any(event & select.POLLERR for _, event in asked.poll(0))


def silence(stream: Any) -> None:
    """What is written from now on goes nowhere, so that the interpreter's last flush fails no more."""
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
