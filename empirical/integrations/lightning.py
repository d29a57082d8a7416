"""R_f along a training with Lightning: `Trainer(callbacks=[LightningStability(images)])`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from empirical.integrations.along_training import StabilityAlongTraining, first_images, require_setting
from empirical.nets.optional import need
from theory.common.errors import InputError, require_integer

__all__ = ["LightningStability"]

#: Two packages hold the same library; a trainer takes callbacks of its own alone.
_name = "pytorch_lightning" if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules else (
    "lightning.pytorch")  # fmt: skip
_library: Any = need(_name, "LightningStability", "lightning")
_SHARDED = ("FSDP", "DeepSpeed", "ModelParallel")


class LightningStability(_library.Callback):
    """Log R_f, D_f and G_f, with their intervals, at the end of training epochs.

    They are logged by `log_dict` of the module: all loggers get them, and a ModelCheckpoint may monitor
    ``relstab/R_f``. The first process alone measures. See `StabilityAlongTraining` for what is kept as it was.

    Parameters
    ----------
    images : as the net takes them; None takes the first 256 of the validation loader
    every : epochs from one measurement to the next
    **setting : of `StabilityAlongTraining`, layers and prefix among it

    Raises
    ------
    InputError
        If there are no images; and where a strategy shards the net, which no single process can run.
    """

    def __init__(self, images: Tensor | None = None, *, every: int = 1, **setting: Any) -> None:
        super().__init__()
        self.every = require_integer("every", every, 1)
        self.setting = setting
        if images is None:
            require_setting(setting)
        self.stability = None if images is None else StabilityAlongTraining(images, **setting)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """What cannot be measured is told before the training begins."""
        strategy = type(trainer.strategy).__name__
        if any(name in strategy for name in _SHARDED):
            raise InputError("strategy", strategy, "shards the net, which the first process cannot run alone")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the images, where none were given; tell what cannot be measured before the first epoch, not after it."""
        if self.stability is None and trainer.is_global_zero:
            loaders = trainer.val_dataloaders
            if loaders is None:
                raise InputError("images", None, "must be given: the trainer has no validation loader")
            if isinstance(loaders, Mapping):
                loaders = list(loaders.values())
            loader = loaders[0] if isinstance(loaders, (tuple, list)) else loaders
            self.stability = StabilityAlongTraining(first_images(loader), **self.setting)
        if self.stability is not None and trainer.is_global_zero:
            self.stability.try_on(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure and log."""
        if self.stability is None or not trainer.is_global_zero or (trainer.current_epoch + 1) % self.every:
            return
        pl_module.log_dict(self.stability.log(pl_module), rank_zero_only=True, on_step=False, on_epoch=True)
