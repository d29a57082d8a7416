"""The command `relstab train`: one net, trained and measured."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from empirical.commands.measure import require_torch
from empirical.training.config import ImageConfig, StripeConfig, image_side
from theory.common.errors import InputError
from theory.common.table import require_table_path, write_table
from theory.common.terminal import Terminal

__all__ = ["Train"]


def _show(terminal: Terminal, title: str, table: pd.DataFrame) -> None:
    """One line for each stage; intervals are over the probes."""

    def interval(row: dict[Any, Any]) -> str:
        value, low, high = (row[f"relative_stability{end}"] for end in ("", "_low", "_high"))
        return f"{value:.3g} [{low:.3g}, {high:.3g}]"

    terminal.table(
        title,
        ["stage", "R_f", "D_f", "G_f", "test error"],
        [
            [
                str(row["stage"]), interval(row),
                f"{row['diffeo_stability']:.3g}", f"{row['noise_stability']:.3g}",
                "" if np.isnan(row["test_error"]) else f"{row['test_error']:.4f}",
            ]
            for row in table.to_dict("records")
        ],
    )  # fmt: skip


@dataclass(frozen=True)
class Train:
    """Train one net and measure its relative stability.

    A net on images is measured before and after training, one on the stripe at unfit fractions.

    For example:
    - `relstab train --dataset digits --train-size 512`
    - `relstab train --dataset fashion-mnist --data DATA --architecture resnet-small --train-size 1024`
    - `relstab train --architecture resnet18 --dataset cifar10 --data DATA --device cuda --keep-weights net.safetensors`
    - `relstab train --dataset stripe --train-size 1024 --json`
    - `relstab train --dataset stripe --hidden-layers 2 --width 256 --scale 0.01 --batch-size 64 --time-step 0.03`
    """

    dataset: str = "digits"
    """fashion-mnist, mnist, cifar10, svhn, digits, images:FOLDER, or stripe."""
    architecture: str = "lenet"
    """fully-connected, fc2, fc4, fc6, lenet, resnet-small, vgg-small, vgg-small-bn, alexnet, vgg11 ... vgg19-bn,
    resnet18, resnet34, resnet50, efficientnet-b0, mobilenet-v2, densenet121, vit-small, convnext-small, or one's own,
    package.module:function; the stripe's net has hidden-layers."""
    train_size: int = 512
    """P, number of training points."""
    seed: int = 0
    """Draws the training set, the initial net and the batches."""
    image_size: int | None = None
    """Resize the images to this side; by default only the digits, to 16."""
    epochs: int = ImageConfig().epochs
    """Passes over the training set, or more: see min-steps."""
    min_steps: int = ImageConfig().min_steps
    """Least number of steps, for small P."""
    batch_size: int | None = None
    """Points in a step, at most; 128 for images, all of them for the stripe."""
    optimizer: str = "auto"
    """auto, sgd or adam; auto is Adam for nets without convolutions, SGD with momentum 0.9 for all others, and plain
    descent (sgd) on the stripe."""
    learning_rate: float | None = None
    """At the start; a cosine takes it to zero. By default 0.1 for SGD with batch norm, 0.01 without, 0.001 for Adam.
    On the stripe Adam's alone, and constant; see time-step."""
    weight_decay: float | None = None
    """Not on biases and norms; by default 5e-4 for SGD, 0 for Adam."""
    augmentation: str = "auto"
    """auto, none or crop-flip; auto crops and flips cifar10 alone."""
    weights: str = "last"
    """last, or best: of the epoch of least error on a held-out part of the training set."""
    held_out: float = ImageConfig().held_out
    """That part, if weights are the best."""
    records: int = 0
    """Measure at so many log-spaced epochs besides."""
    precision: str = "float32"
    """Of the products in training: float32 or bfloat16."""
    cutoff: int = 3
    """c of the diffeomorphisms."""
    displacement: float = 1.0
    """delta of the diffeomorphisms in pixels."""
    average: str = "mean"
    """Over images: mean, median or coordinate-median."""
    dim: int = 30
    """d of the stripe."""
    width: int = 1000
    """h of the stripe's net."""
    hidden_layers: int = 1
    """Of the stripe's net: 1, 2 or 3."""
    scale: float = 1e-6
    """alpha of the stripe's net."""
    time_step: float = StripeConfig().time_step
    """Step of the stripe's net under sgd; its learning rate is h times this."""
    weight_change: float | None = None
    """Largest part of a layer's weights in the stripe's net that an sgd step may change, 0.03 say; else no bound."""
    check_steps: int | None = None
    """Look at the stripe's unfit fraction after so many steps on batches, not only after an epoch."""
    data: Path | None = None
    """Folder of the data sets; the environment variable RELSTAB_DATA otherwise."""
    download: bool = False
    """Fetch a data set that is not there."""
    device: str = "cpu"
    """Where an image net is trained: cpu, cuda, ..."""
    output: Path | None = None
    """Curve table to write, .csv or .parquet."""
    keep_weights: Path | None = None
    """Where to write the trained net's weights, .safetensors, for relstab measure."""
    json: bool = False
    """Print JSON instead of a table."""

    def config(self) -> ImageConfig | StripeConfig:
        """The run's configuration."""
        kind: Any = StripeConfig if self.dataset == "stripe" else ImageConfig
        own = {item.name for item in fields(kind)}
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name in own}
        shared = {"data", "download", "output", "json", "dataset", "device", "keep_weights"}
        for item in fields(self):
            value = getattr(self, item.name)
            unread = item.name not in own | shared or (item.name == "device" and kind is StripeConfig)
            if unread and value != item.default:
                raise InputError(item.name, value, f"is not read for {self.dataset}; leave it out")
        if self.held_out != ImageConfig().held_out and self.weights != "best":
            raise InputError("held_out", self.held_out, "is read with weights best only")
        if given["batch_size"] is None:
            del given["batch_size"]
        if kind is StripeConfig and given["optimizer"] == "auto":
            del given["optimizer"]
        if kind is ImageConfig:
            given["image_size"] = image_side(self.dataset, self.image_size)
        config: ImageConfig | StripeConfig = kind(**given)
        return config

    def run(self) -> dict[str, Any]:
        require_torch()
        from empirical.nets.weights import require_weights_path, save_weights
        from empirical.runs.kinds import train

        terminal = Terminal(self.json)
        config = self.config()
        if self.output is not None:
            require_table_path("output", self.output)
        if self.keep_weights is not None:
            require_weights_path("keep_weights", self.keep_weights)
        with terminal.progress("train") as report:
            run = train(
                config, data_folder=self.data, download=self.download, device=self.device,
                progress=lambda part: report(part, ""),
            )  # fmt: skip
        first = run.table.iloc[0]
        title = f"{first.task}, {first.architecture}, P = {first.train_size}, seed {first.seed}; {run.seconds:.1f} s"
        _show(terminal, title, run.table)
        if self.keep_weights is not None:
            assert run.model is not None  # images and stripes have one
            save_weights(run.model, self.keep_weights)
            terminal.line(f"wrote {self.keep_weights}")
        if self.output is not None:
            write_table(run.table, self.output)
            terminal.line(f"wrote {self.output}")
        return run.summary()
