"""Nets that come as one file: ONNX, TorchScript, exported programs. They have no layers to look into."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.nets.optional import need
from empirical.nets.user_code import failing
from theory.common.errors import InputError

__all__ = ["EXPORTED", "ExportedNet", "exported_net"]

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
EXPORTED = (".onnx", ".pt2", ".pt", ".pth", ".ts", ".torchscript")


class ExportedNet(nn.Module):
    """A function of images in eval mode for good; where it was exported for batches of one size, it gets those.

    A last batch is filled up with its last image, and what that gives is cut off again. `numbers` is the type that it
    computes with, where that cannot be changed.
    """

    sealed = True  # see `empirical.nets.evaluation.is_sealed`

    def __init__(self, run: Callable[[Tensor], Any], batch: int | None, numbers: str | None = None) -> None:
        super().__init__()
        self._held = (run,)  # in a tuple, torch does not see it: a frozen script can be given no mode, not even its own
        self.batch = batch
        self.numbers = numbers
        super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ExportedNet:
        """To another device or type, where what was exported can go there."""
        if isinstance(self._held[0], nn.Module):
            self._held[0]._apply(fn)
        return self

    def train(self, mode: bool = True) -> ExportedNet:
        """It has no other mode."""
        return self

    def forward(self, images: Tensor) -> Any:
        """The outputs, as the file gives them: a tensor, a tuple or a dictionary."""
        if self.batch is None or len(images) == self.batch:
            return self._held[0](images)
        parts = []
        for part in images.split(self.batch):
            whole = torch.cat([part, part[-1:].expand(self.batch - len(part), *part.shape[1:])])
            parts.append(_first(self._held[0](whole), len(part)))
        return _joined(parts)


def exported_net(path: str | Path) -> ExportedNet:
    """The net in an .onnx, a TorchScript (.pt, .ts, ...) or an exported program's file (.pt2).

    Raises
    ------
    InputError
        If there is no such file, it holds another thing (a state dict, say), or onnxruntime is not installed.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("model", str(path), "no such file")
    if file.suffix == ".onnx":
        return _onnx(file)
    if file.suffix == ".pt2":
        return _program(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch says that torch.export is the newer way to save
            script = torch.jit.load(str(file), map_location="cpu")
    except Exception as error:  # of a file that is no script, torch raises RuntimeError, or whatever it stumbles over
        allowed = (
            "is no TorchScript; of a state dict, give the function that makes its net:"
            " --model package.module:function --weights " + file.name
        )
        raise InputError("model", str(path), allowed) from error
    return ExportedNet(script.eval(), None)


def _program(file: Path) -> ExportedNet:
    try:
        program = torch.export.load(str(file))
    except Exception as error:
        raise failing("model", str(file), "cannot be loaded as an exported program", error) from error
    inputs = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    nodes = {node.name: node for node in program.graph.nodes}
    first = nodes[inputs[0]].meta["val"].shape[0]
    return ExportedNet(program.module(), first if isinstance(first, int) else None)


def _onnx(file: Path) -> ExportedNet:
    runtime = need("onnxruntime", "an .onnx file", "onnx")
    try:
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise failing("model", str(file), "cannot be loaded as ONNX", error) from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError("model", str(file), f"takes {', '.join(one.name for one in inputs)}: must take images alone")
    if inputs[0].type not in _FLOATS:
        raise InputError("model", str(file), f"takes {inputs[0].type}: must take floating-point images")
    kind = _FLOATS[inputs[0].type]
    names = [one.name for one in session.get_outputs()]
    first = inputs[0].shape[0] if inputs[0].shape else None

    def run(images: Tensor) -> dict[str, Tensor] | Tensor:
        found = session.run(None, {inputs[0].name: images.detach().cpu().numpy().astype(kind)})
        tensors = [torch.from_numpy(np.asarray(value)).to(images.device) for value in found]
        outputs = dict(zip(names, tensors, strict=True))
        return outputs if len(outputs) > 1 else outputs[names[0]]

    return ExportedNet(run, first if isinstance(first, int) else None, np.dtype(kind).name)


def _first(output: Any, rows: int) -> Any:
    """The first rows of every tensor in an output."""
    if isinstance(output, Tensor):
        return output[:rows]
    if isinstance(output, Mapping):
        return {name: value[:rows] for name, value in output.items() if isinstance(value, Tensor)}
    return tuple(value[:rows] for value in output if isinstance(value, Tensor))


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, Mapping):
        return {name: torch.cat([part[name] for part in parts]) for name in first}
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
