"""Weights from files, never by running code that a file holds."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from empirical.nets.states import packed, unpacked
from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole

__all__ = ["load_weights", "normalisation", "read_weights", "require_weights_path", "save_weights"]

_SHOWN = 3  # keys named in a message
#: Under which a file that holds more keeps its state dict, the likeliest first.
_HOLDERS = ("state_dict", "model_state_dict", "model", "net", "weights", "ema", "state_dict_ema", "model_ema", "params")
#: Before every key, where the net was a part of another module.
_PREFIXES = ("module.", "net.", "model.")


def load_weights(model: nn.Module, path: str | Path, *, strict: bool = True, key: str | None = None) -> None:
    """Load a state dict, from safetensors, or from torch's format by `torch.load(weights_only=True)`.

    A dictionary that holds the state dict under a usual key (`state_dict`, `model`, `model_state_dict`, `ema`, ...) is
    understood, and so are keys that all begin with `module.`, `net.` or `model.`, or hold `_orig_mod.`, on either side,
    as data-parallel training, wrappers and torch.compile leave them. A batch norm without `num_batches_tracked`, which
    files before 2018 lack, is whole, and so is one of several tied weights.

    Parameters
    ----------
    strict : False loads what fits and warns of the keys that do not
    key : under which the state dict stands, or its place in a list

    Raises
    ------
    InputError
        If there is no such file, it holds anything but tensors, or its keys or shapes are not the model's: the first
        that differ are named.
    """
    file, state = Path(path), _bare(read_weights(path, key))
    full = model.state_dict()
    own = dict(zip(_bare(dict.fromkeys(full)), full, strict=True))
    missing, extra = _missing(full, own, state), sorted(set(state) - set(own))
    if missing or extra:
        words = [f"lacks {_few(missing)}" for _ in (1,) if missing] + [f"has {_few(extra)}" for _ in (1,) if extra]
        said = f"it {' and '.join(words)}"
        if strict or not set(own) & set(state):
            raise InputError("weights", file.name, f"does not fit the model: {said}")
        warnings.warn(f"{file.name} does not fit the model: {said}; the rest is loaded", stacklevel=2)
    found = {own[name]: value for name, value in state.items() if name in own}
    for name, value in found.items():
        if isinstance(value, Tensor) and isinstance(full[name], Tensor) and value.shape != full[name].shape:
            shapes = f"{tuple(value.shape)} for {tuple(full[name].shape)}"
            raise InputError("weights", file.name, f"does not fit the model: {name} is {shapes}")
    model.load_state_dict(found, strict=False)


def _missing(full: Mapping[str, Any], own: Mapping[str, str], state: Mapping[str, Any]) -> list[str]:
    """Names of the model's that the state neither holds nor can do without."""

    def address(name: str) -> int | None:
        value = full[own[name]]
        return value.data_ptr() if isinstance(value, Tensor) and value.numel() else None

    held = {address(name) for name in own if name in state} - {None}
    return sorted(
        name
        for name in set(own) - set(state)
        if not name.endswith("num_batches_tracked") and address(name) not in held
    )


def _bare(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keys without what wrappers put before them or into them."""
    named = {key.replace("_orig_mod.", ""): value for key, value in state.items()}
    for prefix in (prefix for _ in range(_SHOWN) for prefix in _PREFIXES):  # wrapped up to so many times
        if named and all(key.startswith(prefix) for key in named):
            named = {key.removeprefix(prefix): value for key, value in named.items()}
    return named


def read_weights(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """The state dict in a file; see `load_weights`."""
    file = Path(path)
    if not file.is_file():
        raise InputError("weights", str(path), "no such file")
    state = _read(file, key)
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def normalisation(model: nn.Module, path: str | Path, key: str | None = None) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of the channels that `empirical.train` wraps its nets in.

    None where the file holds none, or they belong to the model itself.
    """
    state = read_weights(path, key)
    if set(state) != set(model.state_dict()) and {name.partition(".")[0] for name in state} == {"mean", "std", "net"}:
        return state["mean"].flatten(), state["std"].flatten()
    return None


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the state dict as safetensors, aside first and then renamed.

    Raises
    ------
    InputError
        If the name does not end in .safetensors, the file cannot be written, or the state cannot be kept, see `packed`.
    """
    from safetensors.torch import save

    require_weights_path("weights", path)
    state = packed(model.state_dict())
    write_whole(Path(path), lambda aside: aside.write_bytes(save(state)))


def require_weights_path(parameter: str, path: str | Path) -> None:
    """InputError if weights could not be written there, before a net is trained for nothing."""
    if Path(path).suffix != ".safetensors":
        raise InputError(parameter, str(path), "must end in .safetensors")
    require_writable_parent(parameter, path)


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _read(file: Path, key: str | None) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return unpacked(load_file(file))
        except (SafetensorError, OSError) as error:
            raise InputError("weights", str(file), f"cannot be read ({_first_line(error)})") from error
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _may_be_torchs(file):
            raise InputError("weights", str(file), "cannot be read: is no file of torch's or of safetensors") from error
        allowed = "must hold tensors alone: anything else would run its code; save model.state_dict()"
        raise InputError("weights", str(file), allowed) from error
    except Exception as error:  # torch.load raises whatever it stumbles over in a file that is none of its own
        raise InputError("weights", str(file), f"cannot be read ({_first_line(error)})") from error
    loaded = _under(loaded, key, file)
    named = isinstance(loaded, dict) and all(isinstance(name, str) for name in loaded)
    if not named or not all(
        isinstance(value, Tensor) or name.endswith("_extra_state") for name, value in loaded.items()
    ):
        raise InputError("weights", str(file), "must hold a state dict: names and tensors")
    return loaded


def _may_be_torchs(file: Path) -> bool:
    """Whether it begins as torch's files do: as a zip archive, or, before torch 1.6, as a pickle of protocol 2."""
    with file.open("rb") as stream:
        start = stream.read(4)
    return start.startswith((b"PK\x03\x04", b"\x80"))


def _under(loaded: Any, key: str | None, file: Path) -> Any:
    """The state dict in what a file holds: under `key`, or under the first usual one."""
    if isinstance(loaded, (list, tuple)) and loaded:
        indices = [str(index) for index in range(len(loaded))]
        if key is None and len(loaded) > 1:
            allowed = f"holds a list of {len(loaded)}: a key of 0 to {len(loaded) - 1} (--weights-key) chooses one"
            raise InputError("weights", file.name, allowed)
        return loaded[int(_require_key(key or "0", indices, file))]
    if key is not None:
        held = [name for name, value in loaded.items() if isinstance(value, dict)] if isinstance(loaded, dict) else []
        return loaded[_require_key(key, held, file)]
    while isinstance(loaded, dict):
        holders = [name for name in _HOLDERS if isinstance(loaded.get(name), dict)]
        if not holders:
            break
        if len(holders) > 1:
            warnings.warn(f"{file.name} holds {', '.join(holders)}: {holders[0]} is loaded", stacklevel=5)
        loaded = loaded[holders[0]]
    return loaded


def _require_key(key: str, held: Iterable[str], file: Path) -> str:
    if key not in held:
        raise InputError("weights_key", key, f"must be one of those in {file.name}: {', '.join(held) or 'it has none'}")
    return key


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
