"""The steps of an image net's training, epoch after epoch, and its state in between."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.nets.evaluation import evaluation
from empirical.nets.states import EXTRA, packed, unpacked
from empirical.training.checkpoints import Checkpoint, optimizer_state, restore_optimizer
from empirical.training.config import ImageConfig, config_hash
from empirical.training.precision import Precision, faster_precision, require_bfloat16
from empirical.training.recipe import crop_and_flip, cropped, perturbed, recipe, reflected
from empirical.training.run import Progress
from theory.common.errors import InputError

__all__ = ["Descent", "usable"]

#: Part of every checkpoint; to be raised when what is in one changes.
_REVISION = 4


def usable(saved: Checkpoint | None, model: nn.Module, data: str | None) -> Checkpoint | None:
    """The checkpoint if it is of this version, such a model and these images; else None: the run begins anew."""
    if saved is None or saved.facts.get("revision") != _REVISION or saved.facts.get("data") != data:
        return None
    shapes, kept = (
        {name: value.shape for name, value in tensors.items() if not name.endswith(EXTRA)}
        for tensors in (packed(model.state_dict()), saved.part("model"))
    )
    return saved if kept == shapes else None


class Descent:
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
        if self.recipe.precision == "bfloat16":
            require_bfloat16(images.device)
        self._padded = self._flipped = None
        if self.recipe.kind == "fast" and self.recipe.augmented:
            self._padded = reflected(self.images)
            self._flipped = torch.rand(len(self.images), generator=generator) < 0.5
        last = self.recipe.epochs
        spaced = np.geomspace(1, last, config.records + 1)[:-1] if config.records else np.empty(0)
        self.recorded = {int(epoch) for epoch in spaced.round()} - {last}
        self.loss, self.epoch = math.inf, last
        self._best: tuple[tuple[float, float], dict[str, Any]] | None = None
        self.optimizers, self.schedules = self.recipe.make(model)
        self.done = 0

    def state(
        self,
        rows: list[dict[str, Any]],
        seconds: float,
        core_seconds: float,
        log: list[dict[str, float]],
        data: str | None,
    ) -> Checkpoint:
        """All that the epochs to come depend on, and what was measured so far."""
        optimizers = [optimizer_state(one) for one in self.optimizers]
        best: dict[str, Any] = {} if self._best is None else self._best[1]
        tensors = {
            **{f"model/{name}": value for name, value in packed(self.model.state_dict()).items()},
            **{
                f"optimizer/{number}/{name}": value
                for number, one in enumerate(optimizers)
                for name, value in one.tensors.items()
            },
            **{f"best/{name}": value for name, value in packed(best).items()},
            "random/batches": self.generator.get_state(),
            "random/layers": torch.get_rng_state(),
        }
        if self.images.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.images.device)
        facts = {
            "revision": _REVISION, "config": config_hash(self.config), "data": data, "rows": rows, "log": log,
            "seconds": seconds, "core_seconds": core_seconds, "done": self.done, "loss": self.loss,
            "epoch": self.epoch, "score": None if self._best is None else self._best[0],
            "groups": [one.facts["groups"] for one in optimizers],
            "schedules": [one.state_dict() for one in self.schedules], "recipe": asdict(self.recipe),
        }  # fmt: skip
        return Checkpoint(tensors, facts)

    def restore(self, saved: Checkpoint, path: str) -> float:
        """Go on from there; the seconds that it took to get there."""
        facts = saved.facts
        if facts["config"] != config_hash(self.config):
            raise InputError("checkpoint", path, "is that of another configuration")
        self.model.load_state_dict(unpacked(saved.part("model")))
        chosen = replace(self.recipe, precision=facts["recipe"]["precision"])
        if asdict(chosen) != facts["recipe"]:
            raise InputError("checkpoint", path, "was made by other numbers of the recipe; remove it to begin anew")
        self.recipe = chosen
        for number, (optimizer, groups) in enumerate(zip(self.optimizers, facts["groups"], strict=True)):
            restore_optimizer(optimizer, saved.part(f"optimizer/{number}"), groups)
        for schedule, state in zip(self.schedules, facts["schedules"], strict=True):
            schedule.load_state_dict(state)
        if facts["score"] is not None:
            self._best = (facts["score"][0], facts["score"][1]), unpacked(saved.part("best"))
        random = saved.part("random")
        self.generator.set_state(random["batches"])
        torch.set_rng_state(random["layers"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.images.device)
        self.done, self.loss, self.epoch = facts["done"], facts["loss"], facts["epoch"]
        return float(facts["seconds"])

    @property
    def learning_rate(self) -> float:
        """That of the next step; of several optimizers that of the first."""
        return float(self.optimizers[0].param_groups[0]["lr"])

    def epochs(self, progress: Progress | None) -> Iterator[int]:
        """Train, and stop after every epoch for the caller to look at the model."""
        if self.recipe.precision == "auto":
            self.recipe = replace(self.recipe, precision=self._faster_precision())
        for epoch in range(self.done + 1, self.recipe.epochs + 1):
            self.model.train()
            total = torch.zeros((), device=self.images.device)
            for places in self.recipe.epoch(len(self.images), self.generator):
                loss = self._loss(places, epoch)
                for optimizer in self.optimizers:
                    optimizer.zero_grad()
                loss.backward()
                if self.recipe.longest_gradient < math.inf:
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.longest_gradient)
                for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
                    optimizer.step()
                    schedule.step()
                total += loss.detach() * len(places)
            self.loss = float(total) / len(self.images)
            if not math.isfinite(self.loss):
                self._refuse(f"the loss became {self.loss} in epoch {epoch}")
            self._keep_the_best(epoch)
            self.done = epoch
            if progress is not None:
                progress(epoch / self.recipe.epochs)
            yield epoch

    def batch(self, places: Tensor, epoch: int) -> Tensor:
        """The images at these places, on the CPU, as an epoch of this number, from 1 on, sees them: bytes."""
        there = places.to(self.images.device, non_blocking=True)
        if not self.recipe.augmented:
            return self.images[there]
        if self._padded is None or self._flipped is None:
            return crop_and_flip(self.images[there], self.generator)
        moved = cropped(self._padded[there], self.images.shape[-1], self.generator)
        mirrored = (self._flipped[places] ^ (epoch % 2 == 0)).to(moved.device, non_blocking=True)
        return torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)

    def _loss(self, places: Tensor, epoch: int) -> Tensor:
        """The batch's loss; nothing here waits for a GPU, which is to be given steps faster than it does them."""
        numbers = self.batch(places, epoch).float() / 255
        if self.recipe.perturbation != "none":
            config = self.config
            numbers = perturbed(
                numbers, self.recipe.perturbation, config.cutoff, config.displacement, self.generator
            )
        inputs = numbers.contiguous(memory_format=torch.channels_last)
        with torch.autocast(numbers.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            return functional.cross_entropy(
                self.model(inputs), self.labels[places.to(self.labels.device, non_blocking=True)],
                label_smoothing=self.recipe.label_smoothing,
            )  # fmt: skip

    def _faster_precision(self) -> Precision:
        count = min(self.config.batch_size, len(self.images))
        numbers = (self.images[:count].float() / 255).contiguous(memory_format=torch.channels_last)
        return faster_precision(self.model, numbers, self.labels[:count])

    def _keep_the_best(self, epoch: int) -> None:
        """Fewest errors on the held-out part, and of epochs with as many the least loss there."""
        if not len(self.held[0]):
            return
        with evaluation(self.model):
            logits = torch.cat([self.model(part.float() / 255) for part in self.held[0].split(500)])
            wrong = float((logits.argmax(1) != self.held[1]).float().mean())
            score = wrong, float(functional.cross_entropy(logits, self.held[1]))
        if self._best is None or score < self._best[0]:
            self._best = score, copy.deepcopy(self.model.state_dict())
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
