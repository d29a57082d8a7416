"""Weights from files, never by running code that a file holds."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from theory.common.errors import InputError
from theory.common.files import require_writable_parent, write_whole

__all__ = ["load_weights", "normalisation", "read_weights", "require_weights_path", "save_weights"]

_SHOWN = 3  # keys named in a message


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a state dict, from safetensors, or from torch's format by `torch.load(weights_only=True)`.

    A dictionary that holds the state dict as `state_dict`, `model` or `net`, and keys that all begin with `module.`,
    as data-parallel training leaves them, are understood.

    Raises
    ------
    InputError
        If there is no such file, it holds anything but tensors, or its keys or shapes are not the model's: the first
        that differ are named.
    """
    file, state = Path(path), read_weights(path)
    own = model.state_dict()
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or extra:
        words = [f"lacks {_few(missing)}" for _ in (1,) if missing] + [f"has {_few(extra)}" for _ in (1,) if extra]
        raise InputError("weights", file.name, f"does not fit the model: it {' and '.join(words)}")
    wrong = [key for key in own if own[key].shape != state[key].shape]
    if wrong:
        key = wrong[0]
        shapes = f"{tuple(state[key].shape)} for {tuple(own[key].shape)}"
        raise InputError("weights", file.name, f"does not fit the model: {key} is {shapes}")
    model.load_state_dict(state)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file; see `load_weights`."""
    file = Path(path)
    if not file.is_file():
        raise InputError("weights", str(path), "no such file")
    state = _read(file)
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def normalisation(model: nn.Module, path: str | Path) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of the channels that `empirical.train` wraps its nets in.

    None where the file holds none, or they belong to the model itself.
    """
    state = read_weights(path)
    if set(state) != set(model.state_dict()) and {key.partition(".")[0] for key in state} == {"mean", "std", "net"}:
        return state["mean"].flatten(), state["std"].flatten()
    return None


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the state dict as safetensors, aside first and then renamed.

    Raises
    ------
    InputError
        If the name does not end in .safetensors or the file cannot be written.
    """
    from safetensors.torch import save

    require_weights_path("weights", path)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_whole(Path(path), lambda aside: aside.write_bytes(save(state)))


def require_weights_path(parameter: str, path: str | Path) -> None:
    """InputError if weights could not be written there, before a net is trained for nothing."""
    if Path(path).suffix != ".safetensors":
        raise InputError(parameter, str(path), "must end in .safetensors")
    require_writable_parent(parameter, path)


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise InputError("weights", str(file), f"cannot be read ({_first_line(error)})") from error
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        allowed = "must hold tensors alone: anything else would run its code; save model.state_dict()"
        raise InputError("weights", str(file), allowed) from error
    except Exception as error:  # torch.load raises whatever it stumbles over in a file that is none of its own
        raise InputError("weights", str(file), f"cannot be read ({_first_line(error)})") from error
    for name in ("state_dict", "model", "net"):
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    named = isinstance(loaded, dict) and all(isinstance(key, str) for key in loaded)
    if not named or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError("weights", str(file), "must hold a state dict: names and tensors")
    return loaded


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
