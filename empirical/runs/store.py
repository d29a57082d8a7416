"""The store of a sweep's runs: `theory.runs.store`, and with it the nets' weights and the data they were trained on."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from empirical.nets.weights import save_weights
from empirical.training.run import Run
from theory.common.errors import InputError
from theory.runs.run_config import Config
from theory.runs.store import Failure, RunState
from theory.runs.store import RunStore as AnyRunStore

__all__ = ["Failure", "RunState", "RunStore"]

_TRAINING, _WEIGHTS = "training.json", "weights.safetensors"


class RunStore(AnyRunStore):
    """A folder of finished runs, content-addressed by their configurations; made when a run is first written."""

    dispensable = frozenset({_WEIGHTS})

    def write(self, run: Run, device: str = "cpu", weights: bool = True) -> None:
        """Keep a finished run, with its weights unless told not to; one that was finished meanwhile stays."""
        environment = {
            **({} if run.data is None else {"data": run.data}),
            "torch": torch.__version__,
            "device": device,
            "threads": str(torch.get_num_threads()),
        }
        self.keep(
            run.config, run.table, log=run.log, shortfall=run.shortfall, environment=environment,
            more=partial(_write_training, run, weights),
        )  # fmt: skip

    def training(self, config: Config) -> dict[str, Any] | None:
        """How an image net was trained: what its recipe came to, with the precision that was chosen; its number of
        parameters, the seconds of processor time, and the device. None if there is no such run, or none was written,
        as in stores from before.
        """
        try:
            found: dict[str, Any] = json.loads((self.path(config) / _TRAINING).read_text())
        except (OSError, ValueError):
            return None
        return found

    def require_data(self, config: Config, data: str | None) -> None:
        """InputError if the run that is kept was made on other images than those of this fingerprint."""
        try:
            made_on = json.loads((self.path(config) / "environment.json").read_text()).get("data")
        except (OSError, ValueError, AttributeError):
            return
        if made_on is not None and made_on != data:
            raise InputError(
                "data", getattr(config, "dataset", ""),
                f"the store's run of P = {config.train_size}, seed {config.seed} was made on other images: "
                "take another store",
            )  # fmt: skip


def _write_training(run: Run, weights: bool, folder: Path) -> None:
    """The weights, if they are to be kept, and `RunStore.training`."""
    if run.model is not None and weights:
        save_weights(run.model, folder / _WEIGHTS)
    if run.recipe is not None and run.model is not None:
        told = {
            "recipe": asdict(run.recipe),
            "parameters": sum(one.numel() for one in run.model.parameters()),
            "core_seconds": run.core_seconds,
            "device": run.device,
        }
        (folder / _TRAINING).write_text(json.dumps(told, indent=1) + "\n")
