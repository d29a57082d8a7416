"""Images that a user brings: a folder, with or without a folder for each class, or arrays in an .npz or .npy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from empirical.data.framing import Framing
from empirical.data.named_sets import DATASETS, mixed_order
from empirical.data.pictures import find_pictures, holds_parts, read_pictures
from empirical.data.user_arrays import as_images, as_labels, read_arrays
from theory.common.errors import InputError

__all__ = ["LabelledImages", "read_images"]

_TEST_PARTS = ("test", "val", "valid", "validation")  # of a folder that holds a data set's parts


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Images of shape (N, channels, n, n), and labels, shape (N,), where they are known.

    `pixels` are bytes, or numbers in [0, 1]; `total` says how many images there are where fewer were read.
    """

    name: str
    pixels: Tensor
    labels: Tensor | None
    classes: tuple[str, ...] = ()
    total: int | None = None

    @property
    def class_count(self) -> int | None:
        """How many classes there are; of an array's labels, which name none, up to the largest; None without labels."""
        if self.classes or self.labels is None:
            return len(self.classes) or None
        return int(self.labels.max()) + 1 or None

    @property
    def images(self) -> Tensor:
        """In [0, 1], floating point."""
        return self.pixels if self.pixels.is_floating_point() else self.pixels.float() / 255


def read_images(path: str | Path, framing: Framing | None = None, most: int | None = None) -> LabelledImages:
    """Images of a folder (see `find_pictures`; those of classes are mixed) or of a file of arrays.

    A folder that holds test/ or val/ with folders of classes is a data set's: that part of it is read. An .npz file
    holds images and maybe labels by the names that are usual (`images` and `labels`, x and y, x_test and y_test, ...),
    an .npy file images alone: see `empirical.data.user_arrays.as_images` for the shapes.

    Parameters
    ----------
    framing : makes pictures of any sizes alike; without, all must be square and of one size
    most : no more than so many are read, the first

    Raises
    ------
    InputError
        If there is no such file or folder, no image in it, images that are not square and alike, cannot be read or
        are all one colour, or labels that are not whole numbers, one an image.
    """
    source, framing = Path(path), framing or Framing()
    if source.is_dir():
        found = _from_folder(_test_part(source), framing, most)
    elif source.suffix in (".npz", ".npy") and source.is_file():
        found = _from_arrays(source, framing, most)
    elif source.suffix in (".npz", ".npy"):
        raise InputError("data", str(path), "no such file")
    else:
        known = ", ".join([*DATASETS, "digits", "images:FOLDER"])
        raise InputError("data", str(path), f"must be a folder of images, an .npz or .npy file, or one of {known}")
    if bool((found.pixels == found.pixels[0, :, :1, :1]).all()):
        raise InputError("data", str(path), "all images are the same constant: no deformation moves them")
    return found


def _test_part(folder: Path) -> Path:
    """The folder itself, or, of a data set's parts, the one that is to be measured on."""
    if holds_parts(folder):
        for name in _TEST_PARTS:
            for part in sorted(item for item in folder.iterdir() if item.name.lower() == name and item.is_dir()):
                if any(inside.is_dir() for inside in part.iterdir()):
                    return part
    return folder


def _from_folder(folder: Path, framing: Framing, most: int | None) -> LabelledImages:
    found = find_pictures(folder)
    total = len(found.files)
    if found.labels is not None:  # class by class, the first images, which serve as probes, would be of one
        found = found.reordered(mixed_order(total).tolist())
    images = _square(as_images(read_pictures(found, framing, most), str(folder)), str(folder))
    labels = None if found.labels is None else torch.tensor(found.labels[:most])
    return LabelledImages(folder.name, images, labels, found.classes, total)


def _from_arrays(file: Path, framing: Framing, most: int | None) -> LabelledImages:
    images, labels = read_arrays(file)
    found = as_images(images, str(file))
    numbers = None if labels is None else as_labels(labels, len(found))[:most]
    return LabelledImages(file.stem, _square(framing(found[:most]), str(file)), numbers, total=len(found))


def _square(images: Tensor, origin: str) -> Tensor:
    if images.shape[-1] != images.shape[-2]:
        shape = " x ".join(map(str, images.shape[-2:]))
        raise InputError("data", f"{origin}: {shape}", "must hold square images; an image size and a crop make them so")
    return images
