"""The command `relstab demo`: the whole job at a small size, in a few minutes on two cores.

The simple model solved, the same net trained by plain torch on the same points, nets trained on real images
that need no download (scikit-learn's digits, enlarged to 16 x 16), nets that learn a random hierarchy, where error and
R_f fall together, and the report that contrasts them.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from compare.contrasts.comparison import contrast
from compare.contrasts.error_falls import error_falls
from compare.curves.numbers import wrapped
from compare.report.explorer import data_set_samples, deformed_grid
from compare.report.page import write_report
from empirical.commands.measure import require_torch
from empirical.runs.experiments import Experiment
from empirical.training.config import DIGITS_SIZE, ImageConfig, StripeConfig
from empirical.training.hierarchy_config import HierarchyConfig
from theory.common.errors import require_integer
from theory.common.files import require_writable_parent
from theory.common.table import write_table
from theory.common.terminal import Terminal
from theory.model.configuration import FlowConfig
from theory.model.tasks import Stripe

__all__ = ["Demo"]

_WIDTH = 400
_FRACTIONS = (0.7, 0.3)
_STRIPE_SIZES = (512, 1024, 2048, 4096)
_IMAGE_SIZES = (64, 128, 256, 512, 1024)
#: From hardly anything learned to nearly all; three of them are the stripe's, so that the curves can be compared.
_HIERARCHY_SIZES = (320, 512, 1024, 2048)
_STRIPE_NET = StripeConfig(width=_WIDTH, unfit_fractions=_FRACTIONS, time_step=0.2, max_steps=20_000)
_IMAGE_NET = ImageConfig(
    dataset="digits", image_size=DIGITS_SIZE, epochs=30, min_steps=400, batch_size=64, optimizer="sgd",
    learning_rate=0.05,
)  # fmt: skip
_HIERARCHY_NET = HierarchyConfig(vocabulary=4, sparsity=2, width=128)
_ARCHITECTURES = ("fully-connected", "lenet")
_CUTOFFS = (2, 3, 5)


@dataclass(frozen=True)
class Demo:
    """Do the whole job at a small size, in a few minutes.

    R_f against P: from the theory, from nets on its data, from nets on images, and from nets on a random hierarchy,
    whose test error falls with it. Everything is small: few seeds, narrow nets, 16 x 16 digits. It shows the job; it is
    not a result.

    For example:
    - `relstab demo`
    - `relstab demo --output my-demo --seeds 5`
    """

    output: Path = Path("relstab-demo")
    """Folder for the curve tables, the report and its figures."""
    seeds: int = 4
    """Number of seeds of everything."""
    seed: int = 0
    """The first seed."""
    workers: int | None = None
    """Processes that share the runs; as many as cores by default."""
    json: bool = False
    """Print JSON instead of lines."""

    def run(self) -> dict[str, Any]:
        require_torch()
        require_integer("seeds", self.seeds, 1)
        require_integer("seed", self.seed, 0)
        workers = _cores() if self.workers is None else require_integer("workers", self.workers, 1)
        page = require_writable_parent("output", self.output / "report.html")
        terminal = Terminal(self.json)
        began = time.perf_counter()
        seeds = tuple(range(self.seed, self.seed + self.seeds))
        theory = _solve(terminal, seeds, workers)
        nets = _train(terminal, seeds, workers)
        command = f"relstab demo --seeds {self.seeds} --seed {self.seed}"
        write_table(theory, self.output / "theory.csv", comment=command)
        write_table(nets, self.output / "nets.csv", comment=command)
        report = write_report(
            [theory, nets], page,
            title="Relative stability: the demo",
            images=deformed_grid(_IMAGE_NET.dataset, _CUTOFFS, displacement=_IMAGE_NET.displacement, seed=self.seed),
            samples=data_set_samples(_IMAGE_NET.dataset),
            notes=(
                "This is the demo: few seeds and small nets, to show the job and not to settle anything.",
                f"Stripe: d = 30, {_WIDTH} neurons, alpha = 1e-6; the trained nets see the same points and start "
                "from the same neurons as the theory's flow, seed by seed.",
                "Images: scikit-learn's 8 x 8 digits enlarged to 16 x 16, diffeomorphisms of cutoff 3 and 1 pixel.",
                "Hierarchy: sparse random hierarchies of two levels, v = 4 symbols, s_0 = 2 empty places for each "
                "informative one; moves of what is informative are in the place of diffeomorphisms.",
            ),
            command=command,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        found = contrast(theory, nets[nets["stage"] != "initial"])
        falls = error_falls(nets)
        for line in ["", *wrapped(found.verdict(), indent=""), "", *found.lines(), ""]:
            terminal.line(line)
        for fall in falls:
            for line in [*fall.lines(), ""]:
                terminal.line(line)
        terminal.line(f"Report: {report} ({seconds:.0f} s)")
        told = {**found.summary(), "error_falls": [fall.summary() for fall in falls]}
        return {**told, "report": str(report), "seconds": round(seconds, 1)}


def _cores() -> int:
    """Cores that this process may use, at most 8."""
    known = hasattr(os, "sched_getaffinity")  # not on every system
    return min(len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1, 8)


def _without_times(table: pd.DataFrame) -> pd.DataFrame:
    """The table without wall times: the demo's files are the same each time."""
    return table.drop(columns="seconds")


def _solve(terminal: Terminal, seeds: tuple[int, ...], workers: int) -> pd.DataFrame:
    from theory.runs.curves import curve

    config = FlowConfig(width=_WIDTH, unfit_fractions=_FRACTIONS)
    with terminal.progress("1/4 theory: gradient flow     ") as report:
        table = curve(
            Stripe(), _STRIPE_SIZES, seeds, config, workers=workers,
            progress=lambda part, path: report(part, f"P = {path.train_size}, seed {path.seed}"),
        )  # fmt: skip
    return _without_times(table)


def _train(terminal: Terminal, seeds: tuple[int, ...], workers: int) -> pd.DataFrame:
    from empirical.runs.sweeps import sweep

    stripes = Experiment(_STRIPE_NET, _STRIPE_SIZES, seeds)
    images = Experiment(_IMAGE_NET, _IMAGE_SIZES, seeds, _ARCHITECTURES)
    hierarchies = Experiment(_HIERARCHY_NET, _HIERARCHY_SIZES, seeds)
    tables = []
    for label, experiment in (
        ("2/4 nets on the theory's data", stripes),
        ("3/4 nets on real images      ", images),
        ("4/4 nets on a hierarchy      ", hierarchies),
    ):
        with terminal.progress(label) as report:
            table = sweep(
                experiment, None, workers,
                progress=lambda done, total, config, report=report: report(  # type: ignore[misc]
                    done / total, f"P = {config.train_size}, seed {config.seed}"
                ),
            )  # fmt: skip
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    return _without_times(table[table["layer"] == ""])  # the hierarchy's layers are another subject
