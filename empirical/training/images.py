"""Train one net on images and measure its stability: a pure function of a frozen configuration.

Reads top to bottom: subset, net, steps, measurement.
"""

from __future__ import annotations

import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.data.named_sets import ImageData, fingerprint, load_data, training_subset
from empirical.diffeo.fields import MaxEntropyDiffeo
from empirical.nets.airbench import SEEN, show_training_images
from empirical.nets.architectures import ARCHITECTURES, build, require_architecture
from empirical.nets.evaluation import classification_error, with_statistics
from empirical.nets.normalised import Normalised
from empirical.nets.seeding import seeded
from empirical.nets.states import require_keepable
from empirical.nets.torchvision_nets import require_size
from empirical.stability.measure import measure_probes
from empirical.stability.probes import draw_probes
from empirical.training.checkpoints import read_checkpoint, write_checkpoint
from empirical.training.config import ImageConfig
from empirical.training.descent import Descent, usable
from empirical.training.devices import device_name, require_device
from empirical.training.recipe import recipe
from empirical.training.run import Run, RunOptions
from empirical.training.run_log import RunLog
from theory.common.errors import InputError
from theory.common.table import curve_table
from theory.jobs.stopping import Stopped, asked_to_stop

__all__ = ["Normalised", "check", "run"]

_SETTLING = 500  # training images that batch norm's statistics are taken from, along training


def check(config: ImageConfig, options: RunOptions) -> str:
    """The fingerprint of the data set; InputError if there is no such data or net, P is above its size, or T folds."""
    require_architecture(config.architecture)
    if config.recipe == "fast":
        _require_recipe(config)
    data = load_data(
        config.dataset, options.data_folder, image_size=config.image_size, download=options.download
    )
    require_size(config.architecture, data.size)
    if config.train_size > len(data.train_images):
        raise InputError(
            "train_size", config.train_size, f"{config.dataset} has {len(data.train_images)} training images"
        )
    ensemble = MaxEntropyDiffeo(config.cutoff, config.displacement).ensemble(data.size)
    ensemble.require_below_folding("displacement", config.displacement)
    return fingerprint(data)


def _require_recipe(config: ImageConfig) -> None:
    """InputError if the fast recipe is not for this one of our nets; a user's own is looked at when it is made."""
    if config.architecture in ARCHITECTURES:
        with torch.device("meta"):
            net = ARCHITECTURES[config.architecture](3, 32, 10)
        recipe(config, net, config.train_size)


def run(config: ImageConfig, options: RunOptions) -> Run:
    """Train the net and measure it; see `empirical.train`."""
    images_are = check(config, options)
    device = require_device(options.device)
    checkpoint = options.checkpoint
    start, core_start = time.perf_counter(), time.process_time()
    data = load_data(config.dataset, options.data_folder, image_size=config.image_size)
    subset_seed, net_seed, batch_seed = (
        int(child.generate_state(1)[0]) for child in np.random.SeedSequence(config.seed).spawn(3)
    )
    images, labels = (part.to(device) for part in training_subset(data, config.train_size, subset_seed))
    std, mean = torch.std_mean(images.float() / 255, dim=(0, 2, 3))
    net = build(config.architecture, data.channels, data.size, len(data.classes), net_seed)
    require_keepable(net)
    model = Normalised(net, mean.cpu(), std.cpu().clamp_min(1e-3)).to(device)
    # Convolutions are faster with the channels innermost; numbers agree to rounding.
    model.to(memory_format=torch.channels_last)
    show_training_images(net, (images[:SEEN].float() / 255 - model.mean) / model.std)
    measured = _Measured(config, data, device)
    saved = None if checkpoint is None else usable(read_checkpoint(checkpoint), model, images_are)
    rows = [measured.row(model, "initial")] if saved is None else list(saved.facts["rows"])
    with seeded(batch_seed, device):  # for layers that draw, such as dropout
        descent = Descent(config, model, images, labels, torch.Generator().manual_seed(batch_seed))
        if saved is not None:
            start -= descent.restore(saved, str(checkpoint))
            core_start -= saved.facts["core_seconds"]
        told = RunLog(options.log, [] if saved is None else saved.facts["log"])
        last = time.perf_counter()
        for epoch in descent.epochs(options.progress):
            if epoch in descent.recorded:
                rows.append(measured.row(_settled(model, descent.images), f"epoch={epoch}"))
            now, core = time.perf_counter(), time.process_time() - core_start
            told.add(epoch=epoch, loss=descent.loss, learning_rate=descent.learning_rate, seconds=now - start)
            if epoch == descent.recipe.epochs:
                continue
            stop = asked_to_stop()
            if checkpoint is not None and (stop or now - last >= options.checkpoint_seconds):
                try:
                    write_checkpoint(checkpoint, descent.state(rows, now - start, core, told.rows, images_are))
                except OSError as error:  # a full disk: the run itself may still find room in the end
                    warnings.warn(f"no checkpoint could be written: {error}", RuntimeWarning, stacklevel=2)
                last = time.perf_counter()
            if stop:
                told.flush()
                raise Stopped
        told.flush()
        descent.finish()
    row = measured.row(model, "trained")
    row["train_error"] = classification_error(model, descent.images, descent.labels)
    seconds = time.perf_counter() - start
    rows.append(row | {"seconds": seconds})
    if checkpoint is not None and not options.keep_checkpoint:
        Path(checkpoint).unlink(missing_ok=True)
    return Run(
        config, curve_table(rows), model, descent.loss, seconds, descent.recipe, descent.epoch, told.table(),
        images_are, core_seconds=time.process_time() - core_start, device=device_name(device),
    )  # fmt: skip


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
            "variant": self.config.variant,
            "train_size": self.config.train_size,
            "seed": self.config.seed,
            "stage": stage,
            **stability.row(),
        }
        if stage != "initial":
            row["test_error"] = classification_error(model, *self.test)
        return row
