"""New axes, and laws that are drawn with the points that they were fitted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DrawnLaw", "new_axes"]


def new_axes() -> Axes:
    """Axes on a figure of their own, without pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()


class DrawnLaw(ABC):
    """A law that was fitted to `points` over `x_range`."""

    __slots__ = ()
    points: tuple[tuple[float, float], ...]
    x_range: tuple[float, float]

    @abstractmethod
    def predict(self, x: float | np.ndarray) -> np.ndarray:
        """The law at x.

        Parameters
        ----------
        x : positive, of any shape
        """

    @abstractmethod
    def _axis_words(self) -> tuple[str, str]:
        """What stands at the two axes."""

    def _title(self) -> str:
        return ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points and the law on log axes.

        Parameters
        ----------
        ax : where to draw; on a new figure if None
        """
        ax = new_axes() if ax is None else ax
        x_words, y_words = self._axis_words()
        ax.set(xscale="log", yscale="log", xlabel=x_words, ylabel=y_words)
        if self.points:
            ax.plot(*np.transpose(self.points), "o", color="#0072B2", alpha=0.7)
        line = np.geomspace(*self.x_range, 100)
        ax.plot(line, self.predict(line), "--", color="#D55E00")
        ax.set_title(self._title().replace("$", r"\$"), fontsize="medium", wrap=True)
        return ax
