"""Images that a user brings: a folder, with or without a folder for each class, or an .npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from empirical.data.named_sets import mixed_order
from theory.common.errors import InputError

__all__ = ["LabelledImages", "read_images"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Images in [0, 1], shape (N, channels, n, n), and labels, shape (N,), where they are known."""

    name: str
    images: Tensor
    labels: Tensor | None
    classes: tuple[str, ...] = ()


def read_images(path: str | Path) -> LabelledImages:
    """Images of a folder (in its order of names; folders in it are classes, and then mixed) or of an .npz file.

    An .npz file holds `images`, shape (N, n, n), (N, n, n, channels) or (N, channels, n, n), as bytes or as numbers
    in [0, 1], and may hold `labels`, shape (N,).

    Raises
    ------
    InputError
        If there is no such file or folder, no image in it, images that are not square and alike, cannot be read or
        are all one colour, or labels that are not whole numbers, one an image.
    """
    source = Path(path)
    if source.is_dir():
        found = _from_folder(source)
    elif source.suffix == ".npz" and source.is_file():
        found = _from_npz(source)
    else:
        raise InputError("data", str(path), "must be a folder of images, an .npz file, or a data set's name")
    if bool((found.images == found.images[0, :, :1, :1]).all()):
        raise InputError("data", str(path), "all images are the same constant: no deformation moves them")
    return found


def _from_folder(folder: Path) -> LabelledImages:
    inside = [item for item in folder.iterdir() if item.is_dir() and not item.name.startswith((".", "__"))]
    classes = tuple(sorted(item.name for item in inside if _files(item)))
    files = [(file, label) for label, name in enumerate(classes) for file in _files(folder / name)]
    labelled = bool(files)
    if not labelled:
        files = [(file, 0) for file in _files(folder)]
    if not files:
        raise InputError("data", str(folder), "holds no images")
    pictures: list[np.ndarray] = []
    for file, _ in files:
        try:
            with Image.open(file) as opened:
                pictures.append(_pixels(opened))
        except OSError as error:
            raise InputError("data", file.name, "cannot be read as an image") from error
        if pictures[-1].shape != pictures[0].shape:
            shapes = f"is {pictures[-1].shape}, the first {pictures[0].shape}"
            raise InputError("data", file.name, f"{shapes}: all must be alike")
    images = _channels_first(np.stack(pictures), str(folder))
    if not labelled:
        return LabelledImages(folder.name, images, None, classes)
    order = mixed_order(len(files))  # class by class, the first images, which serve as probes, would be of one
    return LabelledImages(folder.name, images[order], torch.tensor([label for _, label in files])[order], classes)


def _pixels(picture: Image.Image) -> np.ndarray:
    """Grey as (n, n), colour as (n, n, 3), bytes; sixteen bits of grey as numbers in [0, 1]."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.float32) / 65535
    if picture.mode in ("I", "F"):
        raise OSError("its grey has no known white")
    if picture.mode in ("1", "LA"):
        picture = picture.convert("L")
    return np.asarray(picture if picture.mode in ("L", "RGB") else picture.convert("RGB"))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def _from_npz(file: Path) -> LabelledImages:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("not an archive of arrays")
            if "images" not in arrays:
                names = ", ".join(arrays) or "nothing"
                raise InputError("data", str(file), f"must hold an array `images`; it holds {names}")
            images = arrays["images"]
            labels = arrays.get("labels")
    except InputError:
        raise
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        # Damaged, or holding objects that only pickle could read.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("data", str(file), f"cannot be read ({reason})") from error
    if not images.ndim or not len(images):
        raise InputError("data", str(file), "holds no images")
    if labels is None:
        return LabelledImages(file.stem, _channels_first(images, str(file)), None)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError("labels", f"{labels.shape} {labels.dtype}", f"must be {len(images)} whole numbers")
    return LabelledImages(file.stem, _channels_first(images, str(file)), torch.as_tensor(labels.astype(np.int64)))


def _channels_first(images: np.ndarray, origin: str) -> Tensor:
    """In [0, 1] and of shape (N, channels, n, n)."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] == images.shape[2] != images.shape[3] and images.shape[3] <= 4:
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise InputError("data", f"{origin}: {images.shape}", "must hold square images")
    if images.dtype == np.uint8:
        return torch.as_tensor(np.ascontiguousarray(images)).float() / 255
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError("data", f"{origin}: {images.dtype}", "must be bytes, or numbers in [0, 1]")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise InputError("data", origin, "must be bytes, or numbers in [0, 1]")
    return torch.as_tensor(np.ascontiguousarray(images, dtype=np.float32))
