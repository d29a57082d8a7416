"""Descend a net of the tasks solved by construction to a training loss, by SGD, and say how that ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig
from empirical.training.run import Progress, Run
from empirical.training.run_log import RunLog
from theory.common.errors import InputError
from theory.common.table import curve_table

__all__ = ["End", "Recipe", "descend", "finished"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a net is descended: SGD whose steps are `rate` long, on batches, to `stop_loss` or for `epochs`."""

    loss: Callable[[Tensor, Tensor], Tensor]
    rate: float
    momentum: float
    batch: int
    epochs: int
    stop_loss: float
    linear: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How the descent ended; `converged` is None where no loss was asked for."""

    epoch: int
    loss: float
    converged: bool | None


def descend(
    net: nn.Module,
    epoch_inputs: Callable[[], Tensor],
    labels: Tensor,
    recipe: Recipe,
    rng: np.random.Generator,
    log: RunLog,
    progress: Progress | None,
) -> End:
    """Epoch after epoch in a new order; `epoch_inputs` gives the training inputs, which may change from epoch to epoch.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite.
    """
    began = time.perf_counter()
    optimizer = torch.optim.SGD(net.parameters(), lr=recipe.rate, momentum=recipe.momentum)
    steps = recipe.epochs * math.ceil(len(labels) / recipe.batch)
    taken, loss = 0, math.inf
    for epoch in range(1, recipe.epochs + 1):
        order = torch.as_tensor(rng.permutation(len(labels)))
        # Shuffled once an epoch, so that batches are views of it.
        inputs, truth = epoch_inputs()[order], labels[order]
        total = 0.0
        for batch, wanted in zip(inputs.split(recipe.batch), truth.split(recipe.batch), strict=True):
            if recipe.linear:
                optimizer.param_groups[0]["lr"] = recipe.rate * (1 - taken / steps)
            objective = recipe.loss(net(batch), wanted)
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
            total += float(objective.detach()) * len(batch)
            taken += 1
        loss = total / len(labels)
        if not math.isfinite(loss):
            raise InputError("learning_rate", recipe.rate, f"the loss overflowed in epoch {epoch}; lower it")
        log.add(epoch=epoch, loss=loss, seconds=time.perf_counter() - began)
        if progress is not None:
            progress(epoch / recipe.epochs)
        if loss <= recipe.stop_loss:
            break
    log.flush()
    return End(epoch, loss, loss <= recipe.stop_loss)


def finished(
    config: HierarchyConfig | ScaleDetectionConfig,
    net: nn.Module,
    rows: list[dict[str, Any]],
    end: End,
    told: RunLog,
    began: float,
) -> Run:
    """The run; its last row, of the trained net's output, and its shortfall tell how the training ended."""
    shortfall = ""
    if end.converged is False:
        shortfall = (
            f"not converged: loss {end.loss:.3g} after {end.epoch} epochs, {config.stop_loss:g} was asked for"
        )
    seconds = time.perf_counter() - began
    rows[-1] |= {"train_loss": end.loss, "seconds": seconds}
    if end.converged is not None:
        rows[-1]["converged"] = int(end.converged)
    table, log = curve_table(rows), told.table()
    return Run(config, table, net, end.loss, seconds, epoch=end.epoch, log=log, shortfall=shortfall)
