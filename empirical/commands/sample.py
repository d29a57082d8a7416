"""The command `relstab sample`. Torch is imported when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from empirical.commands.measure import require_torch
from empirical.nets.user_code import failing, load_function
from empirical.training.config import image_side
from theory.common.errors import MAXIMUM_SEED, Incomplete, InputError, require_choice, require_integer
from theory.common.files import require_writable_parent
from theory.common.terminal import Terminal
from theory.ensemble.battery import MaxEntropyReport, Sampler, check_sampler
from theory.ensemble.diffeomorphisms import MaxEntropyEnsemble

#: Side or mode number beyond which no image is meant.
_LARGEST = 4096

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """Draw maximum-entropy diffeomorphisms, or check a sampler of them.

    Prints the ensemble's numbers and how many fields fold, and draws a picture of deformed images.

    For example:
    - `relstab sample --cutoffs 3 5 --displacement 1`
    - `relstab sample --dataset fashion-mnist --data DATA --temperature 1e-4 --output deformed.png`
    - `relstab sample --image-size 32 --json`
    - `relstab sample --check --cutoffs 3 5`
    - `relstab sample --check --sampler my_package.fields:draw`
    """

    cutoffs: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--cutoff"])] = (3,)
    """c, largest mode number; one row of the picture each."""
    displacement: float | None = None
    """delta in pixels; 1 if no temperature is given either."""
    temperature: float | None = None
    """T, instead of a displacement."""
    calibration: str = "paper"
    """How the displacement sets T: paper or exact."""
    folding: str = "keep"
    """keep refuses T > T_max; reject also draws folded fields anew; allow takes any T."""
    dataset: str = "digits"
    """fashion-mnist, mnist, cifar10, svhn, digits or images:FOLDER."""
    image_size: int | None = None
    """Resize the images to this side; by default only the digits, to 16."""
    count: int = 1000
    """Number of fields drawn to see how many fold."""
    columns: int = 10
    """Number of images in the picture."""
    check: bool = False
    """Hold the sampler to the maximum-entropy statistics, with 4000 fields for each cutoff, or count if more;
    exit status 1 if it fails them."""
    sampler: str | None = None
    """With check: package.module:function of your own, called as function(ensemble, count, rng) at T and at 4 T. The
    ensemble has size (n), cutoff (c), temperature (T), and mode_std: the standard deviations of the coefficients C_ij,
    shape (c, c), 0 for modes left out. rng is a numpy.random.Generator. It returns count fields as floats, an array
    or a torch tensor of shape (count, 2, n, n): displacements in pixels along x, then y."""
    data: Path | None = None
    """Folder of the data sets; the environment variable RELSTAB_DATA otherwise."""
    download: bool = False
    """Fetch a data set that is not there."""
    seed: int = 0
    """Seed of the fields."""
    output: Path | None = None
    """Picture to write, .png: the images, and below them the same deformed."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> dict[str, Any]:
        require_torch()
        import torch

        from empirical.data.named_sets import load_data
        from empirical.diffeo.fields import MaxEntropyDiffeo, folded
        from empirical.diffeo.gallery import deformed_rows, save_rows

        terminal = Terminal(self.json)
        for name in ("count", "columns"):
            require_integer(name, getattr(self, name), 1)
        require_integer("seed", self.seed, 0, MAXIMUM_SEED)
        for cutoff in self.cutoffs:
            require_integer("cutoffs", cutoff, 2, _LARGEST)
        if self.image_size is not None:
            require_integer("image_size", self.image_size, 8, _LARGEST)
        require_choice("calibration", self.calibration, ("paper", "exact"))
        if not self.cutoffs:
            raise InputError("cutoffs", self.cutoffs, "must name at least one")
        if self.output is not None:
            require_writable_parent("output", self.output)
            if self.output.suffix != ".png":
                raise InputError("output", str(self.output), "must end in .png")
        if self.sampler is not None and not self.check:
            raise InputError("sampler", self.sampler, "is read with --check only")
        sampler = _drawn if self.sampler is None else _own(self.sampler)
        displacement = 1.0 if self.displacement is None and self.temperature is None else self.displacement
        size = image_side(self.dataset, self.image_size)
        data = load_data(self.dataset, self.data, image_size=size, download=self.download)
        options: dict[str, Any] = {"calibration": self.calibration, "folding": self.folding}
        ensembles: list[tuple[MaxEntropyEnsemble, float]] = []
        for cutoff in self.cutoffs:
            diffeo = MaxEntropyDiffeo(
                cutoff, displacement, self.temperature, **options, generator=torch.Generator().manual_seed(self.seed)
            )
            fields_drawn = diffeo.sample(self.count, data.size)
            ensembles.append((diffeo.ensemble(data.size), float(folded(fields_drawn, data.size).double().mean())))
        # Before anything is written or printed: a user's sampler may fail.
        reports = [
            check_sampler(sampler, ensemble, count=max(self.count, 4000), rng=self.seed)
            for ensemble, _ in (ensembles if self.check else [])
        ]
        if self.output is not None:
            images = data.test_images[: self.columns].float() / 255
            rows = deformed_rows(
                images, self.cutoffs, displacement=displacement, temperature=self.temperature, seed=self.seed, **options
            )
            save_rows(rows, self.output)
        summaries = [{**e.summary(), "folded_fraction": part, "fields": self.count} for e, part in ensembles]
        terminal.table(
            f"{data.name}, {data.size} x {data.size} pixels; folds among {self.count} fields"
            + ("" if self.sampler is None else " of relstab's own sampler"),
            ["c", "modes", "T", "T_min", "T_max", "delta paper", "delta rms", "folded"],
            [
                [str(s["cutoff"]), str(s["mode_count"]),
                 *(f"{s[name]:.3g}" for name in ("temperature", "temperature_min", "temperature_max")),
                 f"{s['paper_displacement']:.3g} px", f"{s['rms_displacement']:.3g} px", f"{s['folded_fraction']:.1%}"]
                for s in summaries
            ],
        )  # fmt: skip
        for s in summaries:
            if not s["temperature_min"] <= s["temperature"] <= s["temperature_max"]:
                terminal.line(f"c = {s['cutoff']}: T lies outside [T_min, T_max]: below, fields move less than half a "
                              "pixel; above, more than a few fold")  # fmt: skip
        if self.output is not None:
            terminal.line(f"wrote {self.output}")
        for report in reports:
            _show_report(terminal, report)
        result = {
            "ensembles": summaries,
            "checks": [report.summary() for report in reports],
            "output": None if self.output is None else str(self.output),
        }
        if failed := [str(report.ensemble.cutoff) for report in reports if not report.consistent]:
            name = "relstab's own sampler" if self.sampler is None else f"the sampler {self.sampler}"
            missed = Incomplete(f"{name} fails the maximum-entropy statistics at c = {', '.join(failed)}")
            missed.result = result
            raise missed
        return result


def _own(name: str) -> Sampler:
    """The user's sampler called `name`; what it raises becomes an InputError of one line."""
    function = load_function("sampler", name)

    def draw(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> Any:
        try:
            drawn = function(ensemble, count, rng)
            return drawn if hasattr(drawn, "detach") else np.asarray(drawn)  # which a ragged list fails
        except Exception as error:
            raise failing("sampler", name, "fails", error) from error

    return draw


def _drawn(ensemble: MaxEntropyEnsemble, count: int, rng: np.random.Generator) -> Any:
    """Our own sampler, as the battery calls one."""
    import torch

    from empirical.diffeo.fields import displacement_fields, sample_coefficients

    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return displacement_fields(sample_coefficients(ensemble, count, generator), ensemble.size)


def _show_report(terminal: Terminal, report: MaxEntropyReport) -> None:
    """One line for each statistic, and the verdict."""
    terminal.line()
    ensemble = report.ensemble
    terminal.table(
        f"c = {ensemble.cutoff}, {ensemble.size} pixels, {report.fields} fields: maximum-entropy statistics",
        ["statistic", "p", "corrected", ""],
        [[c.meaning, f"{c.p_value:.2g}", f"{c.adjusted:.2g}", "" if c.passed else "fails"] for c in report.checks],
    )
    verdict = "consistent with" if report.consistent else "not"
    terminal.line(f"{verdict} the maximum-entropy ensemble (family-wise level {report.level:g})")

