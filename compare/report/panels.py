"""What the figures show, without drawing it: the points, intervals, lines and axes of each panel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from compare.contrasts.scales import Scales
from compare.curves.averages import average_over_seeds
from compare.curves.series import Curves, OfSeries, SeriesKey
from compare.fits.power_law import PowerLawFit
from compare.report.styles import Style, series_styles

__all__ = ["Curve", "Line", "Panel", "collapse_panel", "diffeo_panel", "error_panel", "log_ticks", "stability_panel"]

Numbers = tuple[float, ...]
ERROR_LAW = "CIFAR10 law of arXiv 2105.02468: 0.2 sqrt(R_f)"


@dataclass(frozen=True, slots=True)
class Curve(OfSeries):
    """Points of one series, averaged over seeds: x and y with their intervals (NaN: none), n seeds, and P."""

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
    """A straight line on log axes: a fit in the style of its series, or a law from elsewhere with its own label."""

    label: str
    x: Numbers
    y: Numbers
    style: Style | None = None
    key: SeriesKey | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure: curves and lines on two log axes; `notes` say what is left out and what lines mean."""

    name: str
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def laws(self) -> list[Line]:
        """The lines that have a legend entry of their own."""
        return [line for line in self.lines if line.style is None]

    @property
    def labels(self) -> list[str]:
        """What the legend says: curves, then laws."""
        return [curve.label for curve in self.curves] + [line.label for line in self.laws]

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


def stability_panel(table: pd.DataFrame | Curves, fits: Iterable[PowerLawFit] = ()) -> Panel:
    """R_f against P for every series, each with its fit, if it has one, as a line."""
    curves, notes = _curves(Curves.of(table), "train_size", "relative_stability")
    styles = {curve.key: curve.style for curve in curves}
    lines = tuple(
        Line(fit.label, fit.x_range, tuple(fit.predict(np.array(fit.x_range)).tolist()), styles[fit.key], fit.key)
        for fit in fits
        if fit.key in styles
    )
    if lines:
        notes = (*notes, "Broken lines are power laws fitted to the points.")
    title, axis = "Relative stability against training-set size", "relative stability R_f"
    return Panel("stability-against-train-size", title, "training-set size P", axis, curves, lines, notes)


def error_panel(table: pd.DataFrame | Curves) -> Panel:
    """Test error against R_f, with the law eps_t = 0.2 sqrt(R_f) of arXiv 2105.02468 (CIFAR10, 1 pixel)."""
    curves, notes = _curves(Curves.of(table), "relative_stability", "test_error")
    title = "Test error against relative stability"
    panel = Panel("error-against-stability", title, "relative stability R_f", "test error eps_t", curves, (), notes)
    ends = panel.limits("x")
    law = Line(ERROR_LAW, ends, tuple(0.2 * math.sqrt(end) for end in ends))
    return replace(panel, lines=(law,)) if curves else panel


def diffeo_panel(table: pd.DataFrame | Curves) -> Panel:
    """Test error against D_f, of the rows that have D_f. On images the two hardly correlate."""
    curves, notes = _curves(Curves.of(table), "diffeo_stability", "test_error")
    title = "Test error against diffeo stability"
    return Panel("error-against-diffeo-stability", title, "diffeo stability D_f", "test error eps_t", curves, (), notes)


def collapse_panel(table: pd.DataFrame | Curves, scales: Scales) -> Panel:
    r"""Every series of a table that has a scale, moved onto the theory by its a and s, and the theory's curves.

    .. math:: \frac{R_f(P)}{a} \text{ against } \frac{P}{s}

    A series is moved by both a and s where the data fix both, else by s alone. Series without a scale are not shown,
    and those whose curve determines none are named in the notes.

    Parameters
    ----------
    table : the curve table that the other figures are drawn from, so that styles agree
    scales : of `effective_scales`

    Raises
    ------
    InputError
        If `table` is no valid curve table.

    Example
    -------
    >>> from compare import collapse_panel, effective_scales
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> panel = collapse_panel(measured, effective_scales(theory, measured))
    >>> panel.x_label, panel.labels
    ('scaled training-set size P / s', ['images digits mlp trained', 'theory stripe-d30 q=0.3'])
    """
    drawn = {curve.key: curve for curve in _curves(Curves.of(table), "train_size", "relative_stability")[0]}
    placed = [scale for scale in scales if scale.key in drawn]
    curves, notes = [], []
    for scale in placed:
        a, s = scale.placed
        curve = drawn[scale.key]
        y, low, high = (tuple(np.divide(ends, a).tolist()) for ends in (curve.y, curve.y_low, curve.y_high))
        curves.append(replace(curve, x=tuple(np.divide(curve.x, s).tolist()), y=y, y_low=low, y_high=high))
        notes.append(f"{scale.label}: s = {s:.3g}, a = {a:.3g}.")
    lines = []
    for label in dict.fromkeys(scale.theory for scale in placed):
        theory = next(scale.curve for scale in placed if scale.theory == label)
        xs = [x for curve, scale in zip(curves, placed, strict=True) if scale.theory == label for x in curve.x]
        xs += [math.exp(theory.log_sizes[0]), math.exp(theory.log_sizes[-1])]
        grid = np.geomspace(min(xs), max(xs), 120)
        lines.append(Line(label, tuple(grid.tolist()), tuple(np.exp(theory.log_at(np.log(grid))).tolist())))
    if lines:
        notes.append(
            "Beyond the theory's last point, its line goes on along the slope of its last pair of points; before its "
            "first, along that of its first pair, up to the model's saturation."
        )
    notes += [f"{key}: {why}." for key, why in scales.skipped if key in drawn and key in scales.without()]
    return Panel(
        name="collapse-on-theory",
        title="Measured curves on the theory's",
        x_label="scaled training-set size P / s",
        y_label="scaled relative stability R_f / a",
        curves=tuple(curves),
        lines=tuple(lines),
        notes=tuple(notes),
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


def bar_lengths(value: Sequence[float], low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """Lengths of error bars below and above (2 x points), 0 where there is no interval."""
    centre = np.array(value)
    return np.nan_to_num(np.clip([centre - np.array(low), np.array(high) - centre], 0, None), posinf=0)


def _curves(table: Curves, x: str, y: str) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """A curve for each series that has positive values of both, and notes on what log axes cannot show."""
    styles = series_styles(table.parts)
    curves, lost = [], 0
    for key, rows in table.parts.items():
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
        n = tuple(int(n) for n in shown[f"{y}_n"])
        curves.append(Curve(key, styles[key], n=n, train_size=tuple(int(p) for p in shown["train_size"]), **columns))
    notes = () if not lost else (f"{lost} points at 0 cannot stand on logarithmic axes and are left out.",)
    return tuple(curves), notes
