"""The command `relstab train`: one net, trained and measured."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import tyro

from empirical.commands.measure import require_torch
from empirical.training.config import Average, Config, ImageConfig, StripeConfig, image_side
from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig
from theory.common.errors import InputError
from theory.common.options import choice, made, nested, options_of
from theory.common.table import require_table_path, write_table
from theory.common.terminal import Terminal

__all__ = ["SHARED", "Train"]

#: Settings of all nets alike: options once, with defaults that may depend on what is learnt.
SHARED = ("train_size", "seed", "batch_size", "optimizer", "learning_rate", "average", "probe_size")
Optimizer = Literal["auto", "sgd", "adam", "muon"]
#: Momentum is read by SGD alone, which a recipe may choose or not.
_IMAGES = options_of(ImageConfig, "dataset", "momentum", *SHARED)
_STRIPE = options_of(StripeConfig, *SHARED)
_SRHM = options_of(HierarchyConfig, *SHARED)
_SCALE_DETECTION = options_of(ScaleDetectionConfig, *SHARED)


def _show(terminal: Terminal, title: str, table: pd.DataFrame) -> None:
    """One line for each stage; intervals are over the probes."""

    def interval(row: dict[Any, Any]) -> str:
        value, low, high = (row[f"relative_stability{end}"] for end in ("", "_low", "_high"))
        return f"{value:.3g} [{low:.3g}, {high:.3g}]"

    columns = {"D_f": "diffeo_stability", "G_f": "noise_stability", "S_f": "synonym_stability"}
    shown = {symbol: name for symbol, name in columns.items() if table[name].notna().any()}
    terminal.table(
        title,
        ["stage", "R_f", *shown, "test error"],
        [
            [
                " ".join(filter(None, (row["stage"], row["layer"]))),
                interval(row),
                *(f"{row[name]:.3g}" for name in shown.values()),
                "" if np.isnan(row["test_error"]) else f"{row['test_error']:.4f}",
            ]
            for row in table.to_dict("records")
        ],
    )


@dataclass(frozen=True)
class Train:
    """Train one net and measure its relative stability.

    A net on images is measured before and after training, one on the stripe at unfit fractions, one on a random
    hierarchy (srhm) or on scale detection also layer by layer.

    For example:
    - `relstab train --dataset digits --train-size 512`
    - `relstab train --dataset fashion-mnist --data DATA --architecture resnet-small --train-size 1024`
    - `relstab train --architecture resnet18 --dataset cifar10 --data DATA --device cuda --keep-weights net.safetensors`
    - `relstab train --dataset stripe --train-size 1024 --json`
    - `relstab train --dataset stripe --hidden-layers 2 --width 256 --scale 0.01 --batch-size 64 --time-step 0.03`
    - `relstab train --dataset srhm --srhm.sparsity 2 --srhm.architecture lcn --train-size 4000`
    - `relstab train --dataset scale-detection --scale-detection.task distance --train-size 1024`
    """

    dataset: str = ImageConfig().dataset
    """fashion-mnist, mnist, cifar10, svhn, digits, images:FOLDER, stripe, srhm, or scale-detection."""
    train_size: int = 512
    """P, number of training points."""
    seed: int = 0
    """Draws the training set, the initial net and the batches."""
    batch_size: int | None = None
    """Points in a step, at most; 128 for images, all of them for the stripe."""
    optimizer: Annotated[Optimizer, choice(Optimizer)] = "auto"
    """auto is Adam for nets without convolutions, SGD with momentum for all others, and plain descent (sgd) on the
    stripe; muon is of the fast recipe for images."""
    learning_rate: float | None = None
    """At the start; a cosine takes it to zero. By default 0.1 for SGD with batch norm, 0.01 without, 0.001 for Adam. In
    the fast recipe the peak. On the stripe Adam's alone, and constant; see time-step."""
    average: Annotated[Average, choice(Average)] = "mean"
    """Over the probe images, or points."""
    probe_size: int | None = None
    """How many these are; 500 images, or 10000 points."""
    images: Annotated[ImageConfig, *nested(_IMAGES)] = field(default_factory=_IMAGES)
    """Nets on images."""
    stripe: Annotated[StripeConfig, *nested(_STRIPE)] = field(default_factory=_STRIPE)
    """Nets on the stripe."""
    srhm: Annotated[HierarchyConfig, tyro.conf.arg(constructor=_SRHM)] = field(default_factory=_SRHM)
    """Nets on a Sparse Random Hierarchy."""
    scale_detection: Annotated[ScaleDetectionConfig, tyro.conf.arg(constructor=_SCALE_DETECTION)] = field(
        default_factory=_SCALE_DETECTION
    )
    """Nets that detect a scale."""
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

    def config(self) -> Config:
        """The run's configuration."""
        groups: dict[str, tuple[type[Any], Any]] = {
            "stripe": (StripeConfig, self.stripe),
            "srhm": (HierarchyConfig, self.srhm),
            "scale-detection": (ScaleDetectionConfig, self.scale_detection),
        }
        kind, own = groups.get(self.dataset, (ImageConfig, self.images))
        solved = kind is not ImageConfig
        if solved and self.device != "cpu":
            raise InputError("device", self.device, f"is not read for {self.dataset}; leave it out")
        for unread in (self.images, self.stripe, self.srhm, self.scale_detection):
            for item in fields(unread) if unread is not own else ():
                if getattr(unread, item.name) != item.default:
                    allowed = f"is not read for {self.dataset}; leave it out"
                    raise InputError(item.name, getattr(unread, item.name), allowed)
        shared = {name: getattr(self, name) for name in SHARED}
        # What is silent here is the configuration's own default.
        given = {name: value for name, value in shared.items() if value is not None}
        if solved and given["optimizer"] == "auto":
            del given["optimizer"]
        if "optimizer" in given and "optimizer" not in {item.name for item in fields(kind)}:
            allowed = f"is not read for {self.dataset}, which has SGD; leave it out"
            raise InputError("optimizer", self.optimizer, allowed)
        if solved:
            config: Config = made(kind, own, **given)
            return config
        if self.images.held_out != ImageConfig().held_out and self.images.weights != "best":
            raise InputError("held_out", self.images.held_out, "is read with weights best only")
        side = image_side(self.dataset, self.images.image_size)
        return made(ImageConfig, self.images, **given, dataset=self.dataset, image_size=side)

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
            assert run.model is not None  # all that is trained here has one
            save_weights(run.model, self.keep_weights)
            terminal.line(f"wrote {self.keep_weights}")
        if self.output is not None:
            write_table(run.table, self.output)
            terminal.line(f"wrote {self.output}")
        return run.summary()
