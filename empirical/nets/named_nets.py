"""The net that a user names: an architecture of ours, a function, a library's net, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from empirical.nets.exported_nets import EXPORTED, exported_net
from empirical.nets.public_nets import classes_of, public_net
from empirical.nets.seeding import seeded
from empirical.nets.user_code import asked_for, failing, load_function, required
from theory.common.errors import InputError, require_integer

__all__ = ["LIBRARIES", "make_net", "never_trained"]

LIBRARIES = ("timm", "torchvision", "hf")


def make_net(
    name: str,
    *,
    channels: int,
    size: int,
    classes: int | None,
    arguments: Mapping[str, Any],
    seed: int,
    weights: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """The net called `name`, its start drawn from `seed`.

    Parameters
    ----------
    name : one of `ARCHITECTURES`; module:function, which is given those of channels, size and classes that it has
        parameters of that name for; timm:NAME, torchvision:NAME or hf:FOLDER; or a file, see `exported_net`
    channels, size, classes : of the images
    arguments : keyword arguments for the function or the library; of ours, classes alone
    weights : a state dict that will be loaded: a net of ours or of a library has as many classes as it

    Raises
    ------
    InputError
        If there is none of that name, or it cannot be made.
    """
    kind, colon, _ = name.partition(":")
    if Path(name).suffix in EXPORTED:
        _require_known(arguments, name, ())
        return exported_net(name)
    if not colon:
        return _of_ours(name, (channels, size, classes), arguments, seed, weights)
    with seeded(seed):
        if kind in LIBRARIES:
            return public_net(name, arguments, weights)
        return _of_users(name, {"channels": channels, "size": size, "classes": classes}, arguments)


def _of_ours(
    name: str, images: tuple[int, int, int | None], arguments: Mapping[str, Any], seed: int,
    weights: Mapping[str, Tensor] | None,
) -> nn.Module:  # fmt: skip
    from empirical.nets.architectures import ARCHITECTURES, build  # torchvision takes a second to load

    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        forms = "timm:NAME, torchvision:NAME, hf:FOLDER, a file (.onnx, .pt2, TorchScript)"
        raise InputError("model", name, f"must be package.module:factory or one of {known}; or {forms}")
    _require_known(arguments, name, ("classes",))
    channels, size, classes = images
    if "classes" in arguments:
        return build(name, channels, size, require_integer("classes", arguments["classes"], 1), seed)
    if weights is not None:
        classes = classes_of(build(name, channels, size, classes or 1, seed), weights) or classes
    if classes is None:
        raise InputError("classes", None, f"{name} needs to know how many: --model-args classes=10")
    return build(name, channels, size, classes, seed)


def _of_users(name: str, known: Mapping[str, int | None], arguments: Mapping[str, Any]) -> nn.Module:
    factory = load_function("model", name)
    told = {key: value for key, value in known.items() if value is not None and key not in arguments}
    for key in required(factory):
        if key in known and key not in {**told, **arguments}:
            raise InputError("model", name, f"asks for {key}, which the data do not tell: --model-args {key}=VALUE")
    try:
        net = factory(**asked_for(factory, told), **arguments)
    except Exception as error:
        raise failing("model", name, "its factory fails", error) from error
    if not isinstance(net, nn.Module):
        raise InputError("model", name, f"must make a torch module, not {type(net).__name__}")
    return net


def _require_known(arguments: Mapping[str, Any], name: str, known: tuple[str, ...]) -> None:
    strange = [key for key in arguments if key not in known]
    if strange:
        raise InputError("model_args", ", ".join(strange), f"{name} takes {' and '.join(known) or 'none'}")


def never_trained(model: nn.Module) -> bool:
    """Whether batch norm has statistics of 0 and 1 everywhere: it has seen no batch, and no input is like that.

    The count of batches alone does not tell: files before 2018 lack it.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    tracked = [(mean, variance) for mean, variance in kept if mean is not None and variance is not None]
    return bool(tracked) and all(not mean.any() and bool(torch.all(variance == 1)) for mean, variance in tracked)
