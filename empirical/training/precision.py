"""In which precision a net is trained faster on a device: found by timing a few steps of each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.nets.seeding import seeded
from theory.common.errors import InputError

__all__ = ["Precision", "faster_precision", "require_bfloat16", "step_seconds"]

Precision = Literal["float32", "bfloat16"]

_STEPS = 3
_GAIN = 0.9  # bfloat16 rounds to three digits: it must save a tenth of the time


def require_bfloat16(device: torch.device) -> None:
    """InputError if convolutions in bfloat16 cannot be trained on the device, or only by being emulated there."""
    reason = ""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        reason = "its GPU has no such products"
    try:
        with seeded(0, device), torch.autocast(device.type, torch.bfloat16):
            layer = nn.Conv2d(1, 1, 1).to(device)
            layer(torch.zeros(1, 1, 2, 2, device=device)).sum().backward()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
    if reason:
        raise InputError("precision", "bfloat16", f"is not supported on {device} ({reason}): take float32 or auto")


def step_seconds(model: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> float:
    """Least time of a forward and backward pass of a copy of `model`: on the CPU that of the processor, not the wall's.

    A machine that others use as well makes the wall's time longer, and the choice another.
    """
    trial = copy.deepcopy(model).train()
    cuda = images.device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    found = []
    for _ in range(1 + _STEPS):  # at the first, kernels are chosen and memory is touched
        start = clock()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = functional.cross_entropy(trial(images), labels)
        loss.backward()
        if cuda:
            torch.cuda.synchronize(images.device)
        found.append(clock() - start)
    return min(found[1:])


def faster_precision(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    timed: Callable[[nn.Module, Tensor, Tensor, Precision], float] = step_seconds,
) -> Precision:
    """bfloat16 if the device has it and a step on this batch takes at most 0.9 of the time in float32; else float32.

    The batch has shape (N, channels, n, n), floating point, in the memory format of the training. No random state is
    changed.
    """
    try:
        require_bfloat16(images.device)
    except InputError:
        return "float32"
    with seeded(0, images.device):
        seconds = {name: timed(model, images, labels, name) for name in ("float32", "bfloat16")}
    return "bfloat16" if seconds["bfloat16"] <= _GAIN * seconds["float32"] else "float32"
