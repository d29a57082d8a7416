"""A training run's state on disk: tensors and facts in one file, whole or not there, that tells if it is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from theory.common.files import write_whole

__all__ = ["Checkpoint", "optimizer_state", "read_checkpoint", "restore_optimizer", "write_checkpoint"]

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix` and a slash, without that."""
        start = f"{prefix}/"
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write safetensors behind their SHA-256, aside and then renamed."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    content = save(tensors, {"facts": json.dumps(checkpoint.facts)})
    write_whole(path, lambda aside: aside.write_bytes(hashlib.sha256(content).digest() + content))


def read_checkpoint(path: str | Path) -> Checkpoint | None:
    """What `write_checkpoint` wrote; None if there is no file or it is damaged: a run then begins at its beginning."""
    from safetensors.torch import load

    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    digest, content = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return Checkpoint(load(content), json.loads(header["__metadata__"]["facts"]))


def optimizer_state(optimizer: torch.optim.Optimizer) -> Checkpoint:
    """Momenta and step numbers as tensors, the groups' settings as facts."""
    state = optimizer.state_dict()
    tensors = {
        f"{number}/{name}": torch.as_tensor(value)
        for number, values in state["state"].items()
        for name, value in values.items()
        if value is not None
    }
    return Checkpoint(tensors, {"groups": state["param_groups"]})


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[Any]) -> None:
    """Put back what `optimizer_state` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
