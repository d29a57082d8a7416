"""The command `relstab theory predict`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from theory.commands.task_options import chosen_task
from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.common.estimate import Estimate, geometric_mean, mean
from theory.common.files import require_writable_parent, write_whole
from theory.common.matplotlib_settings import default_settings
from theory.common.options import command_line, made, nested, options_of
from theory.common.table import curve_table, require_table_path, write_table
from theory.common.terminal import Terminal
from theory.jobs.executors import Executor, run_jobs
from theory.kernels.threads import one_thread
from theory.model.configuration import SINGLE_PRECISION_SCALE, FlowConfig
from theory.model.tasks import Task
from theory.prediction.fixed_points import fixed_points
from theory.prediction.predicted import Prediction

__all__ = ["Predict", "predictions"]

#: Without what has no meaning for a prediction.
_FLOW = options_of(FlowConfig, "dtype", "skip")


def predictions(
    task: Task,
    config: FlowConfig,
    train_sizes: tuple[int, ...],
    seeds: range,
    *,
    cells: int | None = None,
    sobol: bool = False,
    workers: int | Executor = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Prediction]:
    """`predict` from the neurons of every seed's `simulate`, in worker processes or by an executor."""
    done: dict[int, Prediction] = {}

    def finish(seed: int, result: tuple[Prediction, list[str]]) -> None:
        done[seed] = result[0]
        for message in result[1]:
            warnings.warn(f"seed {seed}: {message}", RuntimeWarning, stacklevel=4)
        if progress is not None:
            progress(len(done))

    jobs = {seed: (task, config, train_sizes, seed, cells, sobol) for seed in seeds}
    run_jobs(_one, jobs, workers, finish, one_thread)
    return [done[seed] for seed in seeds]


def _one(
    task: Task, config: FlowConfig, train_sizes: tuple[int, ...], seed: int, cells: int | None, sobol: bool
) -> tuple[Prediction, list[str]]:
    """A prediction, and its warnings: the caller gives them, from whatever process they come."""
    from theory.prediction.solution import predict  # numba, which help does without

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prediction = predict(task, config, train_sizes, seed=seed, cells=cells, sobol=sobol)
    return prediction, [str(one.message) for one in caught]


@dataclass(frozen=True)
class Predict:
    """Predict the simple model at any P; nothing is sampled or fitted.

    Prints R_f, compression and test error of the stripe or the cylinder, from the population's flow and its linear
    response.

    For example:
    - `relstab theory predict`
    - `relstab theory predict --train-sizes 1000 1000000 --loss hinge --json`
    - `relstab theory predict --samples --train-sizes 1024 4096 --seeds 4 --informative-dim 2`
    - `relstab theory predict --seeds 8 --workers 2 --output prediction.csv --plot prediction.png`
    """

    train_sizes: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--train-size"])] = (10**4, 10**6, 10**9)
    """P, one or more numbers of training points; they do not change the cost, but of --samples."""
    dim: int = 30
    """d, dimension of the points."""
    informative_dim: int = 1
    """d_par: 1 is the stripe; 2 and more are the cylinder."""
    interfaces: tuple[float, float] | None = None
    """Of the stripe, x_1 between which y = 1; -0.3 and 1.18549 if not given."""
    samples: bool = False
    """Predict each seed's own points, known as Gaussian clouds, instead of the mean over samples."""
    seeds: int = 1
    """Number of seeds; each brings the neurons that `theory simulate` draws for it."""
    seed: int = 0
    """The first seed."""
    flow: Annotated[FlowConfig, *nested(_FLOW)] = field(default_factory=_FLOW)
    """The net, the loss and the integrator; points are those of the population."""
    cells: int | None = None
    """Cells into which the informative direction is divided, 140, or a cylinder's radius, 100; of samples 100, and 200
    of a cylinder's."""
    sobol: bool = False
    """Neurons from a Sobol sequence: 256 do for the mean over draws of 1000, in a quarter of the time."""
    workers: int = 1
    """Processes that share the seeds."""
    output: Path | None = None
    """Curve table to write, .csv or .parquet."""
    plot: Path | None = None
    """Picture of R_f against P to write, .png, .svg or .pdf."""
    json: bool = False
    """Print JSON instead of tables."""

    def run(self) -> dict[str, Any]:
        terminal = Terminal(self.json)
        task = chosen_task(self.dim, self.informative_dim, self.interfaces)
        require_integer("seeds", self.seeds, 1)
        require_integer("seed", self.seed, 0, MAXIMUM_SEED + 1 - self.seeds)
        if not self.train_sizes:
            raise InputError("train_sizes", (), "must hold at least one")
        # The neurons are drawn in single precision, as simulate draws them, but where simulate may not.
        precision: dict[str, Any] = {"dtype": "float64"} if self.flow.scale > SINGLE_PRECISION_SCALE else {}
        config = made(FlowConfig, self.flow, **precision)
        if self.output is not None:
            require_table_path("output", self.output)
        if self.plot is not None:
            if self.plot.suffix not in (".png", ".svg", ".pdf"):
                raise InputError("plot", str(self.plot), "must end in .png, .svg or .pdf")
            require_writable_parent("plot", self.plot)
        if self.samples:
            return self._from_samples(terminal, task, config)
        with terminal.progress("prediction") as report:
            results = predictions(
                task, config, tuple(sorted(set(self.train_sizes))), range(self.seed, self.seed + self.seeds),
                cells=self.cells, sobol=self.sobol, workers=self.workers,
                progress=lambda count: report(count / self.seeds, f"{count} of {self.seeds} seeds"),
            )  # fmt: skip
        if not any(result.records for result in results):
            raise InputError("unfit_fractions", config.unfit_fractions, "the population reached none of them")
        self._show(terminal, task, config, results)
        if self.output is not None:
            comment = command_line("theory predict", self, ("output", "plot", "json", "workers"))
            write_table(curve_table([row for result in results for row in result.rows()]), self.output, comment)
            terminal.line(f"wrote {self.output}")
        if self.plot is not None:
            write_whole(self.plot, lambda aside: _draw(results[0], aside))
            terminal.line(f"wrote {self.plot}")
        return {
            "task": task.name,
            "output": None if self.output is None else str(self.output),
            "plot": None if self.plot is None else str(self.plot),
            "predictions": [result.summary() for result in results],
        }

    def _from_samples(self, terminal: Terminal, task: Task, config: FlowConfig) -> dict[str, Any]:
        """`run`, from every seed's own points."""
        from theory.commands.from_samples import predict_samples, show_samples

        if self.plot is not None:
            raise InputError("plot", str(self.plot), "is of the mean over samples: leave it out, or --samples")
        if self.sobol:
            raise InputError("sobol", True, "is of the mean over samples: leave it out, or --samples")
        sizes, seeds = tuple(sorted(set(self.train_sizes))), range(self.seed, self.seed + self.seeds)
        table = predict_samples(terminal, task, config, sizes, seeds, self.cells, self.workers)
        rows = show_samples(terminal, task, config, table)
        if self.output is not None:
            write_table(table, self.output, command_line("theory predict", self, ("output", "plot", "json", "workers")))
            terminal.line(f"wrote {self.output}")
        return {"task": task.name, "output": None if self.output is None else str(self.output), "rows": rows}

    def _show(self, terminal: Terminal, task: Task, config: FlowConfig, results: list[Prediction]) -> None:
        terminal.table(
            f"{task.name}, one hidden layer of {config.width}, alpha = {config.scale:g}, {config.loss}; "
            "predicted from the neurons of n seeds",
            ["q", "n", "P R_f", "Lambda / sqrt P", "R_f at P = inf", "Lambda"],
            [
                [f"{q:g}", str(len(values)), *(geometric_mean(values[:, k]).short for k in range(4))]
                for q, values in (
                    (q, _finite([[r.prefactor[i], r.compression_prefactor[i], r.floor[i], r.compression[i]]
                                 for r in results]))
                    for i, q in enumerate(config.unfit_fractions)
                )
                if len(values)
            ],
        )
        terminal.table(
            "at finite P, to leading order in 1/P",
            ["P", "q", "R_f", "Lambda", "test error"],
            [
                [f"{size:g}" if size >= 10**6 else str(size), f"{q:g}", *(e.short for e in cell)]
                for j, size in enumerate(results[0].train_sizes)
                for i, q in enumerate(config.unfit_fractions)
                if (cell := _at(results, i, j)) is not None
            ],
        )
        terminal.table(
            "closed form: where neurons condense before the margin is met",
            ["sign", "kink", "rate", "(d-1) P w_perp^2/w_par^2"],
            [
                ["+" if p.sign > 0 else "-", f"{p.kink:.3f}", f"{p.rate:.4f}", f"{p.spread:.1f}"]
                for p in fixed_points(task)
            ],
        )


def _finite(values: list[list[float]]) -> np.ndarray:
    """Rows without a gap, shape (n, columns)."""
    rows = np.array(values)
    return rows[np.isfinite(rows).all(1)]


def _at(results: list[Prediction], i: int, j: int) -> tuple[Estimate, ...] | None:
    """R_f, Lambda and the test error over seeds, at one record and P."""
    rows = _finite([[r.relative_stability[i, j], r.finite_compression[i, j], r.test_error[i, j]] for r in results])
    if not len(rows):
        return None
    return geometric_mean(rows[:, 0]), geometric_mean(rows[:, 1]), mean(rows[:, 2])


@default_settings()
def _draw(prediction: Prediction, path: Path) -> None:
    """One seed's curves; the others differ by what the neurons' draw adds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.add_subplot()
    prediction.plot(axes)
    axes.set_title(
        f"{prediction.task.name}, alpha = {prediction.config.scale:g}, {prediction.config.loss}, seed {prediction.seed}"
    )
    figure.savefig(path, dpi=150)
