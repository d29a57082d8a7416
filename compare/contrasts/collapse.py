"""The collapse: R_f / a against P / s of all measured series, on the curve of the theory."""

from __future__ import annotations

import numpy as np
import pandas as pd

from compare.contrasts.scales import Scales
from compare.curves.averages import average_over_seeds
from compare.curves.series import series
from compare.report.panels import Curve, Line, Panel
from compare.report.styles import series_styles
from theory.common.table import validate_table

__all__ = ["collapse_panel"]


def collapse_panel(table: pd.DataFrame, scales: Scales) -> Panel:
    """Every series of `table` that has a scale, moved onto the theory by its a and s, and the theory's curves.

    A series is moved by both a and s where the data fix both, else by s alone. `table` is the one that the other
    figures are drawn from, so that styles agree; series without a scale are not shown, and those whose curve
    determines none are named in the notes.
    """
    parts = series(validate_table(table))
    styles = series_styles(parts)
    curves: list[Curve] = []
    notes: list[str] = []
    reach: dict[str, list[float]] = {}
    for scale in scales:
        if scale.label not in parts:
            continue
        a, s = scale.placed
        averages = average_over_seeds(parts[scale.label])
        shown = averages[averages["relative_stability"] > 0]
        x = (shown["train_size"].to_numpy(dtype=float) / s).tolist()
        y, low, high = (
            tuple((shown[f"relative_stability{end}"].to_numpy(dtype=float) / a).tolist())
            for end in ("", "_low", "_high")
        )
        nothing = (np.nan,) * len(x)
        curves.append(
            Curve(
                label=scale.label,
                style=styles[scale.label],
                x=tuple(x),
                x_low=nothing,
                x_high=nothing,
                y=y,
                y_low=low,
                y_high=high,
                n=tuple(int(n) for n in shown["relative_stability_n"]),
                train_size=tuple(int(size) for size in shown["train_size"]),
            )
        )
        reach.setdefault(scale.theory, []).extend(x)
        notes.append(f"{scale.label}: s = {s:.3g}" + (f", a = {a:.3g}." if a != 1 else ", a = 1."))
    lines = []
    for label, xs in reach.items():
        curve = next(scale.curve for scale in scales if scale.theory == label)
        ends = np.exp([curve.log_sizes[0], curve.log_sizes[-1]])
        grid = np.geomspace(min(*xs, ends[0]), max(*xs, ends[1]), 120)
        lines.append(Line(label, tuple(grid.tolist()), tuple(np.exp(curve.log_at(np.log(grid))).tolist())))
    if lines:
        notes.append(
            "Beyond the theory's last point, its line goes on along the slope of its last pair of points; before its "
            "first, along that of its first pair, up to the model's saturation."
        )
    notes += [f"{label}: {why}." for label, why in scales.skipped if label in parts and label in scales.without()]
    return Panel(
        name="collapse-on-theory",
        title="Measured curves on the theory's",
        x_label="scaled training-set size P / s",
        y_label="scaled relative stability R_f / a",
        curves=tuple(curves),
        lines=tuple(lines),
        notes=tuple(notes),
    )
