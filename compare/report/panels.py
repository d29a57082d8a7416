"""What the figures show, without drawing it: the points, intervals, lines and axes of each panel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compare.curves.averages import average_over_seeds
from compare.curves.series import series
from compare.fits.power_law import PowerLawFit
from compare.report.styles import Style, series_styles
from theory.common.table import validate_table

__all__ = ["Curve", "Line", "Panel", "diffeo_panel", "error_panel", "log_ticks", "stability_panel"]

Numbers = tuple[float, ...]
ERROR_LAW = "CIFAR10 law of arXiv 2105.02468: 0.2 sqrt(R_f)"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one series, averaged over seeds: x and y with their intervals (NaN: none), n seeds, and P."""

    label: str
    style: Style
    x: Numbers
    x_low: Numbers
    x_high: Numbers
    y: Numbers
    y_low: Numbers
    y_high: Numbers
    n: tuple[int, ...]
    train_size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line on log axes. `label` is that of its series for a fit, else its own."""

    label: str
    x: Numbers
    y: Numbers
    style: Style | None = None  # None: a law from elsewhere, which gets a legend entry of its own


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure: curves and lines on two log axes; `notes` say what is left out and what lines mean."""

    name: str
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    def limits(self, axis: str) -> tuple[float, float]:
        """Ends of axis ``x`` or ``y``: all points, and their intervals up to a factor 3 beyond the points."""
        values, bars = [], []
        for curve in self.curves:
            values += list(getattr(curve, axis))
            bars += [*getattr(curve, f"{axis}_low"), *getattr(curve, f"{axis}_high")]
        if not values:
            return 0.1, 10.0
        low, high = min(values), max(values)
        bars = [bar for bar in bars if low / 3 <= bar <= high * 3]
        low, high = min([low, *bars]), max([high, *bars])
        room = max((high / low) ** 0.05, 1.05)
        return low / room, high * room


def stability_panel(table: pd.DataFrame, fits: Iterable[PowerLawFit] = ()) -> Panel:
    """R_f against P for every series, each with its fit, if it has one, as a line."""
    parts, styles = _parts(table)
    curves, notes = _curves(parts, styles, "train_size", "relative_stability")
    lines = []
    for fit in fits:
        if fit.label in styles:
            ends = np.array(fit.x_range)
            lines.append(Line(fit.label, fit.x_range, tuple(fit.predict(ends).tolist()), styles[fit.label]))
    if lines:
        notes = (*notes, "Broken lines are power laws fitted to the points.")
    return Panel(
        name="stability-against-train-size",
        title="Relative stability against training-set size",
        x_label="training-set size P",
        y_label="relative stability R_f",
        curves=curves,
        lines=tuple(lines),
        notes=notes,
    )


def error_panel(table: pd.DataFrame) -> Panel:
    """Test error against R_f, with the law eps_t = 0.2 sqrt(R_f) of arXiv 2105.02468 (CIFAR10, 1 pixel)."""
    parts, styles = _parts(table)
    curves, notes = _curves(parts, styles, "relative_stability", "test_error")
    panel = Panel(
        name="error-against-stability",
        title="Test error against relative stability",
        x_label="relative stability R_f",
        y_label="test error eps_t",
        curves=curves,
        lines=(),
        notes=notes,
    )
    if not curves:
        return panel
    ends = panel.limits("x")
    law = Line(ERROR_LAW, ends, tuple(0.2 * math.sqrt(end) for end in ends))
    return Panel(panel.name, panel.title, panel.x_label, panel.y_label, curves, (law,), notes)


def diffeo_panel(table: pd.DataFrame) -> Panel:
    """Test error against D_f, of the rows that have D_f. On images the two hardly correlate."""
    parts, styles = _parts(table)
    curves, notes = _curves(parts, styles, "diffeo_stability", "test_error")
    return Panel(
        name="error-against-diffeo-stability",
        title="Test error against diffeo stability",
        x_label="diffeo stability D_f",
        y_label="test error eps_t",
        curves=curves,
        lines=(),
        notes=notes,
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers in [low, high] for a logarithmic axis, as far as round ones allow."""
    decades = math.log10(high / low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), np.arange(1, 10, 0.5).tolist()):
        ticks = [float(f"{m * 10.0**e:.3g}") for e in range(first, last + 1) for m in mantissas]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            break
    step = max(1, math.ceil(decades / 8)) if len(ticks) > 10 else 1
    return ticks[::step]


def _parts(table: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], dict[str, Style]]:
    parts = series(validate_table(table))
    return parts, series_styles(parts)


def _curves(
    parts: dict[str, pd.DataFrame], styles: dict[str, Style], x: str, y: str
) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """A curve for each series that has positive values of both, and notes on what log axes cannot show."""
    curves, lost = [], 0
    for label, rows in parts.items():
        averages = average_over_seeds(rows)
        there = averages[averages[x].notna() & averages[y].notna()]
        shown = there[(there[x] > 0) & (there[y] > 0)]
        lost += len(there) - len(shown)
        if shown.empty:
            continue
        nothing = pd.Series(np.nan, index=shown.index)
        columns: dict[str, Numbers] = {
            f"{axis}{end}": tuple(shown.get(f"{name}{end}", nothing).astype(float).tolist())
            for axis, name in (("x", x), ("y", y))
            for end in ("", "_low", "_high")
        }
        curves.append(
            Curve(
                label=label,
                style=styles[label],
                n=tuple(int(n) for n in shown[f"{y}_n"]),
                train_size=tuple(int(size) for size in shown["train_size"]),
                **columns,
            )
        )
    notes = () if not lost else (f"{lost} points at 0 cannot stand on logarithmic axes and are left out.",)
    return tuple(curves), notes
