"""Interactive figures: panels drawn by plotly as parts of a page that holds plotly.js itself."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from compare.curves.numbers import SYMBOLS, format_number
from compare.curves.series import SeriesKey
from compare.report.panels import Curve, Line, Panel, log_ticks

__all__ = ["panel_html", "plotly_script"]

# Pixels: height without the legend, margins above and below the plotting area.
_HEIGHT, _ABOVE, _BELOW = 430, 36, 58
_LINE_POINTS = 60  # a power law is straight on two logarithmic axes, and bent on linear ones
_LEGEND_WIDTH = 43  # characters of a label that a phone shows in one line
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_GREY = "#808080"  # seen on white and on black; the page's script refines it to the reader's scheme


def plotly_script() -> str:
    """The text of plotly.js, about 5 MB, to stand once in a page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def panel_html(panel: Panel, numbers: Mapping[SeriesKey, int] | None = None) -> str:
    """One panel as an HTML fragment: a div and the script that draws it, the same bytes each time.

    `numbers` gives series by key the number under which the page's script shows and hides them (the trace's
    ``meta``); others are always seen. The script also gives the legend the height that it takes.
    Labels are escaped here, since plotly reads tags such as ``<b>`` and ``<a>`` in them.
    """
    import plotly.graph_objects as go
    from plotly.io import to_html

    known = numbers or {}
    traces: list[Any] = []
    for curve in panel.curves:
        meta = {"meta": known[curve.key]} if curve.key in known else {}
        fitted = [line for line in panel.lines if line.key == curve.key]
        traces.append(go.Scatter(**_points(curve, panel), **meta))
        traces += [go.Scatter(**_line(line, curve.label), **meta) for line in fitted]
    traces += [go.Scatter(**_line(line, None)) for line in panel.laws]
    longest = max((len(part) for name in panel.labels for part in _parts(name)), default=0)
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        autosize=True,
        showlegend=True,
        height=_HEIGHT,
        meta={"below": _BELOW},
        margin={"l": 62, "r": 14, "t": _ABOVE, "b": _BELOW, "autoexpand": False},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 12, "color": _GREY},
        hoverlabel={"align": "left"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": _GREY, "activecolor": _GREY},
        # Measured in the plotting area: a legend placed in the container would shift the axis titles.
        legend={
            **{"x": -0.08, "xanchor": "left", "y": -_BELOW / (_HEIGHT - _ABOVE - _BELOW), "yanchor": "top"},
            **{"orientation": "h", "entrywidth": round(6.1 * longest), "entrywidthmode": "pixels"},
            **{"tracegroupgap": 0, "font": {"size": 11}},
        },
        xaxis=_axis(panel.x_label, panel.limits("x")),
        yaxis=_axis(panel.y_label, panel.limits("y")),
    )
    return str(
        to_html(
            figure,
            include_plotlyjs=False,
            full_html=False,
            div_id=panel.name,
            default_width="100%",
            default_height=f"{_HEIGHT}px",
            config={
                "responsive": True,
                "displaylogo": False,
                # The page's script resets the axes, whose scale it may have changed.
                "doubleClick": False,
                # Named one by one: plotly offers a button that sends the data to a server, too.
                "modeBarButtons": [["toImage", "zoom2d", "pan2d"]],
            },
        )
    )


def _points(curve: Curve, panel: Panel) -> dict[str, Any]:
    """A trace of markers with error bars."""
    style = curve.style
    return {
        "x": list(curve.x),
        "y": list(curve.y),
        "error_x": _bars(curve.x, curve.x_low, curve.x_high),
        "error_y": _bars(curve.y, curve.y_low, curve.y_high),
        "mode": "markers",
        "marker": {"symbol": style.plotly_marker, "color": style.colour, "size": 8},
        "name": _broken(curve.label),
        "legendgroup": html.escape(curve.label, quote=False),
        "text": [_hover(curve, i, panel) for i in range(len(curve.x))],
        # Through `text`, so that a label cannot be read as a template.
        "hovertemplate": "%{text}<extra></extra>",
    }


def _line(line: Line, group: str | None) -> dict[str, Any]:
    """A fitted law, hidden and shown with its series, or a law with a legend entry of its own."""
    own = line.style is None
    look = {"color": _GREY, "width": 1.5} if line.style is None else {"color": line.style.colour, "width": 1.3}
    if line.style is not None:
        look["dash"] = line.style.plotly_dash
    x, y = _bent(line)
    return {
        "x": x,
        "y": y,
        "mode": "lines",
        "line": look,
        "name": _broken(line.label),
        "legendgroup": None if group is None else html.escape(group, quote=False),
        "showlegend": own,
        "hoverinfo": "skip",
    }


def _bent(line: Line) -> tuple[list[float], list[float]]:
    """The points of a line; between the two ends of a power law there are more."""
    if len(line.x) != 2:
        return list(line.x), list(line.y)
    steps = np.linspace(0, 1, _LINE_POINTS)
    x, y = (np.exp(np.interp(steps, (0, 1), np.log(ends))) for ends in (line.x, line.y))
    return x.tolist(), y.tolist()


def _bars(value: tuple[float, ...], low: tuple[float, ...], high: tuple[float, ...]) -> dict[str, Any]:
    """Error bars; none where the interval is unknown. A bar down to 0 ends at a thousandth of its value."""
    below = [min(v - a, 0.999 * v) if math.isfinite(a) else None for v, a in zip(value, low, strict=True)]
    above = [b - v if math.isfinite(b) else None for v, b in zip(value, high, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "thickness": 1,
        "width": 2,
        "visible": any(bar is not None for bar in above),
    }


def _hover(curve: Curve, i: int, panel: Panel) -> str:
    """Label, P, both values with intervals, and n."""
    rows = [f"<b>{html.escape(curve.label, quote=False)}</b>", f"P = {curve.train_size[i]}, n = {curve.n[i]}"]
    axes = (("x", panel.x_label), ("y", panel.y_label))
    for axis, words in axes:
        symbol = " ".join(words.split()[-3:]) if " / " in words else words.split()[-1]
        if symbol == SYMBOLS["train_size"]:
            continue
        value, low, high = (getattr(curve, f"{axis}{end}")[i] for end in ("", "_low", "_high"))
        interval = f" [{format_number(low)}, {format_number(high)}]" if math.isfinite(high - low) else ""
        rows.append(f"{_marked(symbol)} = {format_number(value)}{interval}")
    return "<br>".join(rows)


def _axis(words: str, limits: tuple[float, float]) -> dict[str, Any]:
    ticks = log_ticks(*limits)
    return {
        "type": "log",
        "range": [math.log10(limit) for limit in limits],
        "title": {"text": _marked(words), "standoff": 8},
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
        "showline": True,
        "linecolor": _GREY,
        "gridcolor": "rgba(128,128,128,0.22)",
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
    }


def _broken(label: str) -> str:
    """A label for the legend, in lines that fit on a phone."""
    return "<br>".join(map(_marked, _parts(label)))


def _parts(label: str) -> list[str]:
    return textwrap.wrap(label, _LEGEND_WIDTH, break_on_hyphens=False)


def _marked(words: str) -> str:
    """`words` escaped, with the symbols set as symbols."""
    safe = html.escape(words, quote=False)
    symbols = {"R_f": "<i>R<sub>f</sub></i>", "D_f": "<i>D<sub>f</sub></i>", "eps_t": "<i>ε<sub>t</sub></i>"}
    for plain, marked in symbols.items():
        safe = safe.replace(plain, marked)
    return safe
