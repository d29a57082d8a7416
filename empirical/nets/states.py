"""States of nets as files of tensors hold them: tied weights, and extra state that is no tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from theory.common.errors import InputError

__all__ = ["EXTRA", "packed", "require_keepable", "unpacked"]

#: Behind the name of an extra state that is kept as JSON.
EXTRA = ".json"


def packed(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors on the CPU, each with memory of its own, as safetensors asks for; all else as JSON in bytes.

    Raises
    ------
    InputError
        If an extra state is neither a tensor nor what JSON can hold, or a tensor is sparse or quantized.
    """
    found: dict[str, Tensor] = {}
    memory: set[int] = set()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            try:
                text = json.dumps(value, allow_nan=False)
                same = json.loads(text) == value
            except (TypeError, ValueError):
                same = False
            if not same:
                allowed = "cannot be kept: an extra state must be a tensor, or what JSON can hold"
                raise InputError("model", f"{name}, {type(value).__name__}", allowed)
            found[name + EXTRA] = torch.tensor(list(text.encode()), dtype=torch.uint8)
            continue
        if value.layout != torch.strided or value.is_quantized:
            raise InputError("model", f"{name}, {value.layout}", "cannot be kept: must be a dense tensor")
        plain = value.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        if address in memory:  # tied to another, or a part of one
            plain = plain.clone()
        memory.add(address)
        found[name] = plain
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `packed` was given, but for memory that was shared."""
    return {
        name.removesuffix(EXTRA): json.loads(bytes(value.tolist())) if name.endswith(EXTRA) else value
        for name, value in tensors.items()
    }


def require_keepable(model: nn.Module) -> None:
    """InputError, before a net is trained for nothing, if its state could not be kept."""
    packed(model.state_dict())
