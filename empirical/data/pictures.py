"""Folders of pictures, by one rule for all who read them: which files are taken, of which class, and their pixels."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from theory.common.errors import InputError

__all__ = ["PictureFolder", "as_bytes", "find_pictures", "holds_parts", "read_pictures", "read_pixels"]

_SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".avif", ".tga",
}  # fmt: skip
_NEVER_MEANT = {"thumbs.db", "desktop.ini"}  # written by file managers
_PARTS = {"train", "test", "val", "valid", "validation"}
_GREY16 = ("PNG", "PPM")  # formats whose wide grey is of sixteen bits, whatever mode Pillow gives it


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """The pictures of a folder, in the order of their paths; `labels` are places in `classes`, None without classes."""

    root: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...] | None
    classes: tuple[str, ...]

    def reordered(self, order: Sequence[int]) -> PictureFolder:
        """The same pictures in another order: places in `files`."""
        labels = None if self.labels is None else tuple(self.labels[index] for index in order)
        return PictureFolder(self.root, tuple(self.files[index] for index in order), labels, self.classes)


def holds_parts(root: Path) -> bool:
    """Whether the folders in `root` are a data set's parts, as train/ and test/, in small letters or capitals.

    Others may stand beside them, of annotations, say: classes are not called train and test.
    """
    names = {item.name.lower() for item in root.iterdir() if item.is_dir() and _shown(item)}
    return bool(names) and (names <= _PARTS or {"train", "test"} <= names or {"train", "val"} <= names)


def find_pictures(root: Path) -> PictureFolder:
    """Pictures of a folder: at any depth of the folders in it, which are classes, or else its own.

    Files count by their suffix, in small letters or capitals. Hidden files and folders, and folders that begin with
    two underscores, are nobody's pictures. A class without pictures keeps its place among the classes. It is told in a
    warning, and so are other files, and pictures that stand beside the classes' folders.

    Raises
    ------
    InputError
        If there are no pictures, or the folders are a data set's parts, as train/ and test/.
    """
    folders = sorted((item for item in root.iterdir() if item.is_dir() and _shown(item)), key=lambda item: item.name)
    if holds_parts(root):
        names = ", ".join(item.name for item in folders if item.name.lower() in _PARTS)
        raise InputError("data", str(root), f"holds the parts of a data set: give one of them ({names})")
    strange: Counter[str] = Counter()
    inside = [_pictures(folder, strange) for folder in folders]
    own = _pictures(root, strange, deep=False)
    if any(inside):
        classes = tuple(folder.name for folder in folders)
        empty = [name for name, files in zip(classes, inside, strict=True) if not files]
        if empty:
            _warn(f"{root.name}: no pictures in the class {', '.join(empty)}, which keeps its place among the classes")
        if own:
            _warn(f"{root.name}: {len(own)} pictures beside the classes' folders are left out")
        files = [(file, label) for label, found in enumerate(inside) for file in found]
        result = PictureFolder(root, tuple(file for file, _ in files), tuple(label for _, label in files), classes)
    elif own:
        result = PictureFolder(root, tuple(own), None, ())
    else:
        held = f"; it holds {_kinds(strange)}" if strange else ""
        raise InputError("data", str(root), f"holds no images ({', '.join(sorted(_SUFFIXES))}){held}")
    if strange:
        _warn(f"{root.name}: left out, as no pictures that are read: {_kinds(strange)}")
    return result


def read_pictures(
    found: PictureFolder, prepare: Callable[[Any], Any] | None = None, most: int | None = None
) -> np.ndarray:
    """Pixels of the first `most` pictures, shape (N, height, width), or (N, height, width, 3) if any has colour.

    Bytes, or single precision in [0, 1] if any has sixteen bits of grey. `prepare` is given each picture, a PIL image
    or a tensor of shape (1, height, width) of sixteen bits of grey, and gives the same kind back.

    Raises
    ------
    InputError
        If one cannot be read, or they are not alike in size: the file is named.
    """
    files = found.files[:most]
    pixels: np.ndarray = np.empty(0, np.uint8)
    several = 0
    for index, file in enumerate(files):
        name = file.relative_to(found.root).as_posix()
        one, frames = read_pixels(file, name, prepare)
        several += frames > 1
        if index == 0:
            pixels = np.empty((len(files), *one.shape), one.dtype)
        if one.shape[:2] != pixels.shape[1:3]:
            sizes = " x ".join(map(str, one.shape[:2])), " x ".join(map(str, pixels.shape[1:3]))
            raise InputError(
                "data",
                name,
                f"is {sizes[0]} pixels, the first {sizes[1]}: all must be alike; an image size and a crop make them so",
            )
        if one.ndim == pixels.ndim:  # the first colour among grey ones
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        elif one.ndim + 1 < pixels.ndim:
            one = np.repeat(one[..., None], 3, axis=-1)
        if one.dtype != pixels.dtype:
            if pixels.dtype == np.uint8:
                pixels = pixels.astype(np.float32) / 255
            else:
                one = one.astype(np.float32) / 255
        pixels[index] = one
    if several:
        _warn(f"{found.root.name}: {several} pictures have several frames, of which the first is read")
    return pixels


def read_pixels(file: Path, name: str, prepare: Callable[[Any], Any] | None = None) -> tuple[np.ndarray, int]:
    """One picture, upright as its EXIF orientation tells, and how many frames its file holds.

    Grey as (height, width), colour as (height, width, 3), bytes; sixteen bits of grey as numbers in [0, 1].
    Transparency is left out.
    """
    try:
        with Image.open(file) as opened:
            frames = int(getattr(opened, "n_frames", 1))
            grey16 = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in _GREY16)
            if opened.mode in ("I", "F") and not grey16:
                raise InputError("data", name, "cannot be read as an image: its grey has no known white")
            upright = ImageOps.exif_transpose(opened)
            if grey16:
                wide = torch.from_numpy(np.asarray(upright).astype(np.float32) / 65535)[None]
                return np.asarray((wide if prepare is None else prepare(wide))[0]), frames
            plain = _grey_or_colour(upright)
            return np.asarray(plain if prepare is None else prepare(plain)), frames
    except InputError:
        raise
    except Exception as error:  # Pillow raises whatever it stumbles over: its formats' readers have their own errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("data", name, f"cannot be read as an image ({reason})") from error


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels as bytes: sixteen bits v become v / 257, rounded."""
    return pixels if pixels.dtype == np.uint8 else np.round(pixels * 255).astype(np.uint8)


def _grey_or_colour(picture: Image.Image) -> Image.Image:
    if picture.mode in ("1", "LA", "La"):
        return picture.convert("L")
    if picture.mode == "P":
        colour = picture.convert("RGB")
        pixels = np.asarray(colour)
        return colour.getchannel(0) if (pixels == pixels[..., :1]).all() else colour
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _shown(item: Path) -> bool:
    return not item.name.startswith((".", "__"))


def _pictures(folder: Path, strange: Counter[str], deep: bool = True) -> list[Path]:
    """Sorted by path; other files are counted in `strange`, by suffix. A folder that leads back is looked at once."""
    found: list[Path] = []
    seen: set[str] = set()
    for inside, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        inner[:] = [] if real in seen or not deep else [name for name in inner if _shown(Path(name))]
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            suffix = Path(name).suffix.lower()
            if name.startswith(".") or name.lower() in _NEVER_MEANT:
                continue
            if suffix in _SUFFIXES:
                found.append(Path(inside) / name)
            else:
                strange[suffix or "no suffix"] += 1
    return sorted(found)


def _kinds(strange: Counter[str]) -> str:
    shown = [f"{count} of {suffix}" for suffix, count in sorted(strange.items())]
    return ", ".join([*shown[:4], *(["..."] if len(shown) > 4 else [])])


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
