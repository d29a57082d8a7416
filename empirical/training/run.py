"""What a run is told, and what it returns. No torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from empirical.training.config import Config

if TYPE_CHECKING:
    import torch
    from torch import nn

    from empirical.training.recipe import Recipe

__all__ = ["Progress", "Run", "RunOptions", "with_warning"]

#: Called with the fraction of the training done, in [0, 1].
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how a run is done; nothing here changes its numbers, but for the device's rounding.

    Attributes
    ----------
    data_folder, download : see `empirical.load_data`
    device : where image nets are trained
    checkpoint : file that keeps the state of a training that is cut; None keeps none
    checkpoint_seconds : how often it is written, at least
    keep_checkpoint : whether it stays when the run is done, until its results are kept
    log : CSV file in which the training can be watched
    progress : called with the part done
    """

    data_folder: str | Path | None = None
    download: bool = False
    device: str | torch.device = "cpu"
    checkpoint: str | Path | None = None
    checkpoint_seconds: float = 60.0
    keep_checkpoint: bool = False
    log: str | Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A trained net and what was measured: the configuration, rows of the curve table, the model.

    `train_loss` is the mean loss of the last epoch; `seconds` the wall time; `log` what was said on the way. For image
    nets that is epoch, loss, learning rate and seconds, `recipe` is what the configuration came to, `epoch` the one
    whose weights the model has, and `data` the fingerprint of the data set. `core_seconds` is the processor's time, of
    all threads of the process, which others who use the machine do not add to, and `device` where the steps were
    done, a GPU by its name. A flow of the theory has rows alone. `shortfall` says in words why a training ended before
    its goal, and is empty if it did not; whoever asked for the run tells it.
    """

    config: Config
    table: pd.DataFrame
    model: nn.Module | None
    train_loss: float
    seconds: float
    recipe: Recipe | None = None
    epoch: int | None = None
    log: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    data: str | None = None
    shortfall: str = ""
    core_seconds: float | None = None
    device: str = "cpu"

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers of every stage."""
        rows = [
            {key: value for key, value in row.items() if pd.notna(value) and value != ""}
            for row in self.table.to_dict("records")
        ]
        chosen: dict[str, Any] = {} if self.recipe is None else {"recipe": asdict(self.recipe), "epoch": self.epoch}
        if self.core_seconds is not None:
            chosen["core_seconds"] = round(self.core_seconds, 3)
        return {"train_loss": self.train_loss, "seconds": round(self.seconds, 3), **chosen, "stages": rows}

    def __repr__(self) -> str:
        last = self.table.iloc[-1]
        return (
            f"Run({last.task}, {last.architecture}, P={last.train_size}, seed={last.seed}: "
            f"R_f={last.relative_stability:.3g}, test error={last.test_error:.3g})"
        )


def with_warning(run: Run) -> Run:
    """The run as it is, with a warning to the caller's caller if it ended before its goal."""
    if run.shortfall:
        told = f"P = {run.config.train_size}, seed {run.config.seed}: {run.shortfall}"
        warnings.warn(told, RuntimeWarning, stacklevel=3)
    return run
