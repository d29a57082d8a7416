"""Deform a sample: images with what belongs to them, in the types of torchvision's v2 transforms, of Pillow or torch.

Which field moves what:

| type | what happens to it |
|---|---|
| `tv_tensors.Image`, Pillow's image, tensor (channels, height, width), or a batch (count, ...) | read between pixels |
| `tv_tensors.Video` (frames, channels, height, width), or a batch | one field for all frames |
| `tv_tensors.Mask` (height, width), (masks, height, width), or a batch | nearest pixel: labels are not mixed |
| `tv_tensors.BoundingBoxes` | the box around the deformed outline |
| `tv_tensors.KeyPoints` | moved by the inverse field |
| all else, labels say | as it is |

A plain tensor is an image if it is the sample itself, or the first one of three or four dimensions in a sample without
images of the other types, as in torchvision's transforms. Torchvision and Pillow are not loaded for it: what is of
their types was made by them.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from empirical.diffeo.deformation import deform, nearest_pixels
from empirical.diffeo.interpolation import Interpolation
from empirical.diffeo.sine_series import moved_points
from theory.common.errors import InputError

__all__ = ["deform_sample"]

#: (count, (height, width), dtype, device) -> coefficients, shape (count, 2, c, c).
Draw = Callable[[int, tuple[int, int], torch.dtype, torch.device], Tensor]

_OUTLINE = 64  # points on each side of a box
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8)
_PILLOW_BLEND, _PILLOW_NEAREST = ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "F"), ("1", "P")


@dataclass(frozen=True, slots=True)
class _Part:
    """One thing that is deformed: its kind, its size, how many fields it needs (None: one, of a single sample)."""

    kind: str
    size: tuple[int, int]
    count: int | None


def deform_sample(sample: Any, draw: Draw, interpolation: Interpolation) -> Any:
    """The sample with all that has a place in the image deformed by the field of its image; the rest as it is.

    Raises
    ------
    InputError
        On images without pixels or of other numbers than floating point and bytes, parts of different sizes, numbers of
        images that differ, boxes that are rotated, and boxes or key points beside a batch of images, whose owners
        are not known.
    """
    alone = isinstance(sample, Tensor) and _tv_kind(sample) is None
    leaves = list(_leaves(sample))
    kinds = [_kind(leaf) for leaf in leaves]
    if alone:
        kinds = ["image"]
    elif not any(kind in ("image", "video", "picture") for kind in kinds):
        plain = [index for index, leaf in enumerate(leaves) if kinds[index] is None and _is_plain_image(leaf)]
        for index in plain[:1]:
            kinds[index] = "image"
    parts = [None if kind is None else _part(kind, leaf) for kind, leaf in zip(kinds, leaves, strict=True)]
    deformed = [part for part in parts if part is not None]
    if not deformed:
        raise InputError("images", type(sample).__name__, "must be or hold an image")
    _require_alike(deformed)
    first = next(leaf for part, leaf in zip(parts, leaves, strict=True) if part is not None)
    tensor = first if isinstance(first, Tensor) else torch.empty(0)
    dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
    count = next((part.count for part in deformed if part.count is not None), None)
    coefficients = draw(1 if count is None else count, deformed[0].size, dtype, tensor.device)
    moved = iter([
        leaf if part is None else _moved(part, leaf, coefficients, interpolation)
        for part, leaf in zip(parts, leaves, strict=True)
    ])  # fmt: skip
    return _rebuilt(sample, moved)


def _leaves(sample: Any) -> Iterator[Any]:
    """All that is in tuples, lists and dictionaries, in order."""
    if isinstance(sample, Mapping):
        for value in sample.values():
            yield from _leaves(value)
    elif isinstance(sample, (tuple, list)):
        for value in sample:
            yield from _leaves(value)
    else:
        yield sample


def _rebuilt(sample: Any, leaves: Iterator[Any]) -> Any:
    """The same tuples, lists and dictionaries around other leaves."""
    if isinstance(sample, Mapping):
        values = {key: _rebuilt(value, leaves) for key, value in sample.items()}
        if not isinstance(sample, MutableMapping):
            return type(sample)(values)  # type: ignore[call-arg]
        kept = copy.copy(sample)  # with what else it holds, as a defaultdict does
        kept.update(values)
        return kept
    if isinstance(sample, (tuple, list)):
        items = [_rebuilt(value, leaves) for value in sample]
        return type(sample)(*items) if hasattr(sample, "_fields") else type(sample)(items)
    return next(leaves)


def _tv_kind(leaf: Any) -> str | None:
    types = sys.modules.get("torchvision.tv_tensors")
    for name, kind in (
        ("Image", "image"), ("Video", "video"), ("Mask", "mask"), ("BoundingBoxes", "boxes"), ("KeyPoints", "points")
    ):  # fmt: skip
        known = getattr(types, name, None)
        if known is not None and isinstance(leaf, known):
            return kind
    return None


def _kind(leaf: Any) -> str | None:
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(leaf, pillow.Image):
        return "picture"
    return _tv_kind(leaf)


def _is_plain_image(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim in (3, 4) and (leaf.is_floating_point() or leaf.dtype == torch.uint8)


def _part(kind: str, leaf: Any) -> _Part:
    if kind == "picture":
        return _Part(kind, (leaf.height, leaf.width), None)
    if kind in ("boxes", "points"):
        height, width = leaf.canvas_size
        return _Part(kind, (int(height), int(width)), None)
    if leaf.is_meta:
        raise InputError(f"{kind}s.device", "meta", "must hold numbers")
    if leaf.is_nested or leaf.layout != torch.strided:
        raise InputError(f"{kind}s.layout", "nested" if leaf.is_nested else str(leaf.layout), "must be dense")
    shape = tuple(leaf.shape)
    least, wanted = {
        "image": (3, "(channels, height, width), or a batch of them"),
        "video": (4, "(frames, channels, height, width), or a batch of them"),
        "mask": (2, "(height, width), (masks, height, width), or a batch of them"),
    }[kind]
    dimensions = (2, 3, 4) if kind == "mask" else (least, least + 1)
    if leaf.ndim not in dimensions or not leaf.numel() or min(shape[-2:]) < 2:
        raise InputError(f"{kind}s.shape", shape, f"must be {wanted}, with sides of at least 2")
    if kind != "mask" and (leaf.dtype not in _NUMBERS or leaf.is_quantized):
        raise InputError(f"{kind}s.dtype", leaf.dtype, "must be floating-point or uint8")
    return _Part(kind, (int(shape[-2]), int(shape[-1])), len(leaf) if leaf.ndim == dimensions[-1] else None)


def _require_alike(parts: list[_Part]) -> None:
    for part in parts:
        if part.size != parts[0].size:
            sizes = f"{part.kind} of {part.size}, {parts[0].kind} of {parts[0].size}"
            raise InputError("sample", sizes, "must all have one (height, width)")
    counts = {part.count for part in parts if part.count is not None}
    if len(counts) > 1:
        raise InputError("sample", f"batches of {' and '.join(map(str, sorted(counts)))}", "must have one length")
    single = [part.kind for part in parts if part.count is None and part.kind != "mask"]
    if counts and single:
        allowed = "must be deformed one sample at a time, or be images, videos and masks that are all batches"
        raise InputError("sample", f"{single[0]} beside a batch of {counts.pop()}", allowed)


def _moved(part: _Part, leaf: Any, coefficients: Tensor, interpolation: Interpolation) -> Any:
    if part.kind == "picture":
        return _picture(leaf, coefficients, interpolation)
    plain = leaf.as_subclass(Tensor) if part.kind != "image" or _tv_kind(leaf) is not None else leaf
    if part.kind == "boxes":
        return _like(leaf, _boxes(leaf, plain, part.size, coefficients))
    if part.kind == "points":
        flat = plain.reshape(1, -1, 2)
        return _like(leaf, moved_points(coefficients, part.size, flat).reshape(plain.shape).to(plain.dtype))
    if part.kind == "mask":
        return _like(leaf, _mask(plain, len(coefficients), part, coefficients))
    batch = plain if part.count is not None else plain[None]
    flat = batch.flatten(1, -3) if part.kind == "video" else batch
    moved = deform(flat if flat.is_floating_point() else flat.float(), coefficients, interpolation)
    if not leaf.is_floating_point():
        moved = moved.round().clamp(0, 255).to(leaf.dtype)
    moved = moved.reshape(batch.shape)
    return _like(leaf, moved if part.count is not None else moved[0])


def _mask(mask: Tensor, count: int, part: _Part, coefficients: Tensor) -> Tensor:
    """Of a batch of images (count, height, width) is one mask an image; of a single one, so many masks."""
    if part.count is None and mask.ndim == 3 and len(mask) == count > 1:
        return nearest_pixels(mask, coefficients)
    if part.count is None and count > 1:
        raise InputError("masks.shape", tuple(mask.shape), f"must begin with {count}, one an image")
    return nearest_pixels(mask, coefficients) if part.count is not None else nearest_pixels(mask[None], coefficients)[0]


def _boxes(boxes: Any, plain: Tensor, size: tuple[int, int], coefficients: Tensor) -> Tensor:
    """Corners lie on the pixels' edges, half a pixel before the centres that fields count from."""
    from torchvision.transforms.v2.functional import convert_bounding_box_format as convert

    kind = boxes.format
    if kind.name not in ("XYXY", "XYWH", "CXCYWH"):
        raise InputError("boxes.format", kind.name, "must be XYXY, XYWH or CXCYWH: deformed, no other keeps its form")
    if not plain.numel():
        return plain
    height, width = size
    corners = convert(plain.double(), kind, type(kind)["XYXY"])
    along = torch.linspace(0, 1, _OUTLINE + 1, dtype=corners.dtype, device=corners.device)
    x = corners[:, :1] + along * (corners[:, 2:3] - corners[:, :1])
    y = corners[:, 1:2] + along * (corners[:, 3:] - corners[:, 1:2])
    edges = [(x, corners[:, 1:2]), (x, corners[:, 3:]), (corners[:, :1], y), (corners[:, 2:3], y)]
    outline = torch.cat([torch.stack(torch.broadcast_tensors(*edge), dim=-1) for edge in edges], dim=1)
    moved = moved_points(coefficients, size, outline.reshape(1, -1, 2) - 0.5).reshape(outline.shape) + 0.5
    limits = torch.tensor([width, height], dtype=moved.dtype, device=moved.device)
    moved = moved.clamp(min=0).minimum(limits)
    found = convert(torch.cat([moved.amin(1), moved.amax(1)], dim=1), type(kind)["XYXY"], kind)
    return found.to(plain.dtype) if plain.is_floating_point() else found.round().to(plain.dtype)


def _like(leaf: Any, moved: Tensor) -> Any:
    """With the type and what else it carries, where it is one of torchvision's."""
    if _tv_kind(leaf) is None:
        return moved
    return sys.modules["torchvision.tv_tensors"].wrap(moved, like=leaf)


def _picture(picture: Any, coefficients: Tensor, interpolation: Interpolation) -> Any:
    """Of the same mode, palette and information."""
    if picture.mode not in _PILLOW_BLEND + _PILLOW_NEAREST:
        known = ", ".join(_PILLOW_BLEND + _PILLOW_NEAREST)
        raise InputError("images.mode", picture.mode, f"must be one of {known}")
    pixels = torch.from_numpy(np.array(picture))
    planes = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    if picture.mode in _PILLOW_NEAREST:
        moved = nearest_pixels(planes[None], coefficients)[0]
    else:
        moved = deform(planes[None].float(), coefficients, interpolation)[0]
    if picture.mode in _PILLOW_BLEND and picture.mode != "F":
        moved = moved.round().clamp(0, 255).to(torch.uint8)
    numbers = (moved[0] if pixels.ndim == 2 else moved.permute(1, 2, 0)).numpy()
    image = sys.modules["PIL.Image"]
    found = image.fromarray(np.ascontiguousarray(numbers)) if picture.mode in ("1", "L", "F") else image.frombytes(
        picture.mode, picture.size, np.ascontiguousarray(numbers).tobytes())  # fmt: skip
    if picture.mode == "P":
        found.putpalette(picture.palette.getdata()[1], picture.palette.mode)
    found.info = dict(picture.info)
    return found
