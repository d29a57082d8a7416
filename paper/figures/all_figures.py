"""The manuscript's figures, from the committed tables alone, into `build/paper`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from compare.report.figures import save
from paper.figures.curves import error_figure, stability_curves
from paper.figures.displacement import against_displacement
from paper.figures.folding import phase_diagram
from paper.figures.hierarchies import hierarchies
from paper.figures.layers import layers
from paper.figures.plots import LOOK
from paper.figures.samples import samples
from paper.figures.stripe import stripe
from theory.common.matplotlib_settings import default_settings

BUILD = Path(__file__).parents[2] / "build" / "paper"
#: What the text may show, by the name that it uses.
FIGURES: dict[str, Callable[[], Figure]] = {
    "samples": samples,
    "folding": phase_diagram,
    "stripe": stripe,
    "curves": stability_curves,
    "errors": error_figure,
    "displacement": against_displacement,
    "layers": layers,
    "hierarchies": hierarchies,
}


def draw(name: str, folder: Path = BUILD, suffix: str = ".pdf") -> Path:
    """Draw the figure `name` and write it into `folder`."""
    with default_settings(), mpl.rc_context(LOOK):
        return save(FIGURES[name](), folder / f"{name}{suffix}")
