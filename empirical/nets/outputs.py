"""The logits among what a net puts out: a tensor, a dictionary, a tuple, or a ModelOutput of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from theory.common.errors import InputError

__all__ = ["Logits", "logits_of"]

#: The likeliest first.
_NAMES = ("logits", "out", "output", "outputs", "pred", "preds", "prediction", "predictions", "scores", "class_logits")


class Logits(nn.Module):
    """A net whose output is the one tensor that is measured, flattened image by image."""

    def __init__(self, net: nn.Module, key: str | None = None) -> None:
        super().__init__()
        self.net = net
        self.key = key

    def forward(self, images: Tensor) -> Tensor:
        """Shape (batch, outputs)."""
        return logits_of(self.net(images), len(images), self.key).flatten(1)


def logits_of(output: Any, count: int, key: str | None = None) -> Tensor:
    """The tensor of `count` rows that is meant.

    By `key`, a name or a place, if given; a tensor itself; in a dictionary the first of the usual names (logits, out,
    output, ...); and otherwise the only tensor of shape (count, outputs) among them.

    Raises
    ------
    InputError
        If none or several could be meant: what is there is listed, with shapes.
    """
    found = output if isinstance(output, Tensor) and key is None else _among(_named(output), count, key)
    if found.ndim < 2 or len(found) != count:
        raise InputError("model output", tuple(found.shape), f"must be a tensor of shape ({count}, outputs)")
    return found


def _named(output: Any) -> dict[str, Any]:
    """What is in an output by name; of a tuple, by place and, where it has them, by its fields' names."""
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, (tuple, list)):
        fields = getattr(output, "_fields", None)
        names = fields if fields is not None else map(str, range(len(output)))
        return dict(zip(names, output, strict=True))
    if isinstance(output, Tensor):
        return {"0": output}
    return {name: value for name, value in getattr(output, "__dict__", {}).items() if isinstance(value, Tensor)}


def _among(named: dict[str, Any], count: int, key: str | None) -> Tensor:
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if key is not None:
        if key not in tensors:
            raise InputError("output_key", key, f"must be one of what the net puts out: {_listed(named)}")
        return tensors[key]
    for name in _NAMES:
        if name in tensors:
            return tensors[name]
    likely = [value for value in tensors.values() if value.ndim == 2 and len(value) == count]
    if len(likely) == 1:
        return likely[0]
    if not tensors:
        raise InputError("model output", _listed(named), f"must be or hold a tensor of shape ({count}, outputs)")
    raise InputError("model output", _listed(named), "which of them is meant? --output-key NAME says it")


def _listed(named: dict[str, Any]) -> str:
    parts = [
        f"{name} {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}"
        for name, value in named.items()
    ]
    return ", ".join(parts) or "no tensor"
