"""A net trained by others: the CNN of the package cifar-10-model in torch, and its weights out of Keras's file.

    pip download --no-deps cifar-10-model==7.4.0 && unzip cifar_10_model-7.4.0-py3-none-any.whl
    python -m paper.scripts.keras_cifar_net cifar_10_model/trained_models/cnn_model.h5 cnn.safetensors
    relstab measure --model paper.scripts.keras_cifar_net:make --weights cnn.safetensors ...

docs/measure.md has the whole of the last command. Needs h5py.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["convert", "make"]


def make() -> nn.Module:
    """Six convolutions and three dense layers for 32 x 32 images of bytes; the last relu is theirs.

    Modules have the names of Keras's layers, conv2d, conv2d_1, ..., so that their order need not be known again.
    """
    net: OrderedDict[str, nn.Module] = OrderedDict()

    def add(kind: str, module: nn.Module) -> None:
        place = sum(name.partition("-")[0] == kind for name in net)
        net[f"{kind}-{place}"] = module

    held = 3
    for place, channels in enumerate((64, 64, 128, 128, 64, 64)):
        add("conv2d", nn.Conv2d(held, channels, 3))
        add("relu", nn.ReLU())
        add("batch_normalization", nn.BatchNorm2d(channels, eps=1e-3))
        held = channels
        if place in (1, 3):
            add("pool", nn.MaxPool2d(2))
    add("flatten", nn.Flatten())
    for inputs, outputs in ((64, 1024), (1024, 512), (512, 10)):
        add("dense", nn.Linear(inputs, outputs))
        add("relu", nn.ReLU())
    return nn.Sequential(net)


#: Names of a torch module's tensors, and of those of Keras's layer.
_TENSORS = {
    nn.Conv2d: {"weight": "kernel:0", "bias": "bias:0"},
    nn.Linear: {"weight": "kernel:0", "bias": "bias:0"},
    nn.BatchNorm2d: {
        "weight": "gamma:0", "bias": "beta:0", "running_mean": "moving_mean:0", "running_var": "moving_variance:0",
    },
}  # fmt: skip


def convert(source: Path, target: Path) -> None:
    """The state dict of `make` from Keras's HDF5 file, as safetensors."""
    import h5py
    from safetensors.torch import save_file

    state: dict[str, Tensor] = {}
    with h5py.File(source) as file:
        for name, module in make().named_children():
            kind, _, place = name.partition("-")
            layer = kind if place == "0" else f"{kind}_{place}"
            for ours, theirs in _TENSORS.get(type(module), {}).items():
                value = torch.tensor(file["model_weights"][layer][layer][theirs][()])
                if ours == "weight" and not isinstance(module, nn.BatchNorm2d):
                    # Keras: height, width, inputs, outputs, and inputs, outputs.
                    value = value.permute((3, 2, 0, 1) if value.ndim == 4 else (1, 0)).contiguous()
                state[f"{name}.{ours}"] = value
    save_file(state, target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
