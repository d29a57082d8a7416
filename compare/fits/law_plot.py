"""A law and the points that it was fitted to, on log axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_law"]


def plot_law(
    ax: Axes | None,
    points: Sequence[tuple[float, float]],
    predict: Callable[[np.ndarray], np.ndarray],
    x_range: tuple[float, float],
    symbols: tuple[str, str],
    title: str = "",
) -> Axes:
    """The points and the law over `x_range`, on a new figure if `ax` is None; returns the axes."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()
    ax.set(xscale="log", yscale="log", xlabel=symbols[0], ylabel=symbols[1])
    if points:
        ax.plot(*np.transpose(points), "o", color="#0072B2", alpha=0.7)
    line = np.geomspace(*x_range, 100)
    ax.plot(line, predict(line), "--", color="#D55E00")
    ax.set_title(title.replace("$", r"\$"), fontsize="medium", wrap=True)
    return ax
