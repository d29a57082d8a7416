"""The command `relstab theory simulate`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro

from theory.commands.task_options import chosen_task
from theory.common.errors import require_integer
from theory.common.estimate import Estimate, geometric_mean, mean
from theory.common.options import choice, command_line, made, nested, options_of
from theory.common.table import require_table_path, write_table
from theory.common.terminal import Terminal
from theory.jobs.executors import chosen_executor
from theory.kernels import Backend
from theory.model.configuration import FlowConfig
from theory.runs.run_config import Config

__all__ = ["Simulate", "exponent_rows", "record_rows"]

_FLOW = options_of(FlowConfig)


@dataclass(frozen=True)
class Simulate:
    """Solve the simple model at finite P by gradient flow.

    Prints R_f, compression and test error of the stripe, or of the cylinder.

    For example:
    - `relstab theory simulate --train-sizes 512 1024 2048 --seeds 4`
    - `relstab theory simulate --train-size 4096 --dim 10 --loss hinge --json`
    - `relstab theory simulate --train-sizes 512 2048 --seeds 8 --workers 2 --store runs --output curve.csv`
    - `relstab theory simulate --train-sizes 512 2048 --informative-dim 2 --noise-norms 0.1 1`
    """

    train_sizes: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--train-size"])]
    """P, one or more numbers of training points."""
    dim: int = 30
    """d, dimension of the points."""
    informative_dim: int = 1
    """d_par, directions that the label depends on: 1 is the stripe, 2 and more the cylinder."""
    interfaces: tuple[float, float] | None = None
    """Of the stripe, x_1 between which y = 1; -0.3 and 1.18549 if not given."""
    seeds: int = 1
    """Number of seeds; each draws its own points and neurons."""
    seed: int = 0
    """The first seed."""
    neuron_seed: int | None = None
    """Draws the initial neurons; by default every seed draws its own."""
    flow: Annotated[FlowConfig, *nested(_FLOW)] = field(default_factory=_FLOW)
    """The net, the loss and the integrator."""
    backend: Annotated[Backend, choice(Backend)] = "auto"
    """Kernel; cupy needs a CUDA device, auto is numba."""
    workers: int = 1
    """Processes that share the trajectories."""
    ray: str | None = None
    """Share them on a Ray cluster instead: its address, auto, or local for one of this machine; workers bounds them."""
    store: Path | None = None
    """Folder that keeps finished trajectories; what is there is not computed again."""
    output: Path | None = None
    """Curve table to write, .csv or .parquet."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> dict[str, Any]:
        from theory.runs.curves import curve  # numba, which help does without

        terminal = Terminal(self.json)
        task = chosen_task(self.dim, self.informative_dim, self.interfaces)
        require_integer("seeds", self.seeds, 1)
        require_integer("seed", self.seed, 0)
        config = made(FlowConfig, self.flow)
        if self.output is not None:
            require_table_path("output", self.output)
        with terminal.progress("theory") as report:

            def show(part: float, run: Config) -> None:
                report(part, f"P = {run.train_size}, seed {run.seed}")

            table = curve(
                task, self.train_sizes, range(self.seed, self.seed + self.seeds), config,
                neuron_seed=self.neuron_seed, backend=self.backend, workers=chosen_executor(self.workers, self.ray),
                store=self.store,
                progress=show,
            )  # fmt: skip
        terminal.table(
            f"{task.name}, one hidden layer of {'infinitely many' if config.lazy else config.width}, "
            f"alpha = {config.scale:g}, {config.loss}; "
            "geometric means over n seeds",
            ["P", "q", "noise", "n", "R_f", "Lambda", "test error"],
            record_rows(table),
        )
        exponents = exponent_rows(table)
        if exponents:
            terminal.table("exponents over P, mean and 95 % over seeds", ["q", "n", "P", "R_f ~ P^"], exponents)
        if self.output is not None:
            comment = command_line("theory simulate", self, ("output", "json", "workers", "ray", "store"))
            write_table(table, self.output, comment=comment)
            terminal.line(f"wrote {self.output}")
        return {
            "task": task.name,
            "output": None if self.output is None else str(self.output),
            "rows": json.loads(table.dropna(axis=1, how="all").to_json(orient="records")),
        }


def record_rows(table: pd.DataFrame) -> list[list[str]]:
    """P, q, the noise's norm, n, R_f, Lambda and the test error over seeds, in the table's order."""
    return [
        [str(size), stage.removeprefix("q="), norm, str(estimates[0].n), *(e.short for e in estimates)]
        for (size, stage, norm), estimates in _by_size_and_stage(table).items()
    ]


def exponent_rows(table: pd.DataFrame) -> list[list[str]]:
    """q, n, the range of P and the exponent of R_f at small noise: the mean of the seeds' own least-squares slopes.

    Of the seeds that have R_f at every P, where there are several P; without an interval if it is one seed.
    """
    rows = []
    small = table[table["displacement"].isna()]
    for stage, group in small.groupby("stage", sort=False):
        curves = group.pivot_table(index="seed", columns="train_size", values="relative_stability").dropna()
        if curves.shape[1] < 2 or not len(curves):
            continue
        sizes = np.log(curves.columns.to_numpy(float))
        slopes = np.polyfit(sizes, np.log(curves.to_numpy()).T, 1)[0]
        span = f"{curves.columns.min()} to {curves.columns.max()}"
        rows.append([str(stage).removeprefix("q="), str(len(curves)), span, mean(slopes).short])
    return rows


def _by_size_and_stage(table: pd.DataFrame) -> dict[tuple[int, str, str], tuple[Estimate, ...]]:
    """(R_f, Lambda, test error) over seeds, for each P, stage and norm of the noise, in their order."""
    result: dict[tuple[int, str, str], tuple[Estimate, ...]] = {}
    for _, group in table.groupby(["train_size", "stage", "displacement"], sort=False, dropna=False):
        first = group.iloc[0]
        norm = float(first["displacement"])
        result[int(first["train_size"]), str(first["stage"]), "small" if math.isnan(norm) else f"{norm:g}"] = (
            geometric_mean(group["relative_stability"].to_numpy()),
            geometric_mean(group["compression"].to_numpy()),
            mean(group["test_error"].to_numpy()),
        )
    return result

