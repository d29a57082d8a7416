"""The command `relstab theory simulate`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro

from theory.curves import curve
from theory.errors import require_integer
from theory.estimate import Estimate, geometric_mean, mean
from theory.flow import FlowConfig
from theory.table import require_table_path, write_table
from theory.tasks import Stripe
from theory.terminal import Terminal
from theory.trajectory import Trajectory

__all__ = ["COMMANDS", "Simulate"]

_FLOW = FlowConfig()


@dataclass(frozen=True)
class Simulate:
    """Solve the simple model at finite P: R_f, compression and test error of the gradient flow on the stripe.

    For example:
    - `relstab theory simulate --train-sizes 512 1024 2048 --seeds 4`
    - `relstab theory simulate --train-size 4096 --dim 10 --loss hinge --json`
    - `relstab theory simulate --train-sizes 512 2048 --seeds 8 --workers 2 --output curve.csv`
    """

    train_sizes: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--train-size"])]
    """P, one or more numbers of training points."""
    dim: int = 30
    """d, dimension of the points."""
    seeds: int = 1
    """Number of seeds; each draws its own points and neurons."""
    seed: int = 0
    """The first seed."""
    neuron_seed: int | None = None
    """Draws the initial neurons; by default every seed draws its own."""
    width: int = _FLOW.width
    """h, number of neurons."""
    scale: float = _FLOW.scale
    """alpha; towards 0 the net learns features, towards infinity it is lazy."""
    loss: str = _FLOW.loss
    """hinge, softhinge or squaredhinge."""
    unfit_fractions: tuple[float, ...] = _FLOW.unfit_fractions
    """q, falling: the state is recorded when this fraction of points has yet to reach the margin."""
    dtype: str = _FLOW.dtype
    """float32 or float64."""
    weight_change: float = _FLOW.weight_change
    """Largest relative change of the parameters in a step."""
    output_change: float = _FLOW.output_change
    """Largest change of F at any training point in a step."""
    max_steps: int = _FLOW.max_steps
    """Steps after which a trajectory is given up, with a warning."""
    test_size: int = _FLOW.test_size
    """Fresh points on which R_f and the test error are measured."""
    backend: str = "auto"
    """Kernel: numpy, numba or auto."""
    workers: int = 1
    """Processes that share the trajectories."""
    output: Path | None = None
    """Curve table to write, .csv or .parquet."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> dict[str, Any]:
        terminal = Terminal(self.json)
        task = Stripe(self.dim)
        require_integer("seeds", self.seeds, 1)
        require_integer("seed", self.seed, 0)
        config = FlowConfig(**{item.name: getattr(self, item.name) for item in fields(FlowConfig)})
        if self.output is not None:
            require_table_path("output", self.output)
        with terminal.progress("theory") as report:

            def finished(part: float, trajectory: Trajectory) -> None:
                report(part, f"P = {trajectory.train_size}, seed {trajectory.seed}")

            table = curve(
                task, self.train_sizes, range(self.seed, self.seed + self.seeds), config,
                neuron_seed=self.neuron_seed, backend=self.backend, workers=self.workers, progress=finished,
            )  # fmt: skip
        rows = _by_size_and_stage(table)
        terminal.table(
            f"{task.name}, one hidden layer of {self.width}, alpha = {self.scale:g}, {self.loss}; "
            f"geometric means over {self.seeds} seed{'s' * (self.seeds > 1)}",
            ["P", "q", "R_f", "Lambda", "test error"],
            [
                [str(size), stage.removeprefix("q="), *(_digits(e) for e in estimates)]
                for (size, stage), estimates in rows.items()
            ],
        )
        if self.output is not None:
            write_table(table, self.output, comment=self._comment())
            terminal.line(f"wrote {self.output}")
        return {
            "task": task.name,
            "output": None if self.output is None else str(self.output),
            "rows": json.loads(table.dropna(axis=1, how="all").to_json(orient="records")),
        }

    def _comment(self) -> str:
        """The command line that makes the table."""
        words = ["relstab theory simulate"]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("output", "json", "workers") or value == item.default:
                continue
            words.append(f"--{item.name.replace('_', '-')}")
            words += map(str, value if isinstance(value, tuple) else (value,))
        return " ".join(words)


def _by_size_and_stage(table: pd.DataFrame) -> dict[tuple[int, str], tuple[Estimate, ...]]:
    """(R_f, Lambda, test error) over seeds, for each P and stage in their order."""
    result: dict[tuple[int, str], tuple[Estimate, ...]] = {}
    keys = table[["train_size", "stage"]].drop_duplicates()
    for size, stage in zip(keys["train_size"].astype(int), keys["stage"].astype(str), strict=True):
        group = table[(table["train_size"] == size) & (table["stage"] == stage)]
        result[size, stage] = (
            geometric_mean(group["relative_stability"].to_numpy()),
            geometric_mean(group["compression"].to_numpy()),
            mean(group["test_error"].to_numpy()),
        )
    return result


def _digits(estimate: Estimate) -> str:
    """The estimate without its sample size, which the table's title gives."""
    return repr(estimate).split(" (n=")[0]


COMMANDS = {"theory simulate": Simulate}
