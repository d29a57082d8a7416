"""R_f along a training with transformers: `TransformersStability(images).attach(trainer)`."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from empirical.integrations.along_training import StabilityAlongTraining, first_images, require_setting
from empirical.nets.optional import need
from theory.common.errors import InputError, require_integer

__all__ = ["TransformersStability"]

_library: Any = need("transformers", "TransformersStability", "hf")


class TransformersStability(_library.TrainerCallback):
    """Log R_f, D_f and G_f, with their intervals, at the end of epochs.

    `attach` gives it to a trainer, whose `log` then hands the values to all that it reports to. Given to a trainer by
    `callbacks=[...]` alone, it knows no trainer: the values then stand in the log history and nowhere else.
    The first process alone measures. See `StabilityAlongTraining` for what is kept as it was.

    Parameters
    ----------
    images : pixel values as the net takes them; None takes the first 256 of the evaluation set
    every : epochs from one measurement to the next
    **setting : of `StabilityAlongTraining`, layers and prefix among it

    Raises
    ------
    InputError
        If there are no images.
    """

    def __init__(self, images: Tensor | None = None, *, every: int = 1, **setting: Any) -> None:
        self.every = require_integer("every", every, 1)
        self.setting = setting
        if images is None:
            require_setting(setting)
        self.stability = None if images is None else StabilityAlongTraining(images, **setting)
        self.trainer: Any = None

    def attach(self, trainer: Any) -> TransformersStability:
        """Add it to the trainer, and let it log through that."""
        trainer.add_callback(self)
        self.trainer = trainer
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Take the images, where none were given; tell what cannot be measured before the first epoch, not after it."""
        if self.stability is None and state.is_world_process_zero:
            loader = rest.get("eval_dataloader")
            if loader is None and self.trainer is not None and self.trainer.eval_dataset is not None:
                loader = self.trainer.get_eval_dataloader()
            if loader is None:
                raise InputError("images", None, "must be given: the trainer has no evaluation set")
            self.stability = StabilityAlongTraining(first_images(loader), **self.setting)
        if self.stability is not None and state.is_world_process_zero and rest.get("model") is not None:
            self.stability.try_on(rest["model"])

    def on_epoch_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Measure and log."""
        if self.stability is None or not state.is_world_process_zero or round(state.epoch) % self.every:
            return
        values = self.stability.log(rest["model"])
        if self.trainer is not None:
            self.trainer.log(values)
            return
        warnings.warn("the values stand in the log history alone: TransformersStability.attach(trainer)", stacklevel=2)
        state.log_history.append({"epoch": state.epoch, "step": state.global_step, **values})
