"""Train one net on images and measure its stability: a pure function of a frozen configuration.

Reads top to bottom: subset, net, steps, measurement.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from empirical.data.named_sets import ImageData, fingerprint, load_data, training_subset
from empirical.nets.architectures import build, require_architecture, seeded
from empirical.nets.evaluation import classification_error, with_statistics
from empirical.nets.torchvision_nets import require_size
from empirical.runs.experiments import Config
from empirical.runs.theory_runs import TheoryConfig, run_theory
from empirical.stability.measure import measure_probes
from empirical.stability.probes import draw_probes
from empirical.training.checkpoints import read_checkpoint, write_checkpoint
from empirical.training.config import ImageConfig, StripeConfig
from empirical.training.descent import Descent, Progress, usable
from empirical.training.devices import require_device
from empirical.training.recipe import Recipe
from empirical.training.run_log import RunLog
from theory.common.errors import InputError
from theory.common.table import curve_table
from theory.kernels import get_kernel

__all__ = ["Normalised", "Progress", "Run", "check", "train"]

_SETTLING = 500  # training images that batch norm's statistics are taken from, along training


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A trained net and what was measured: the configuration, rows of the curve table, the model.

    `train_loss` is the mean loss of the last epoch; `seconds` the wall time; `log` what was said on the way. For image
    nets that is epoch, loss, learning rate and seconds, `recipe` is what the configuration came to, `epoch` the one
    whose weights the model has, and `data` the fingerprint of the data set. A flow of the theory has rows alone.
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

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers of every stage."""
        rows = [
            {key: value for key, value in row.items() if pd.notna(value) and value != ""}
            for row in self.table.to_dict("records")
        ]
        chosen = {} if self.recipe is None else {"recipe": asdict(self.recipe), "epoch": self.epoch}
        return {"train_loss": self.train_loss, "seconds": round(self.seconds, 3), **chosen, "stages": rows}

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


def check(config: Config, data_folder: str | Path | None = None, download: bool = False) -> str | None:
    """The fingerprint of the data set that `config` is to be run on, for images.

    Raises
    ------
    InputError
        If it cannot be run: no such data or net, P above the data set's size, T that folds; for a flow, no such kernel
        on this machine.
    """
    if isinstance(config, TheoryConfig):
        get_kernel(config.backend)
    if not isinstance(config, ImageConfig):
        return None
    from empirical.diffeo.fields import MaxEntropyDiffeo

    require_architecture(config.architecture)
    data = load_data(config.dataset, data_folder, image_size=config.image_size, download=download)
    require_size(config.architecture, data.size)
    if config.train_size > len(data.train_images):
        raise InputError(
            "train_size", config.train_size, f"{config.dataset} has {len(data.train_images)} training images"
        )
    ensemble = MaxEntropyDiffeo(config.cutoff, config.displacement).ensemble(data.size)
    ensemble.require_below_folding("displacement", config.displacement)
    return fingerprint(data)


def train(
    config: Config,
    *,
    data_folder: str | Path | None = None,
    download: bool = False,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    keep_checkpoint: bool = False,
    log: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train and measure the net that `config` describes; the same configuration gives the same numbers, on the
    same device and number of torch's threads (`sweep` takes one).

    With `checkpoint`, a file's path, the state of an image net's training is kept there at the end of an epoch at
    least every `checkpoint_seconds`; a run that finds such a file goes on from it, to the same numbers to the bit, and
    removes it when it is done, unless told to keep it, until its results are kept. A damaged file, or one of another
    version or from other images, counts as none. With `log`, a CSV file, the training can be watched there, for images
    an epoch a line.

    Returns
    -------
    Run
        Its table has a row for each stage: ``initial``, ``epoch=K`` where `records` asks for it, and ``trained`` for
        images (batch norm takes the statistics of the clean probe images at the start, those of training images along
        the way, where running ones lag behind, and the running ones in the end), one row a recorded unfit
        fraction for the stripe.

    Raises
    ------
    InputError
        As `check`, if there is no such device, if the checkpoint is another configuration's, and with
        ``learning_rate`` or ``time_step`` if the training loss stops being finite.
    """
    if isinstance(config, TheoryConfig):
        table, seconds = run_theory(config)
        return Run(config, table, None, math.nan, seconds)
    if isinstance(config, StripeConfig):
        from empirical.training.stripes import train_stripe

        return train_stripe(config, log=log, progress=progress)
    images_are = check(config, data_folder, download)
    place = require_device(device)
    start = time.perf_counter()
    data = load_data(config.dataset, data_folder, image_size=config.image_size, download=download)
    subset_seed, net_seed, batch_seed = (
        int(child.generate_state(1)[0]) for child in np.random.SeedSequence(config.seed).spawn(3)
    )
    images, labels = (part.to(place) for part in training_subset(data, config.train_size, subset_seed))
    std, mean = torch.std_mean(images.float() / 255, dim=(0, 2, 3))
    net = build(config.architecture, data.channels, data.size, len(data.classes), net_seed)
    model = Normalised(net, mean.cpu(), std.cpu().clamp_min(1e-3)).to(place)
    # Convolutions are faster with the channels innermost; numbers agree to rounding.
    model.to(memory_format=torch.channels_last)
    measured = _Measured(config, data, place)
    saved = None if checkpoint is None else usable(read_checkpoint(checkpoint), model, images_are)
    rows = [measured.row(model, "initial")] if saved is None else list(saved.facts["rows"])
    with seeded(batch_seed, place):  # for layers that draw, such as dropout
        descent = Descent(config, model, images, labels, torch.Generator().manual_seed(batch_seed))
        if saved is not None:
            start -= descent.restore(saved, str(checkpoint))
        told = RunLog(log, [] if saved is None else saved.facts["log"])
        last = time.perf_counter()
        for epoch in descent.epochs(progress):
            if epoch in descent.recorded:
                rows.append(measured.row(_settled(model, descent.images), f"epoch={epoch}"))
            now = time.perf_counter()
            told.add(epoch=epoch, loss=descent.loss, learning_rate=descent.learning_rate, seconds=now - start)
            if checkpoint is not None and now - last >= checkpoint_seconds and epoch < descent.recipe.epochs:
                try:
                    write_checkpoint(checkpoint, descent.state(rows, now - start, told.rows, images_are))
                except OSError as error:  # a full disk: the run itself may still find room in the end
                    warnings.warn(f"no checkpoint could be written: {error}", RuntimeWarning, stacklevel=2)
                last = time.perf_counter()
        told.flush()
        descent.finish()
    row = measured.row(model, "trained")
    row["train_error"] = classification_error(model, descent.images, descent.labels)
    seconds = time.perf_counter() - start
    rows.append(row | {"seconds": seconds})
    if checkpoint is not None and not keep_checkpoint:
        Path(checkpoint).unlink(missing_ok=True)
    return Run(
        config, curve_table(rows), model, descent.loss, seconds, descent.recipe, descent.epoch, told.table(), images_are
    )


def _settled(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy whose batch norm has the statistics of training images: running ones lag behind weights that move fast."""
    return with_statistics(model, images[:_SETTLING].float() / 255, "clean")


class _Measured:
    """Stability on the first test images (arXiv 2105.02468 takes 500), error on all of them.

    The probes depend on `probe_seed` alone, so that all nets and stages see the same.
    """

    def __init__(self, config: ImageConfig, data: ImageData, device: torch.device) -> None:
        self.config, self.name = config, data.name
        self.test = data.test_images.to(device), data.test_labels.to(device)
        self.rng = np.random.default_rng(config.probe_seed)
        self.probes = draw_probes(
            self.test[0][: config.probe_size].float() / 255,
            cutoff=config.cutoff, displacement=config.displacement, rng=self.rng,
        )  # fmt: skip

    def row(self, model: nn.Module, stage: str) -> dict[str, Any]:
        """One row of the curve table."""
        stability = measure_probes(
            model,
            self.probes,
            average=self.config.average,
            rng=copy.deepcopy(self.rng),  # the same resampled images at every stage
            batch_norm="clean" if stage == "initial" else "running",
        )
        row: dict[str, Any] = {
            "source": "images",
            "task": self.name,
            "architecture": self.config.architecture,
            "train_size": self.config.train_size,
            "seed": self.config.seed,
            "stage": stage,
            **stability.row(),
        }
        if stage != "initial":
            row["test_error"] = classification_error(model, *self.test)
        return row
