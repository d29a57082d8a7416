"""What a published net expects of its images: their side, how they are cut, and the normalisation of their channels.

Read from what the libraries keep beside their nets: timm's pretrained configuration, torchvision's transforms of the
default weights, a preprocessor_config.json of transformers. Nothing is fetched.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from empirical.data.framing import FRAMING_INTERPOLATIONS, Framing
from empirical.nets.optional import need
from theory.common.errors import InputError

__all__ = ["Preprocessing", "published", "unknown"]

_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic")  # by the numbers of its Resampling


_AS_THEY_ARE = Framing()


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How images are framed, and mean and std of their channels in [0, 1]; nothing by default."""

    framing: Framing = _AS_THEY_ARE
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def overridden(
        self, resize: int | None, crop: int | None, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> Preprocessing:
        """With what was asked for in its place: a new size comes with its own cut, at first all that is there."""
        framing = self.framing
        if resize is not None:
            framing = Framing(resize, crop if crop is not None or not framing.crop else resize, framing.interpolation)
        elif crop is not None:
            framing = replace(framing, crop=crop)
        return Preprocessing(framing, mean or self.mean, std or self.std)

    def __str__(self) -> str:
        words = [str(self.framing)]
        if self.mean:
            words += [f"{name} {' '.join(f'{x:.3g}' for x in values)}" for name, values in zip(
                ("mean", "std"), (self.mean, self.std), strict=True)]  # fmt: skip
        return ", ".join(words)


def published(model: str) -> Preprocessing:
    """The preprocessing of `timm:NAME`, `torchvision:NAME` or `hf:FOLDER`; of any other net, none.

    Raises
    ------
    InputError
        If the library is not installed, or knows no such net.
    """
    kind, _, name = model.partition(":")
    if kind == "timm":
        return _timm(name)
    if kind == "torchvision":
        return _torchvision(name)
    if kind == "hf":
        return _hugging_face(Path(name))
    return Preprocessing()


def _timm(name: str) -> Preprocessing:
    timm = need("timm", "timm:", "timm")
    if not timm.is_model(name):
        raise InputError("model", f"timm:{name}", unknown(name, timm.list_models()))
    config = timm.models.get_pretrained_cfg(name)
    found = timm.data.resolve_data_config(pretrained_cfg={} if config is None else config.to_dict())
    side = int(found["input_size"][-1])
    framing = Framing(math.floor(side / found["crop_pct"]), side, _known(found["interpolation"]))
    return Preprocessing(framing, tuple(found["mean"]), tuple(found["std"]))


def _torchvision(name: str) -> Preprocessing:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError("model", f"torchvision:{name}", unknown(name, known))
    weights = list(models.get_model_weights(name))
    if not weights:
        return Preprocessing()
    found = weights[0].transforms()  # of the first published weights, which are those of most files
    framing = Framing(found.resize_size[0], found.crop_size[0], _known(found.interpolation.value))
    return Preprocessing(framing, tuple(found.mean), tuple(found.std))


def _hugging_face(folder: Path) -> Preprocessing:
    """x -> (255 f x - mean) / std on images in [0, 1], with f the file's rescale_factor."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return Preprocessing()
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("model", str(file), f"cannot be read ({error})") from error
    factor = 255 * float(found.get("rescale_factor", 1 / 255)) if found.get("do_rescale", True) else 255.0
    mean, std = (0.0,) * 3, (1.0,) * 3
    if found.get("do_normalize", True):
        mean, std = (tuple(found.get(f"image_{part}", (0.5,) * 3)) for part in ("mean", "std"))
    size = _sides(found.get("size"), file) if found.get("do_resize", True) else None
    crop = _sides(found.get("crop_size"), file) if found.get("do_center_crop", False) else None
    if isinstance(size, int) and "crop_pct" in found and size < 384:  # ConvNeXt's: cut to the size itself
        size, crop = int(size / found["crop_pct"]), size
    if isinstance(crop, tuple):
        if crop[0] != crop[1]:
            raise InputError("model", str(file), f"cuts to {crop[0]} x {crop[1]}: only squares can be measured")
        crop = crop[0]
    resample = found.get("resample", 2)
    mode = _PILLOW[resample] if isinstance(resample, int) and 0 <= resample < len(_PILLOW) else "bilinear"
    if isinstance(size, int) and crop is None:
        crop = size
    framing = Framing(size, crop, mode)
    return Preprocessing(framing, tuple(value / factor for value in mean), tuple(value / factor for value in std))


def _sides(size: Any, file: Path) -> int | tuple[int, int] | None:
    if size is None or isinstance(size, int):
        return size
    if "shortest_edge" in size:
        return int(size["shortest_edge"])
    if "height" in size and "width" in size:
        return int(size["height"]), int(size["width"])
    raise InputError("model", str(file), f"has a size that is not understood, {size}: give an image size")


def _known(interpolation: str) -> str:
    return interpolation if interpolation in FRAMING_INTERPOLATIONS else "bilinear"


def unknown(name: str, known: list[str]) -> str:
    """What is allowed, beginning with the names nearest to the one that is not known."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"is none of its {len(known)} nets" + (f"; near it are {', '.join(near)}" if near else "")
