"""The store of a sweep's runs: `theory.runs.store`, and with it the nets' weights and the data they were trained on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch

from empirical.nets.weights import save_weights
from empirical.training.run import Run
from theory.common.errors import InputError
from theory.runs.run_config import Config
from theory.runs.store import Failure, RunState
from theory.runs.store import RunStore as AnyRunStore

__all__ = ["Failure", "RunState", "RunStore"]


class RunStore(AnyRunStore):
    """A folder of finished runs, content-addressed by their configurations; made when a run is first written."""

    def write(self, run: Run, device: str = "cpu", weights: bool = True) -> None:
        """Keep a finished run, with its weights unless told not to; one that was finished meanwhile stays."""
        environment = {
            **({} if run.data is None else {"data": run.data}),
            "torch": torch.__version__,
            "device": device,
            "threads": str(torch.get_num_threads()),
        }
        save = None if run.model is None or not weights else partial(_save, run.model)
        self.keep(
            run.config, run.table, log=run.log, shortfall=run.shortfall, environment=environment, more=save
        )

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


def _save(model: torch.nn.Module, folder: Path) -> None:
    save_weights(model, folder / "weights.safetensors")
