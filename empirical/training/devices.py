"""Where tensors live: a device by name, or one clear line that it is not here."""

from __future__ import annotations

import os

import torch

from theory.common.errors import InputError

__all__ = ["device_name", "require_device", "visible_gpus"]


def require_device(device: str | torch.device) -> torch.device:
    """The device called `device`; InputError if torch does not know it or cannot reach it."""
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError("device", str(device), f"is not here ({str(error).splitlines()[0]})") from error
    if found.type == "meta":
        raise InputError("device", str(device), "holds no numbers")
    return found


def device_name(device: torch.device) -> str:
    """What a table calls it: the card's own name, or cpu, mps, ..."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there are none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    return tuple(map(str, range(torch.cuda.device_count())))
