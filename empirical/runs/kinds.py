"""The kinds of run: what each is configured by, checked and done by, and called. No torch until one is done.

A kind is one entry of `KINDS`. Its module has two functions:

    check(config, options) -> str | None    the fingerprint of its data, if it has any; InputError if it cannot be run
    run(config, options) -> Run             the run; the same configuration gives the same numbers
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empirical.training.config import Config, ImageConfig, StripeConfig, image_side
from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig
from empirical.training.run import Progress, Run, RunOptions, with_warning
from theory.runs.flow_config import TheoryConfig

if TYPE_CHECKING:
    import torch

    from theory.common.terminal import Report

__all__ = ["KINDS", "Kind", "check", "estimated_seconds", "kind_of", "run", "train"]


def _data_and_dimension(config: Any) -> tuple[str, str]:
    return config.kind, f"d = {config.dim}"


def _as_given(config: Any) -> Any:
    return config


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of run.

    Attributes
    ----------
    config : the class of its configurations: a frozen dataclass with `kind`, `train_size` and `seed`
    module : where its functions `check` and `run` stand; imported when one is called
    told : the part of a configuration that the rows of its curve table tell; two runs must differ in it
    words : the data and the net in words
    completed : a configuration with what files and commands set if they are silent
    costs : module with a function `estimated_seconds`, if a few steps of such runs can be timed beforehand
    """

    config: type[Any]
    module: str
    told: Callable[[Any, RunOptions], tuple[object, ...]]
    words: Callable[[Any], tuple[str, str]] = _data_and_dimension
    completed: Callable[[Any], Any] = _as_given
    costs: str | None = None

    @property
    def has_architectures(self) -> bool:
        """Whether a grid may go over nets."""
        return "architecture" in {item.name for item in fields(self.config)}


def _values(config: Any, *names: str) -> tuple[object, ...]:
    return tuple(getattr(config, name) for name in names)


def _told_of_images(config: ImageConfig, options: RunOptions) -> tuple[object, ...]:
    """Images resized to what they are have the name of the others."""
    from empirical.data.named_sets import load_data

    task = load_data(config.dataset, options.data_folder, image_size=config.image_size).name
    return task, *_values(config, "architecture", "variant", "train_size", "seed", "average", "cutoff", "displacement")


def _told_of_stripe(config: StripeConfig, options: RunOptions) -> tuple[object, ...]:
    return _values(
        config, "dim", "width", "scale", "loss", "train_size", "seed", "average", "noise_norm", "hidden_layers",
        "optimizer", "batch_size",
    )  # fmt: skip


def _told_of_theory(config: TheoryConfig, options: RunOptions) -> tuple[object, ...]:
    """The lazy limit has no width."""
    width = "inf" if math.isinf(config.scale) else config.width
    return width, *_values(config, "dim", "informative_dim", "scale", "loss", "train_size", "seed")


def _told_of_task(config: HierarchyConfig | ScaleDetectionConfig, options: RunOptions) -> tuple[object, ...]:
    return config.problem.name, *_values(config, "net_name", "variant", "train_size", "seed", "average")


def _task_and_net(config: HierarchyConfig | ScaleDetectionConfig) -> tuple[str, str]:
    return config.problem.name, config.net_name


def _data_and_net(config: ImageConfig) -> tuple[str, str]:
    return config.dataset, config.architecture


def _enlarged(config: ImageConfig) -> ImageConfig:
    """The digits at the side that all commands give them."""
    return replace(config, image_size=image_side(config.dataset, config.image_size))


KINDS: dict[str, Kind] = {
    kind.config.kind: kind
    for kind in (
        Kind(
            ImageConfig, "empirical.training.images", _told_of_images, _data_and_net, _enlarged,
            costs="empirical.runs.costs",
        ),
        Kind(StripeConfig, "empirical.training.stripes", _told_of_stripe),
        Kind(TheoryConfig, "empirical.runs.theory_runs", _told_of_theory),
        Kind(HierarchyConfig, "empirical.training.hierarchies", _told_of_task, _task_and_net),
        Kind(ScaleDetectionConfig, "empirical.training.scale_detection", _told_of_task, _task_and_net),
    )
}  # fmt: skip


def kind_of(config: Config) -> Kind:
    """The kind of a configuration."""
    return KINDS[config.kind]


def check(config: Config, data_folder: str | Path | None = None, download: bool = False) -> str | None:
    """The fingerprint of the data set that `config` is to be run on, for images.

    Raises
    ------
    InputError
        If it cannot be run: no such data or net, P above the data set's size, T that folds; for a flow, no such kernel
        on this machine.
    """
    options = RunOptions(data_folder, download)
    found: str | None = import_module(kind_of(config).module).check(config, options)
    return found


def estimated_seconds(
    configs: Sequence[Config],
    data_folder: str | Path | None = None,
    device: str = "cpu",
    progress: Report | None = None,
) -> dict[Config, float]:
    """Seconds that each run would take alone on one thread, of those kinds that can be timed beforehand."""
    found: dict[Config, float] = {}
    for kind in KINDS.values():
        own = [config for config in configs if kind_of(config) is kind]
        if kind.costs is not None and own:
            found |= import_module(kind.costs).estimated_seconds(own, data_folder, device, progress)
    return found


def run(config: Config, options: RunOptions) -> Run:
    """`train` for a caller who tells by itself what a run lacks: nothing is warned of."""
    found: Run = import_module(kind_of(config).module).run(config, options)
    return found


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

    Warns
    -----
    RuntimeWarning
        If the training ended before its goal; `Run.shortfall` says why.
    """
    options = RunOptions(data_folder, download, device, checkpoint, checkpoint_seconds, keep_checkpoint, log, progress)
    return with_warning(run(config, options))
