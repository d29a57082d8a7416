"""Kernels that numba compiles when they are first called: to import them loads no compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

__all__ = ["compiled"]

_once = threading.Lock()


class _Kernel:
    """A function until it is first called; then numba's takes its place in its module, for itself and for others."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, options
        self.__doc__ = function.__doc__

    @cached_property
    def by_numba(self) -> Callable[..., Any]:
        """What numba makes of it: without the interpreter's lock, and kept on disk where that can be."""
        import numba

        try:
            return numba.njit(nogil=True, cache=True, **self._options)(self._function)
        except RuntimeError:  # no folder to write to, in a read-only installation and home: compiled in each process
            return numba.njit(nogil=True, **self._options)(self._function)

    def __call__(self, *arguments: Any) -> Any:
        # numba reads the kernels that this one calls off the module, so all of a module are turned at once.
        names = self._function.__globals__
        with _once:
            for name, value in list(names.items()):
                if isinstance(value, _Kernel):
                    names[name] = value.by_numba
        return self.by_numba(*arguments)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`numba.njit` with these options, on first call."""
    return lambda function: _Kernel(function, options)
