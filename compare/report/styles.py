"""How a series looks in every figure: colour, marker and dash, for matplotlib and plotly alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from compare.curves.series import SeriesKey, stage_order

__all__ = ["Style", "series_styles"]

#: Okabe and Ito's colours, which colour-blind readers can tell apart, without black and yellow (each is lost
#: on one of the two backgrounds), and a grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A")
#: matplotlib's and plotly's name of each marker.
MARKERS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("X", "x"),
    ("p", "pentagon"),
    ("*", "star"),
    ("<", "triangle-left"),
    (">", "triangle-right"),
    ("h", "hexagon"),
    ("d", "diamond-tall"),
)
#: matplotlib's and plotly's name of each dash; fits are never solid.
DASHES: tuple[tuple[Any, str], ...] = (
    ((0, (5, 2)), "dash"),
    ((0, (1, 1.5)), "dot"),
    ((0, (5, 2, 1, 2)), "dashdot"),
    ((0, (9, 3)), "longdash"),
    ((0, (9, 3, 1, 3)), "longdashdot"),
)


@dataclass(frozen=True, slots=True)
class Style:
    """Colour by source, task and architecture; marker by series; dash by stage; hollow at initialisation."""

    colour: str
    marker: int
    dash: int
    hollow: bool

    @property
    def matplotlib_marker(self) -> str:
        return MARKERS[self.marker % len(MARKERS)][0]

    @property
    def plotly_marker(self) -> str:
        return MARKERS[self.marker % len(MARKERS)][1] + ("-open" if self.hollow else "")

    @property
    def matplotlib_dash(self) -> Any:
        return DASHES[self.dash % len(DASHES)][0]

    @property
    def plotly_dash(self) -> str:
        return DASHES[self.dash % len(DASHES)][1]


def series_styles(keys: Iterable[SeriesKey]) -> dict[SeriesKey, Style]:
    """The style of each series of one table; the same in all figures made from that table."""
    keys = list(keys)
    groups = list(dict.fromkeys((key.source, key.task, key.architecture) for key in keys))
    order = sorted({key.stage for key in keys} - {"trained"}, key=stage_order)
    dashes = {stage: i for i, stage in enumerate(["trained", *order])}
    return {
        key: Style(
            colour=PALETTE[groups.index((key.source, key.task, key.architecture)) % len(PALETTE)],
            marker=i,
            dash=dashes[key.stage],
            hollow=key.stage == "initial",
        )
        for i, key in enumerate(keys)
    }
