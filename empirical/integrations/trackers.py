"""Finished runs in an experiment tracker: TensorBoard, MLflow or Weights & Biases, without a network by default.

A run is a tracker's run of its own, by its name and hash: settings, and at each stage what the curve table holds of it.
One that is there is not written again.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from empirical.nets.optional import need
from theory.common.errors import require_choice

__all__ = ["TRACKERS", "Tracker", "open_tracker", "stage_values"]

TRACKERS = ("tensorboard", "mlflow", "wandb")
_NAMES = {"relative_stability": "R_f", "diffeo_stability": "D_f", "noise_stability": "G_f"}
_NUMBERS = ("test_error", "train_error", "unfit_fraction", "compression", "seconds")


class Tracker(Protocol):
    """Where runs are written to."""

    def add(self, name: str, identity: str, settings: Mapping[str, Any], stages: list[dict[str, float]]) -> bool:
        """Write a run, its stages as steps 0, 1, ...; False if it is there."""
        ...


def open_tracker(kind: str, folder: Path) -> Tracker:
    """The tracker of this kind, writing into `folder`.

    MLflow goes to MLFLOW_TRACKING_URI where that is set; Weights & Biases is offline unless WANDB_MODE says otherwise.

    Raises
    ------
    InputError
        If the kind is unknown or its library is not installed.
    """
    require_choice("track", kind, TRACKERS)
    folder = folder.absolute()
    if kind == "tensorboard":
        need("tensorboard", "track tensorboard", "tensorboard")
        return _TensorBoard(folder)
    library = need(kind, f"track {kind}", kind)
    return _Mlflow(library, folder) if kind == "mlflow" else _WeightsAndBiases(library, folder)


def stage_values(table: pd.DataFrame) -> list[dict[str, float]]:
    """Numbers of each row of a run's curve table, in order: relstab/R_f, R_f_low, ..., test_error, ..."""
    columns = {
        f"{name}{end}": f"relstab/{short}{end}" for name, short in _NAMES.items() for end in ("", "_low", "_high")
    } | {name: name for name in _NUMBERS}
    rows = table.to_dict("records")
    return [
        {
            name: float(row[column])
            for column, name in columns.items()
            if column in row and isinstance(row[column], (int, float)) and math.isfinite(row[column])
        }
        for row in rows
    ]


@dataclass
class _TensorBoard:
    folder: Path

    def add(self, name: str, identity: str, settings: Mapping[str, Any], stages: list[dict[str, float]]) -> bool:
        from torch.utils.tensorboard import SummaryWriter

        words = re.sub(r"[^\w=.-]+", "_", name.replace(" = ", "="))
        folder = self.folder / f"{words}-{identity}"
        if folder.exists():
            return False
        with SummaryWriter(str(folder)) as writer:
            writer.add_text("settings", "\n".join(f"    {key} = {value}" for key, value in settings.items()))
            for step, values in enumerate(stages):
                for key, value in values.items():
                    writer.add_scalar(key, value, step)
        return True


@dataclass
class _Mlflow:
    library: Any
    folder: Path
    client: Any = field(init=False)
    experiment: str = field(init=False)

    def __post_init__(self) -> None:
        given = os.environ.get("MLFLOW_TRACKING_URI")
        if given is None:
            # Its folders of files need no data base, and are still read where they are asked for.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            self.folder.mkdir(parents=True, exist_ok=True)
        self.client = self.library.MlflowClient(tracking_uri=given or self.folder.as_uri())
        found = self.client.get_experiment_by_name("relstab")
        self.experiment = found.experiment_id if found else self.client.create_experiment("relstab")

    def add(self, name: str, identity: str, settings: Mapping[str, Any], stages: list[dict[str, float]]) -> bool:
        if self.client.search_runs([self.experiment], f"tags.relstab = '{identity}'", max_results=1):
            return False
        run = self.client.create_run(self.experiment, tags={"relstab": identity}, run_name=name).info.run_id
        for key, value in settings.items():
            self.client.log_param(run, key, value)
        for step, values in enumerate(stages):
            for key, value in values.items():
                self.client.log_metric(run, key, value, step=step)
        self.client.set_terminated(run)
        return True


@dataclass
class _WeightsAndBiases:
    library: Any
    folder: Path

    def add(self, name: str, identity: str, settings: Mapping[str, Any], stages: list[dict[str, float]]) -> bool:
        if any(self.folder.glob(f"wandb/*run-*-{identity}")):
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        run = self.library.init(
            project="relstab", name=name, id=identity, dir=str(self.folder), config=dict(settings),
            reinit="finish_previous", mode=os.environ.get("WANDB_MODE", "offline"),
            settings=self.library.Settings(silent=True, console="off"),
        )  # fmt: skip
        for step, values in enumerate(stages):
            run.log(values, step=step)
        run.finish()
        return True
