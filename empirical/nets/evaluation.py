"""Run a net without training it: in eval mode, with the batch-norm statistics that are asked for, in batches."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from empirical.nets.outputs import logits_of
from theory.common.errors import InputError, require_choice, require_integer

__all__ = [
    "BATCH_NORMS", "BatchNorm", "classification_error", "evaluation", "is_sealed", "original", "still",
    "with_statistics",
]  # fmt: skip

BatchNorm = Literal["running", "clean", "own"]
BATCH_NORMS: tuple[BatchNorm, ...] = ("running", "clean", "own")


#: Modules that are measured now: each with the mode that it had before and how many measure it.
_held: dict[int, _Held] = {}
_lock = threading.Lock()


@dataclass(slots=True)
class _Held:
    module: nn.Module
    mode: bool | None
    count: int = 0


@contextmanager
def evaluation(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without gradients; each submodule's mode is put back after.

    Threads may measure one model at a time: it is in eval mode until the last of them is done. Modules that are in
    eval mode for good, as frozen TorchScript and exported programs are, stay as they are.
    """
    modules = list(model.modules())
    with _lock:
        for module in modules:
            held = _held.setdefault(id(module), _Held(module, getattr(module, "training", None)))
            held.count += 1
        try:
            model.eval()
        except NotImplementedError:  # of an exported program within
            for module in modules:
                if getattr(module, "training", None) and not is_sealed(module):
                    module.training = False
    try:
        with torch.no_grad():
            yield model
    finally:
        with _lock:
            for module in modules:
                held = _held[id(module)]
                held.count -= 1
                if not held.count:
                    del _held[id(module)]
                    if held.mode is not None and module.training != held.mode:
                        module.training = held.mode


def is_sealed(module: nn.Module) -> bool:
    """Whether the module's layers cannot be reached or changed: TorchScript, an exported program's, or ONNX."""
    if isinstance(module, torch.jit.ScriptModule) or getattr(module, "sealed", False):
        return True
    # Exported programs refuse to change their mode: their module has a `train` of its own.
    own = getattr(module.train, "__func__", None) is not nn.Module.train
    return isinstance(module, torch.fx.GraphModule) and own


def original(model: nn.Module) -> nn.Module:
    """The module that torch.compile, DataParallel or DistributedDataParallel wraps, if one does."""
    while True:
        if isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            return model


@contextmanager
def still(
    model: nn.Module | Callable[[Tensor], Tensor], images: Tensor, batch_norm: BatchNorm, batch_size: int
) -> Iterator[Callable[[Tensor], np.ndarray]]:
    """A function from images to the model's outputs, float64 on the CPU, shape (images, K).

    Of outputs that are tuples, dictionaries or ModelOutputs the logits are taken, see `logits_of`. The images stay as
    they are, also where the model writes into its input.

    `images` are those whose statistics ``clean`` batch norm takes; with ``own`` all that the function gets go through
    in one batch. Neither means anything to a function that is no Module.
    """
    require_integer("batch_size", batch_size, 1)
    require_choice("batch_norm", batch_norm, BATCH_NORMS)
    if not isinstance(model, nn.Module):
        if not callable(model) or isinstance(model, torch.export.ExportedProgram):
            allowed = "must be a module or a function of images; of an exported program, program.module()"
            raise InputError("model", type(model).__name__, allowed)
        with torch.no_grad():
            yield lambda batch: _forward(model, batch, batch_size)
        return
    with evaluation(with_statistics(model, images, batch_norm)) as module:
        yield lambda batch: _forward(module, batch, len(batch) if batch_norm == "own" else batch_size)


def with_statistics(model: nn.Module, images: Tensor, batch_norm: BatchNorm) -> nn.Module:
    """The model itself, or a copy whose batch norm takes the statistics of `images`, or of each batch by itself."""
    if batch_norm == "running":
        return model
    model = original(model)
    if any(is_sealed(module) for module in model.modules()):
        allowed = "must be running: the layers of TorchScript, exported programs and ONNX cannot be reached"
        raise InputError("batch_norm", batch_norm, allowed)
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
        model(images.clone())
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
            numbers = batch.clone() if batch.is_floating_point() else batch.float() / 255
            wrong += int((model(numbers if dtype is None else numbers.to(dtype)).argmax(1) != truth).sum())
    return wrong / len(inputs)


def _forward(model: Callable[[Tensor], Tensor], images: Tensor, batch_size: int) -> np.ndarray:
    parts = []
    for batch in images.split(batch_size):
        # A copy: a net may begin with a layer that works in place, and its images serve again.
        output = logits_of(model(batch.clone()), len(batch))
        if output.ndim != 2:
            raise InputError("model output", tuple(output.shape), f"must be a tensor of shape ({len(batch)}, outputs)")
        if output.is_complex():
            raise InputError("model output", output.dtype, "must be real numbers")
        parts.append(output.detach().to("cpu", torch.float64))
    return torch.cat(parts).numpy()
