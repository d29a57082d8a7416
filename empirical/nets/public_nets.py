"""Nets of timm, torchvision and transformers by name or folder, never fetched: weights come from local files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from empirical.nets.optional import need
from empirical.nets.user_code import failing
from theory.common.errors import InputError

__all__ = ["classes_of", "public_net"]


def public_net(model: str, arguments: Mapping[str, Any], weights: Mapping[str, Tensor] | None) -> nn.Module:
    """The net of `timm:NAME`, `torchvision:NAME` or `hf:FOLDER`, as it is made, or as the folder holds it.

    Parameters
    ----------
    arguments : keyword arguments of its factory; num_classes is that of `weights` unless given
    weights : a state dict that will be loaded, asked only for how many classes it has

    Raises
    ------
    InputError
        If its library is not installed, or it cannot be made.
    """
    kind, _, name = model.partition(":")
    if kind == "hf":
        return _from_folder(Path(name), arguments)

    def make(**given: Any) -> nn.Module:
        if kind == "timm":
            net: nn.Module = need("timm", "timm:", "timm").create_model(name, pretrained=False, **given)
            return net
        from torchvision import models

        # GoogLeNet and Inception draw their weights from scipy's truncated normal unless told not to.
        return models.get_model(name, weights=None, **given)

    try:
        net = make(**arguments)
        if weights is not None and "num_classes" not in arguments:
            outputs, held = classes_of(net, dict(net.state_dict())), classes_of(net, weights)
            if held is not None and held != outputs:
                net = make(num_classes=held, **arguments)
    except InputError:
        raise
    except Exception as error:  # whatever the library raises for these arguments
        raise failing("model", model, f"cannot be made with {dict(arguments)}", error) from error
    return net


def classes_of(net: nn.Module, state: Mapping[str, Tensor]) -> int | None:
    """Rows of the last linear layer's weight in a state dict, whatever stands before its name."""
    linear = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    held = [value for key, value in state.items() if linear and f".{key}".endswith(f".{linear[-1]}.weight")]
    return len(held[0]) if held else None


def _from_folder(folder: Path, arguments: Mapping[str, Any]) -> nn.Module:
    transformers = need("transformers", "hf:", "hf")
    if not (folder / "config.json").is_file():
        allowed = "must be a folder with config.json and weights, as save_pretrained writes"
        raise InputError("model", f"hf:{folder}", allowed)
    try:
        net: nn.Module = transformers.AutoModelForImageClassification.from_pretrained(
            str(folder), local_files_only=True, **arguments
        )
    except Exception as error:  # OSError without weights, ValueError of another kind of model, and others
        raise failing("model", f"hf:{folder}", "cannot be loaded", error) from error
    return net
