"""`relstab theory predict --samples`: the prediction of each seed's own points."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pandas as pd

from theory.commands.simulate import exponent_rows, record_rows
from theory.common.table import curve_table
from theory.common.terminal import Terminal
from theory.jobs.executors import run_jobs
from theory.model.configuration import FlowConfig
from theory.model.tasks import Task

__all__ = ["predict_samples", "show_samples"]


def predict_samples(
    terminal: Terminal,
    task: Task,
    config: FlowConfig,
    sizes: tuple[int, ...],
    seeds: range,
    cells: int | None,
    workers: int,
) -> pd.DataFrame:
    """The curve table of the predictions from the points that `simulate` draws, for every P and seed."""
    done: dict[tuple[int, int], list[dict[str, Any]]] = {}
    jobs = {(size, seed): (task, config, size, seed, cells) for size in sizes for seed in seeds}
    with terminal.progress("prediction") as report:

        def finish(key: tuple[int, int], result: tuple[list[dict[str, Any]], list[str]]) -> None:
            done[key] = result[0]
            for message in result[1]:
                warnings.warn(message, RuntimeWarning, stacklevel=4)
            report(len(done) / len(jobs), f"P = {key[0]}, seed {key[1]}")

        run_jobs(_one, jobs, workers, finish)
    return curve_table([row for key in jobs for row in done[key]])


def _one(
    task: Task, config: FlowConfig, size: int, seed: int, cells: int | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """A prediction's rows, and its warnings."""
    from theory.prediction.solution import predict  # numba, which help does without

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prediction = predict(task, config, data=size, seed=seed, cells=cells)
    return prediction.rows(), [str(one.message) for one in caught]


def show_samples(terminal: Terminal, task: Task, config: FlowConfig, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Prints the table's means over seeds, and the exponents over P; its rows, JSON-ready."""
    terminal.table(
        f"{task.name}, one hidden layer of {config.width}, alpha = {config.scale:g}, {config.loss}; "
        "predicted from n seeds' own points, geometric means",
        ["P", "q", "noise", "n", "R_f", "Lambda", "test error"],
        record_rows(table),
    )
    exponents = exponent_rows(table)
    if exponents:
        terminal.table("exponents over P, mean and 95 % over seeds", ["q", "n", "P", "R_f ~ P^"], exponents)
    rows: list[dict[str, Any]] = json.loads(table.dropna(axis=1, how="all").to_json(orient="records"))
    return rows
