"""The command `relstab hierarchies`: what curve tables of random hierarchies say of the error and R_f."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from compare.commands.compare import read_curves
from compare.contrasts.hierarchies import describe_hierarchies
from compare.contrasts.layer_profiles import layer_profiles
from theory.common.terminal import Terminal

__all__ = ["CompareHierarchies"]


@dataclass(frozen=True, slots=True)
class CompareHierarchies:
    """Say how many data hierarchies take to learn, and how the error goes with R_f.

    P* is where the error falls to a tenth; its law, P*_D and P*_S, where the second layer's D_f and S_f come down, are
    beside it, and the correlations of the error with R_f, D_f, G_f and S_f over all nets and P.

    For example:
    - `relstab hierarchies paper/data/srhm_curves.csv paper/data/srhm_nets.csv`
    - `relstab hierarchies paper/data/scale_detection.csv --layers 2048`
    - `relstab hierarchies paper/data/srhm_curves.csv --figure srhm.png`
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Curve tables that `relstab sweep` wrote of kinds srhm or scale-detection."""
    layers: int | None = None
    """Also D, G and R layer by layer, before and after training, of the nets at this P."""
    figure: Path | None = None
    """Figure to write, .png, .svg or .pdf: the error against P over its scale, and against R_f."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def run(self) -> dict[str, Any]:
        """Do it: print lines unless `json`, and return a JSON-ready dictionary."""
        from compare.report.figures import require_figure_path, save  # matplotlib takes a second to import

        if self.figure is not None:
            require_figure_path(self.figure)
        table = read_curves(self.files).table
        found = describe_hierarchies(table)
        profiles = [] if self.layers is None else layer_profiles(table, train_size=self.layers)
        terminal = Terminal(self.json)
        for line in [*found.lines(), *(line for profile in profiles for line in profile.lines())]:
            terminal.line(line)
        if self.figure is not None:
            save(found.plot(), self.figure)
            terminal.line(f"wrote {self.figure}")
        return {
            "command": "hierarchies",
            "files": [str(path) for path in self.files],
            **found.summary(),
            "layers": [profile.summary() for profile in profiles],
        }
