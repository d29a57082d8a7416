"""Which modules of a net are layers with an output of one row an image, and what they put out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from theory.common.errors import InputError

__all__ = ["Layer", "eager", "find_layers", "first_tensor", "hooked", "rows"]

_SHOWN = 3  # modules named in a warning


@dataclass(frozen=True, slots=True)
class Layer:
    """A module that is reached once, by name; `axis` of its output counts the images, `size` numbers are one's."""

    name: str
    axis: int
    size: int


@dataclass(slots=True)
class _Seen:
    """What a module put out in each call, and which modules it called."""

    outputs: list[tuple[int, ...] | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    words: str = ""
    called: set[str] = field(default_factory=set)


def eager(model: nn.Module) -> AbstractContextManager[Any]:
    """Compiled modules run as they were written, as hooks on what is in them need; InputError before torch 2.6."""
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is None:  # nothing was compiled
        return nullcontext()
    if hasattr(torch.compiler, "set_stance"):
        return torch.compiler.set_stance("force_eager")
    # Such a torch imports dynamo by itself.
    for module in model.modules():
        if isinstance(module, dynamo.OptimizedModule) or getattr(module, "_compiled_call_impl", None) is not None:
            raise InputError("layers", "of a compiled net", "needs torch 2.6 or later, or the net before torch.compile")
    return nullcontext()


def rows(output: Any, axis: int) -> Tensor:
    """The first tensor of an output with a row for each image, shape (images, numbers); complex numbers as two."""
    tensor = first_tensor(output)
    assert tensor is not None  # a layer's output has one
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.detach().movedim(axis, 0).flatten(1) if real.ndim > 1 else real.detach()[:, None]


def find_layers(model: nn.Module, images: Tensor, wanted: Sequence[str] | None) -> list[Layer]:
    """The layers in the order in which the forward pass ends them: those of the names wanted, or all.

    All are the modules that call no other whose output has a row an image. The model is run on two images and on three:
    the axis whose length follows is that of the images. What is left out, and why, is told in a warning.

    Raises
    ------
    InputError
        If a wanted one is never or repeatedly reached, or puts out no tensor with one row an image.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    seen = _look(model, modules, images[:2])
    # Of two images alone the axis is told by its length.
    again = _look(model, modules, images[:3]) if len(images) > 2 else None
    axes = {name: _axis(one, None if again is None else again.get(name)) for name, one in seen.items()}
    if wanted is not None:
        _require(wanted, seen, axes, modules)
        chosen = [name for name in seen if name in set(wanted)]
    else:
        innermost = [name for name, one in seen.items() if not any(axes[inner] is not None for inner in one.called)]
        chosen = [name for name in innermost if len(seen[name].outputs) == 1 and axes[name] is not None]
        _tell(chosen, innermost, seen, modules)
    return [Layer(name, axes[name] or 0, seen[name].sizes[0] // 2) for name in chosen]


def first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        if output.is_nested or output.layout != torch.strided:
            return None
        return output.dequantize() if output.is_quantized else output
    parts: Iterable[Any] = ()
    if isinstance(output, Mapping):
        parts = output.values()
    elif isinstance(output, (tuple, list)):
        parts = output
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def _look(model: nn.Module, modules: Mapping[str, nn.Module], images: Tensor) -> dict[str, _Seen]:
    """What each module that is reached puts out, in the order in which they end."""
    seen: dict[str, _Seen] = {}
    running: list[tuple[str, set[str]]] = []

    def enter(name: str) -> None:
        for _, called in running:
            called.add(name)
        running.append((name, set()))

    def leave(name: str, output: Any) -> None:
        _, called = running.pop()
        one = seen.pop(name, _Seen())  # a module called again ends where its last call does
        seen[name] = one
        tensor = first_tensor(output)
        one.called |= called
        one.outputs.append(None if tensor is None else tuple(tensor.shape))
        one.sizes.append(0 if tensor is None else tensor.numel() * (2 if tensor.is_complex() else 1))
        one.words = type(output).__name__ if tensor is None else str(tuple(tensor.shape))

    with eager(model), hooked(modules, leave, enter):
        model(images.clone())
    return seen


def _axis(two: _Seen, three: _Seen | None) -> int | None:
    """The axis of the first call's output that counts the images."""
    shape = two.outputs[0]
    if shape is None:
        return None
    if three is None:
        return 0 if shape and shape[0] == 2 else None
    other = three.outputs[0]
    if other is None or len(other) != len(shape):
        return None
    changed = [axis for axis, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
    return changed[0] if len(changed) == 1 and (shape[changed[0]], other[changed[0]]) == (2, 3) else None


def _require(
    wanted: Sequence[str], seen: Mapping[str, _Seen], axes: Mapping[str, int | None], modules: Mapping[str, nn.Module]
) -> None:
    for name in wanted:
        if name not in modules:
            known = ", ".join(list(modules)[:8])
            raise InputError("layers", name, f"must be names of the model's modules: {known}, ...")
        if name not in seen:
            raise InputError("layers", name, "is never reached by the forward pass")
        if len(seen[name].outputs) > 1:
            raise InputError("layers", name, "is reached more than once by the forward pass")
        if axes[name] is None:
            allowed = f"must put out a tensor with one row an image, not {seen[name].words}"
            raise InputError("layers", name, allowed)


def _tell(
    chosen: Sequence[str], innermost: Sequence[str], seen: Mapping[str, _Seen], modules: Mapping[str, nn.Module]
) -> None:
    """Warn of all that is neither measured nor a part of what is, nor made of what is."""
    within = {inner for name in chosen for inner in seen[name].called}
    covered = tuple(f"{name}." for name in chosen)
    several, none, never = "reached more than once", "no tensor with one row an image", "never reached"
    left: dict[str, list[str]] = {several: [], none: [], never: []}
    for name in innermost:
        if name not in chosen and name not in within:
            left[several if len(seen[name].outputs) > 1 else none].append(name)
    for name, module in modules.items():
        if name not in seen and not any(module.children()) and not name.startswith(covered):
            left[never].append(name)
    words = [f"{_few(names)} ({reason})" for reason, names in left.items() if names]
    if words:
        warnings.warn(f"layers left out: {'; '.join(words)}", stacklevel=4)
    elif not chosen:
        warnings.warn("layers: the net has no modules, so that none is measured", stacklevel=4)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class hooked:
    """Forward hooks that tell `enter` of every call and hand every output to `leave`, removed at the end."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        leave: Callable[[str, Any], None],
        enter: Callable[[str], None] | None = None,
    ) -> None:
        self.modules, self.leave, self.enter = modules, leave, enter

    def __enter__(self) -> None:
        self.handles = [
            module.register_forward_hook(lambda module, inputs, output, name=name: self.leave(name, output))
            for name, module in self.modules.items()
        ]
        if (enter := self.enter) is not None:
            self.handles += [
                module.register_forward_pre_hook(lambda module, inputs, name=name: enter(name))
                for name, module in self.modules.items()
            ]

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()
