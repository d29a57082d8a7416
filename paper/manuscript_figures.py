"""The manuscript's figures, from the committed tables alone, into `build/paper`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
from figure_curves import error_figure, stability_curves
from figure_displacement import against_displacement
from figure_folding import phase_diagram
from figure_layers import layers
from figure_samples import samples
from figure_stripe import stripe
from matplotlib.figure import Figure
from plots import LOOK

from compare.figures import save

BUILD = Path(__file__).parent.parent / "build" / "paper"
#: What the text may show, by the name that it uses.
FIGURES: dict[str, Callable[[], Figure]] = {
    "samples": samples,
    "folding": phase_diagram,
    "stripe": stripe,
    "curves": stability_curves,
    "errors": error_figure,
    "displacement-fashion-mnist": partial(against_displacement, "fashion-mnist"),
    "layers": layers,
}


def draw(name: str, folder: Path = BUILD, suffix: str = ".pdf") -> Path:
    """Draw the figure `name` and write it into `folder`."""
    with mpl.rc_context(LOOK):
        return save(FIGURES[name](), folder / f"{name}{suffix}")
