"""Run a net without training it: in eval mode, with the batch-norm statistics that are asked for, in batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from theory.common.errors import InputError, require_choice, require_integer

__all__ = ["BATCH_NORMS", "BatchNorm", "classification_error", "evaluation", "still", "with_statistics"]

BatchNorm = Literal["running", "clean", "own"]
BATCH_NORMS: tuple[BatchNorm, ...] = ("running", "clean", "own")


@contextmanager
def evaluation(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without gradients; each submodule's mode is put back after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def still(
    model: nn.Module | Callable[[Tensor], Tensor], images: Tensor, batch_norm: BatchNorm, batch_size: int
) -> Iterator[Callable[[Tensor], np.ndarray]]:
    """A function from images to the model's outputs, float64 on the CPU, shape (images, K).

    `images` are those whose statistics ``clean`` batch norm takes; with ``own`` all that the function gets go through
    in one batch. Neither means anything to a function that is no Module.
    """
    require_integer("batch_size", batch_size, 1)
    require_choice("batch_norm", batch_norm, BATCH_NORMS)
    if not isinstance(model, nn.Module):
        with torch.no_grad():
            yield lambda batch: _forward(model, batch, batch_size)
        return
    with evaluation(with_statistics(model, images, batch_norm)) as module:
        yield lambda batch: _forward(module, batch, len(batch) if batch_norm == "own" else batch_size)


def with_statistics(model: nn.Module, images: Tensor, batch_norm: BatchNorm) -> nn.Module:
    """The model itself, or a copy whose batch norm takes the statistics of `images`, or of each batch by itself."""
    if batch_norm == "running":
        return model
    model = copy.deepcopy(model).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if batch_norm == "own":
        for norm in norms:  # without running statistics a layer in eval mode takes the batch's
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = None
        return model
    # At initialisation the running statistics are still 0 and 1, which no layer's input has. All images go through
    # in one batch: averages over batches would miss how the batches differ.
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        model(images)
    return model.eval()


def classification_error(
    model: nn.Module, inputs: Tensor, labels: Tensor, batch_size: int = 500, dtype: torch.dtype | None = None
) -> float:
    """Fraction of `inputs` whose largest logit is not their label's; bytes are taken as 255 times the numbers.

    The net is given them in `dtype`, single precision for bytes by default.
    """
    wrong = 0
    with evaluation(model):
        for batch, truth in zip(inputs.split(batch_size), labels.split(batch_size), strict=True):
            numbers = batch if batch.is_floating_point() else batch.float() / 255
            wrong += int((model(numbers if dtype is None else numbers.to(dtype)).argmax(1) != truth).sum())
    return wrong / len(inputs)


def _forward(model: Callable[[Tensor], Tensor], images: Tensor, batch_size: int) -> np.ndarray:
    parts = []
    for batch in images.split(batch_size):
        output = model(batch)
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(batch):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError("model output", shape, f"must be a tensor of shape ({len(batch)}, outputs)")
        parts.append(output.detach().to("cpu", torch.float64))
    return torch.cat(parts).numpy()
