"""Train one net on images and measure its stability: a pure function of a frozen configuration.

Reads top to bottom: subset, net, steps, measurement.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.architectures import build, seeded
from empirical.checkpoints import Checkpoint, optimizer_state, read_checkpoint, restore_optimizer, write_checkpoint
from empirical.config import ImageConfig, StripeConfig, config_hash
from empirical.data import ImageData, load_data, training_subset
from empirical.devices import require_device
from empirical.evaluation import classification_error, evaluation
from empirical.probes import draw_probes
from empirical.recipe import Recipe, crop_and_flip, recipe
from empirical.stability import measure_probes
from empirical.torchvision_nets import require_size
from theory.errors import InputError, require_choice
from theory.table import curve_table

__all__ = ["Normalised", "Progress", "Run", "check", "train"]

#: Called with the fraction of the training done, in [0, 1].
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A trained net and what was measured: the configuration, rows of the curve table, the model.

    `train_loss` is the mean loss over the last epoch; `seconds` the wall time. For image nets, `recipe` is what the
    configuration came to and `epoch` the one whose weights the model has.
    """

    config: ImageConfig | StripeConfig
    table: pd.DataFrame
    model: nn.Module
    train_loss: float
    seconds: float
    recipe: Recipe | None = None
    epoch: int | None = None

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
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Run:
    """Train and measure the net that `config` describes; the same configuration gives the same numbers, on the
    same device and number of torch's threads (`sweep` takes one).

    With `checkpoint`, a file's path, the state of an image net's training is kept there at the end of an epoch at
    least every `checkpoint_seconds`; a run that finds such a file goes on from it, to the same numbers to the bit, and
    removes it when it is done. A damaged file counts as none.

    Returns
    -------
    Run
        Its table has a row for each stage: ``initial``, ``epoch=K`` where `records` asks for it, and ``trained`` for
        images (batch norm at the start takes the statistics of the clean probe images), one row a recorded unfit
        fraction for the stripe.

    Raises
    ------
    InputError
        As `check`, if there is no such device, if the checkpoint is another configuration's, and with
        ``learning_rate`` or ``time_step`` if the training loss stops being finite.
    """
    if isinstance(config, StripeConfig):
        from empirical.stripes import train_stripe

        return train_stripe(config, progress=progress)
    check(config, data_folder, download)
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
    saved = None if checkpoint is None else read_checkpoint(checkpoint)
    rows = [measured.row(model, "initial")] if saved is None else list(saved.facts["rows"])
    with seeded(batch_seed, place):  # for layers that draw, such as dropout
        descent = _Descent(config, model, images, labels, torch.Generator().manual_seed(batch_seed))
        if saved is not None:
            start -= descent.restore(saved, str(checkpoint))
        last = time.perf_counter()
        for epoch in descent.epochs(progress):
            if epoch in descent.recorded:
                rows.append(measured.row(model, f"epoch={epoch}"))
            now = time.perf_counter()
            if checkpoint is not None and now - last >= checkpoint_seconds and epoch < descent.recipe.epochs:
                write_checkpoint(checkpoint, descent.state(rows, now - start))
                last = time.perf_counter()
        descent.finish()
    row = measured.row(model, "trained")
    row["train_error"] = classification_error(model, images, labels)
    seconds = time.perf_counter() - start
    rows.append(row | {"seconds": seconds})
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return Run(config, curve_table(rows), model, descent.loss, seconds, descent.recipe, descent.epoch)


class _Descent:
    """The steps: epoch after epoch, the training set as bytes on the device, a batch at a time as numbers."""

    def __init__(
        self, config: ImageConfig, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> None:
        self.config, self.model, self.generator = config, model, generator
        # The subset is in random order, so that any part of it is a random one.
        held = math.ceil(config.held_out * len(images)) if config.weights == "best" else 0
        self.held = images[:held], labels[:held]
        self.images, self.labels = images[held:], labels[held:]
        self.recipe = recipe(config, model, len(self.images))
        last = self.recipe.epochs
        spaced = np.geomspace(1, last, config.records + 1)[:-1] if config.records else np.empty(0)
        self.recorded = {int(epoch) for epoch in spaced.round()} - {last}
        self.loss, self.epoch = math.inf, last
        self._best: tuple[tuple[float, float], dict[str, Tensor]] | None = None
        self.optimizer, self.schedule = self.recipe.make(model)
        self.done = 0

    def state(self, rows: list[dict[str, Any]], seconds: float) -> Checkpoint:
        """All that the epochs to come depend on, and what was measured so far."""
        optimizer = optimizer_state(self.optimizer)
        best: dict[str, Tensor] = {} if self._best is None else self._best[1]
        tensors = {
            **{f"model/{name}": value for name, value in self.model.state_dict().items()},
            **{f"optimizer/{name}": value for name, value in optimizer.tensors.items()},
            **{f"best/{name}": value for name, value in best.items()},
            "random/batches": self.generator.get_state(),
            "random/layers": torch.get_rng_state(),
        }
        if self.images.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.images.device)
        facts = {
            "config": config_hash(self.config), "rows": rows, "seconds": seconds, "done": self.done, "loss": self.loss,
            "epoch": self.epoch, "score": None if self._best is None else self._best[0],
            "groups": optimizer.facts["groups"], "schedule": self.schedule.state_dict(),
        }  # fmt: skip
        return Checkpoint(tensors, facts)

    def restore(self, saved: Checkpoint, path: str) -> float:
        """Go on from there; the seconds that it took to get there."""
        facts = saved.facts
        if facts["config"] != config_hash(self.config):
            raise InputError("checkpoint", path, "is that of another configuration")
        self.model.load_state_dict(saved.part("model"))
        restore_optimizer(self.optimizer, saved.part("optimizer"), facts["groups"])
        self.schedule.load_state_dict(facts["schedule"])
        if facts["score"] is not None:
            self._best = (facts["score"][0], facts["score"][1]), saved.part("best")
        random = saved.part("random")
        self.generator.set_state(random["batches"])
        torch.set_rng_state(random["layers"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.images.device)
        self.done, self.loss, self.epoch = facts["done"], facts["loss"], facts["epoch"]
        return float(facts["seconds"])

    def epochs(self, progress: Progress | None) -> Iterator[int]:
        """Train, and stop after every epoch for the caller to look at the model."""
        for epoch in range(self.done + 1, self.recipe.epochs + 1):
            self.model.train()
            total = torch.zeros((), device=self.images.device)
            for places in self.recipe.epoch(len(self.images), self.generator):
                loss = self._loss(places.to(self.images.device))
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.schedule.step()
                total += loss.detach() * len(places)
            self.loss = float(total) / len(self.images)
            if not math.isfinite(self.loss):
                self._refuse(f"the loss became {self.loss} in epoch {epoch}")
            self._keep_the_best(epoch)
            self.done = epoch
            if progress is not None:
                progress(epoch / self.recipe.epochs)
            yield epoch

    def _loss(self, places: Tensor) -> Tensor:
        images = self.images[places]
        if self.recipe.augmented:
            images = crop_and_flip(images, self.generator)
        inputs = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            return functional.cross_entropy(self.model(inputs), self.labels[places])

    def _keep_the_best(self, epoch: int) -> None:
        """Fewest errors on the held-out part, and of epochs with as many the least loss there."""
        if not len(self.held[0]):
            return
        with evaluation(self.model):
            logits = torch.cat([self.model(part.float() / 255) for part in self.held[0].split(500)])
            wrong = float((logits.argmax(1) != self.held[1]).float().mean())
            score = wrong, float(functional.cross_entropy(logits, self.held[1]))
        if self._best is None or score < self._best[0]:
            self._best = score, {name: value.clone() for name, value in self.model.state_dict().items()}
            self.epoch = epoch

    def finish(self) -> None:
        """Put the weights that are kept into the model, in eval mode."""
        if self._best is not None:
            self.model.load_state_dict(self._best[1])
        with evaluation(self.model):  # the last step comes after the last loss
            if not bool(torch.isfinite(self.model(self.images[:500].float() / 255)).all()):
                self._refuse("the net's outputs became infinite")
        self.model.eval()

    def _refuse(self, what: str) -> None:
        raise InputError("learning_rate", self.recipe.learning_rate, f"{what}; lower it")


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
            "source": "image-net",
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
