"""Figures that look alike on all machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["default_settings"]


@contextmanager
def default_settings() -> Iterator[None]:
    """Matplotlib's own settings inside, whatever a matplotlibrc or a style says; also as a decorator.

    A figure takes them both as it is made and as it is written: with text.usetex it would need LaTeX.
    """
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        yield
