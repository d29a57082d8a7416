"""Train one net on images and measure its stability: a pure function of a frozen configuration.

Reads top to bottom: subset, net, steps, measurement.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.architectures import build, seeded
from empirical.config import ImageConfig, StripeConfig
from empirical.data import ImageData, load_data, training_subset
from empirical.stability import evaluation, measure_stability
from empirical.torchvision_nets import require_size
from theory.errors import InputError, require_choice
from theory.table import curve_table

__all__ = ["Normalised", "Progress", "Run", "check", "classification_error", "train"]

#: Called with the fraction of the training done, in [0, 1].
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A trained net and what was measured: the configuration, rows of the curve table, the model.

    `train_loss` is the mean loss over the last epoch; `seconds` the wall time.
    """

    config: ImageConfig | StripeConfig
    table: pd.DataFrame
    model: nn.Module
    train_loss: float
    seconds: float

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers of every stage."""
        rows = [
            {key: value for key, value in row.items() if pd.notna(value) and value != ""}
            for row in self.table.to_dict("records")
        ]
        return {"train_loss": self.train_loss, "seconds": round(self.seconds, 3), "stages": rows}

    def __repr__(self) -> str:
        last = self.table.iloc[-1]
        return (
            f"Run({last.task}, {last.architecture}, P={last.train_size}, seed={last.seed}: "
            f"R_f={last.relative_stability:.3g}, test error={last.test_error:.3g})"
        )


class Normalised(nn.Module):
    """A net behind a fixed normalisation of its input channels, (x - mean) / std."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images - self.mean) / self.std)


def check(config: ImageConfig | StripeConfig, data_folder: str | Path | None = None, download: bool = False) -> None:
    """InputError if `config` cannot be run: no such data or net, P above the data set's size, T that folds."""
    if isinstance(config, StripeConfig):
        return
    from empirical.architectures import ARCHITECTURES
    from empirical.diffeo import MaxEntropyDiffeo

    require_choice("architecture", config.architecture, tuple(ARCHITECTURES))
    data = load_data(config.dataset, data_folder, image_size=config.image_size, download=download)
    require_size(config.architecture, data.size)
    if config.train_size > len(data.train_images):
        raise InputError(
            "train_size", config.train_size, f"{config.dataset} has {len(data.train_images)} training images"
        )
    ensemble = MaxEntropyDiffeo(config.cutoff, config.displacement).ensemble(data.size)
    ensemble.require_below_folding("displacement", config.displacement)


def train(
    config: ImageConfig | StripeConfig,
    *,
    data_folder: str | Path | None = None,
    download: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train and measure the net that `config` describes; the same configuration gives the same numbers, on the
    same number of torch's threads (`sweep` takes one).

    Returns
    -------
    Run
        Its table has a row for each stage: ``initial`` and ``trained`` for images (batch norm at the start
        takes the statistics of the clean probe images), one row a recorded unfit fraction for the stripe.

    Raises
    ------
    InputError
        As `check`, and with ``learning_rate`` or ``time_step`` if the training loss stops being finite.
    """
    if isinstance(config, StripeConfig):
        from empirical.stripes import train_stripe

        return train_stripe(config, progress=progress)
    check(config, data_folder, download)
    start = time.perf_counter()
    data = load_data(config.dataset, data_folder, image_size=config.image_size, download=download)
    subset_seed, net_seed, batch_seed = (
        int(child.generate_state(1)[0]) for child in np.random.SeedSequence(config.seed).spawn(3)
    )
    images, labels = training_subset(data, config.train_size, subset_seed)
    inputs = images.float() / 255
    std, mean = torch.std_mean(inputs, dim=(0, 2, 3))
    net = build(config.architecture, data.channels, data.size, len(data.classes), net_seed)
    model = Normalised(net, mean, std.clamp_min(1e-3))
    rows = [_measure(model, data, config, "initial")]
    with seeded(batch_seed):  # for layers that draw, such as dropout
        loss = _descend(model, inputs, labels, config, torch.Generator().manual_seed(batch_seed), progress)
    row = _measure(model, data, config, "trained")
    row["train_error"] = classification_error(model, inputs, labels)
    seconds = time.perf_counter() - start
    rows.append(row | {"seconds": seconds})
    return Run(config, curve_table(rows), model, loss, seconds)


def _descend(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    config: ImageConfig,
    generator: torch.Generator,
    progress: Progress | None,
) -> float:
    """SGD with Nesterov-free momentum, no decay on biases and norms, cosine to zero; the last epoch's loss."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}],
        lr=config.learning_rate,
        momentum=config.momentum,
    )
    batches = math.ceil(len(inputs) / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.min_steps / batches))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    # Convolutions on a CPU are faster with the channels innermost; numbers agree to rounding.
    model.to(memory_format=torch.channels_last)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    model.train()
    total = math.inf
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(inputs), generator=generator).split(config.batch_size):
            loss = functional.cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        if not math.isfinite(total):
            raise InputError(
                "learning_rate", config.learning_rate, f"the loss became {total} in epoch {epoch + 1}; lower it"
            )
        if progress is not None:
            progress((epoch + 1) / epochs)
    model.eval()
    with torch.no_grad():  # the last step comes after the last loss
        if not bool(torch.isfinite(model(inputs[:500])).all()):
            raise InputError("learning_rate", config.learning_rate, "the net's outputs became infinite; lower it")
    return total / len(inputs)


def classification_error(model: nn.Module, inputs: Tensor, labels: Tensor, batch_size: int = 500) -> float:
    """Fraction of `inputs` whose largest logit is not their label's."""
    wrong = 0
    with evaluation(model):
        for batch, truth in zip(inputs.split(batch_size), labels.split(batch_size), strict=True):
            wrong += int((model(batch).argmax(1) != truth).sum())
    return wrong / len(inputs)


def _measure(model: nn.Module, data: ImageData, config: ImageConfig, stage: str) -> dict[str, Any]:
    """One row: stability on the first test images (arXiv 2105.02468 takes 500), error on all of them.

    The probes depend on `probe_seed` alone, so that all nets and stages see the same.
    """
    stability = measure_stability(
        model,
        data.test_images[: config.probe_size].float() / 255,
        cutoff=config.cutoff,
        displacement=config.displacement,
        average=config.average,
        rng=config.probe_seed,
        batch_norm="clean" if stage == "initial" else "running",
    )
    row: dict[str, Any] = {
        "source": "image-net",
        "task": data.name,
        "architecture": config.architecture,
        "train_size": config.train_size,
        "seed": config.seed,
        "stage": stage,
        **stability.row(),
    }
    if stage == "trained":
        row["test_error"] = classification_error(model, data.test_images.float() / 255, data.test_labels)
    return row
