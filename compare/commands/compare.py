"""The commands `relstab compare` and `relstab report`; the command line is built from these dataclasses."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape

from compare.contrasts.comparison import Contrast, contrast, fits_table
from compare.contrasts.correlations import correlations
from compare.contrasts.scales import scales_of
from compare.contrasts.swap_test import SwapTest, swap_tests
from compare.contrasts.wording import Verdict, write_verdict
from compare.curves.nearest_theory import require_stage
from compare.curves.numbers import WIDTH, wrapped
from compare.curves.series import Curves
from compare.fits.law_choice import choose_all
from compare.fits.law_fits import LawFitter
from compare.fits.power_law import Fits, fit_all
from compare.report.page import gather, write_report
from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole

__all__ = ["Compare", "Report", "read_curves"]


@dataclass(frozen=True, slots=True)
class Compare:
    """Say how far the simple model explains measured curves R_f(P).

    The fits are power laws, R_f ~ P^exponent. Rows whose column `source` is "theory" are the theory; all others are
    measured. Without theory rows, or without measured ones, only the fits are printed.

    For example:
    - `relstab compare theory.csv images.csv`
    - `relstab compare theory.csv nets.parquet --stage q=0.1 --output fits.csv --plot curves.png`
    - `relstab compare theory.csv nets.csv --laws --correlations`
    - `relstab compare curves.csv --json`
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Curve tables: CSV or Parquet files with at least source, task, architecture, train_size (or P) and
    relative_stability (or R_f); without columns seed and stage, seed 0 of trained nets."""
    stage: str | None = None
    """Stage of the theory to compare with, for measured series whose own stage the theory lacks (default q=0.3)."""
    laws: bool = False
    """Also fit each measured series with a power law, one with a floor, a broken one and the theory's own curve moved
    in P (and scaled); choose by AICc, test for lack of fit, and give the effective scale of P."""
    correlations: bool = False
    """Also correlate the trained nets' test error with R_f, D_f and G_f across nets, with permutation tests, and test
    whether R_f goes with it more closely than D_f and G_f do."""
    output: Path | None = None
    """CSV file to write the table of fits and differences to."""
    plot: Path | None = None
    """Picture of all curves R_f(P) to write: .png, .pdf or .svg."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def run(self) -> dict[str, Any]:
        """Do it: print lines unless `json`, and return a JSON-ready dictionary."""
        curves = read_curves(self.files)
        for name, path, endings in (("output", self.output, (".csv",)), ("plot", self.plot, (".png", ".pdf", ".svg"))):
            if path is not None and path.suffix not in endings:
                raise InputError(name, str(path), f"must end in {', '.join(endings)}")
            if path is not None:
                require_writable_parent(name, path)
        theory, measured = curves.theory, curves.measured
        require_stage(theory, self.stage)
        both = bool(theory.parts and measured.parts)
        found: Contrast | Fits = contrast(theory, measured, stage=self.stage) if both else fit_all(curves)
        self._write(curves, found)
        choices = scales = related = conclusion = None
        tests: list[SwapTest] = []
        if self.laws:
            fitter = LawFitter()
            judged = measured if both else curves
            choices = choose_all(judged, theory if both else None, self.stage, fitter)
            scales = scales_of(theory, measured, self.stage, fitter) if both else None
        if self.correlations:
            related, tests = correlations(measured), swap_tests(measured.table)
        if self.laws or self.correlations:
            conclusion = write_verdict(found if isinstance(found, Contrast) else None, choices, scales, related)
        if not self.json:
            details = [part.lines() for part in (choices, scales, related) if part is not None]
            if conclusion is not None:  # the answer itself stands above
                further = conclusion.sentences[1:] if both else conclusion.sentences
                told = tuple(f"{test.where}: {test.verdict()}." for test in tests)
                details.append(Verdict((*further, *told)).lines())
            self._print(found, bool(theory.parts), details)
        results = {"laws": choices, "scales": scales, "correlations": related, "conclusion": conclusion}
        return {
            "command": "compare",
            "files": [str(path) for path in self.files],
            "rows": len(curves.table),
            **found.summary(),
            **{name: part.summary() for name, part in results.items() if part is not None},
            **({"swap_tests": [test.summary() for test in tests]} if self.correlations else {}),
            "output": None if self.output is None else str(self.output),
            "plot": None if self.plot is None else str(self.plot),
        }

    def _write(self, curves: Curves, found: Contrast | Fits) -> None:
        """The files asked for."""
        if self.output is not None:
            numbers = found.table() if isinstance(found, Contrast) else fits_table(found.found)
            write_whole(self.output, lambda aside: numbers.to_csv(aside, index=False, lineterminator="\n"))
        if self.plot is not None:
            from compare.report.figures import draw, save
            from compare.report.panels import stability_panel

            save(draw(stability_panel(curves)), self.plot)

    def _print(self, found: Contrast | Fits, has_theory: bool, details: list[list[str]]) -> None:
        """The answer in one sentence, its table, the figure's path; below, what was asked for besides."""
        console = _console()
        if isinstance(found, Contrast):
            sentence, lines = found.verdict(), found.lines()
        else:
            missing = "measured rows" if has_theory else "rows of the theory"
            sentence = f"These files hold no {missing}: here are the fits alone."
            lines = [line for fit in found for line in wrapped(f"{fit.label}: {fit!r}")]
            lines += [line for key, why in found.skipped for line in wrapped(f"not fitted: {key}: {why}")]
        for line in wrapped(sentence, indent=""):
            console.print(f"[bold]{escape(line)}[/bold]", soft_wrap=True)
        for part in [lines, *details]:
            console.print()
            for line in part:
                console.print(escape(line), soft_wrap=True)
        for path in (self.plot, self.output):
            if path is not None:
                console.print(f"wrote {escape(str(path))}", soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Report:
    """Write a report of curve tables: one HTML page that needs no network.

    The figures are also written beside it as PNG files.

    For example:
    - `relstab report theory.csv images.csv`
    - `relstab report curves.parquet --output results/report.html --title "LeNet on digits"`
    - `relstab report nets.csv --dataset fashion-mnist --data DATA`
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Curve tables: CSV or Parquet files."""
    output: Path = Path("relstab-report/report.html")
    """HTML file to write; figures go to a folder beside it."""
    title: str = "Relative stability: theory against measurement"
    """Heading of the report."""
    stage: str | None = None
    """Stage of the theory to compare with, for measured series whose own stage the theory lacks (default q=0.3)."""
    dataset: str | None = None
    """Data set whose images the report shows deformed, and lets the reader deform (needs torch). Without, the
    reader deforms a test pattern, and scikit-learn's photographs if they are here."""
    displacement: float = 1.0
    """delta of those deformations in pixels."""
    data: Path | None = None
    """Folder of the data sets; the environment variable RELSTAB_DATA otherwise."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def run(self) -> dict[str, Any]:
        """Do it: print the path unless `json`, and return a JSON-ready dictionary."""
        given = {
            item.name: str(getattr(self, item.name))
            for item in fields(self)
            if getattr(self, item.name) != item.default
        }
        for name in ("displacement", "data"):
            if name in given and self.dataset is None:
                raise InputError(name, given[name], "may be given only with --dataset, whose images it is about")
        curves = read_curves(self.files)
        words = ["relstab", "report", *map(str, self.files)]
        for name, value in given.items():
            if name not in ("files", "json", "data"):
                words += [f"--{name}", value]
        command = shlex.join(words)
        images, samples = None, None
        if self.dataset is not None:
            from compare.report.explorer import data_set_samples, deformed_grid

            samples = data_set_samples(self.dataset, data=self.data)
            images = deformed_grid(self.dataset, (2, 3, 5), displacement=self.displacement, data=self.data)
        path = write_report(
            curves, self.output, title=self.title, images=images, samples=samples, command=command, stage=self.stage
        )
        figures = path.with_name(f"{path.stem}_figures")
        if not self.json:
            console = _console()
            console.print(f"wrote {escape(str(path))} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
            console.print(f"figures in {escape(str(figures))}", soft_wrap=True)
        return {
            "command": "report",
            "files": [str(file) for file in self.files],
            "rows": len(curves.table),
            "report": str(path),
            "figures": str(figures),
        }


def read_curves(files: tuple[Path, ...]) -> Curves:
    """The rows of all files as one curve table; InputError if there is none."""
    if not files:
        raise InputError("files", "none", "must name at least one curve table")
    return gather(files)


def _console() -> Console:
    return Console(width=max(WIDTH, min(Console().width, 100)), highlight=False)
