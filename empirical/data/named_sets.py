"""Data sets of small images by name, as tensors in memory.

Names: ``fashion-mnist``, ``mnist``, ``cifar10``, ``svhn`` (torchvision's files in the data folder, fetched
only when asked to), ``digits`` (scikit-learn's embedded 8 x 8 digits, no file needed) and ``images:NAME``,
which reads DATA/NAME/train/CLASS/* and DATA/NAME/test/CLASS/*. The data folder is the argument or the
environment variable RELSTAB_DATA.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from empirical.data.pictures import as_bytes, find_pictures, read_pictures
from theory.common.errors import InputError, require_integer

__all__ = [
    "DATASETS", "FOLDER_VARIABLE", "ImageData", "fingerprint", "load_data", "mixed_order", "training_subset",
]  # fmt: skip

FOLDER_VARIABLE = "RELSTAB_DATA"


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """Images as uint8 tensors of shape (N, channels, n, n), labels as int64 of shape (N,)."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]

    @property
    def channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def size(self) -> int:
        return self.train_images.shape[-1]


def _channels_first(images: np.ndarray | Tensor) -> Tensor:
    """(N, n, n) or (N, n, n, 3) or (N, 3, n, n) bytes as (N, channels, n, n)."""
    images = torch.as_tensor(np.asarray(images), dtype=torch.uint8)
    if images.ndim == 3:
        return images[:, None]
    return images if images.shape[1] == 3 else images.permute(0, 3, 1, 2).contiguous()


def _torchvision(kind: str) -> Callable[[str, Path, bool], ImageData]:
    """A reader of torchvision's data set of this class name."""

    def read(name: str, folder: Path, download: bool) -> ImageData:
        from torchvision import datasets

        splits = [{"split": s} for s in ("train", "test")] if kind == "SVHN" else [{"train": t} for t in (True, False)]
        try:
            train, test = (getattr(datasets, kind)(folder, download=download, **split) for split in splits)
        except (RuntimeError, OSError) as error:
            # torchvision says RuntimeError both for absent and for damaged files, OSError if it cannot download.
            fetch = "could not be fetched" if download else "download (an option of train and sweep) fetches it"
            raise InputError("data", str(folder), f"holds no whole {name} in torchvision's layout; {fetch}") from error
        labels = [torch.as_tensor(getattr(part, "targets", getattr(part, "labels", None))) for part in (train, test)]
        classes = tuple(getattr(train, "classes", map(str, range(10))))
        return ImageData(
            name, _channels_first(train.data), labels[0].long(), _channels_first(test.data), labels[1].long(), classes
        )

    return read


def _digits(name: str, folder: Path | None, download: bool) -> ImageData:
    """Scikit-learn's 1797 digits (a part of the UCI optical digits): 1297 to train, the last 500 to test.

    The split follows the file's order, as in the source: the writers at the end are not those at the start.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = _channels_first(np.round(bunch.images * (255 / 16)).astype(np.uint8))
    labels = torch.as_tensor(bunch.target).long()
    return ImageData(name, images[:-500], labels[:-500], images[-500:], labels[-500:], tuple(map(str, range(10))))


def _image_folder(name: str, folder: Path, download: bool) -> ImageData:
    """Pictures of NAME/train and NAME/test, see `find_pictures`; every one of one size and square.

    Their order is that of the classes, so that the first images, which serve as probes, would all be of one: they are
    put into a fixed random order.
    """
    root = folder / name.removeprefix("images:")
    parts = []
    for split in ("train", "test"):
        if not (root / split).is_dir():
            raise InputError("data", str(root), f"has no folder {split}/ with a folder of images for each class")
        found = find_pictures(root / split)
        if found.labels is None:
            raise InputError("data", str(root / split), "holds no images in folders named by class")
        pixels = as_bytes(read_pictures(found))
        if pixels.shape[1] != pixels.shape[2]:
            sides = " x ".join(map(str, pixels.shape[1:3]))
            raise InputError("data", str(root / split), f"holds images of {sides} pixels: they must be square")
        order = mixed_order(len(pixels)).numpy()
        parts.append((pixels[order], np.array(found.labels)[order], found.classes))
    (train, train_labels, classes), (test, test_labels, others) = parts
    if classes != others:
        raise InputError("data", str(root), "train/ and test/ must hold the same classes")
    if train.shape[1:3] != test.shape[1:3]:
        raise InputError("data", str(root), "train/ and test/ must hold images of one size")
    if train.ndim != test.ndim:  # grey ones in one part, colour in the other
        train, test = (part if part.ndim == 4 else np.repeat(part[..., None], 3, axis=-1) for part in (train, test))
    return ImageData(
        name, _channels_first(train), torch.as_tensor(train_labels), _channels_first(test),
        torch.as_tensor(test_labels), classes,
    )  # fmt: skip


#: Registered readers: (name, data folder, download) -> ImageData.
DATASETS: dict[str, Callable[[str, Path, bool], ImageData]] = {
    "fashion-mnist": _torchvision("FashionMNIST"),
    "mnist": _torchvision("MNIST"),
    "cifar10": _torchvision("CIFAR10"),
    "svhn": _torchvision("SVHN"),
}


def load_data(
    name: str, folder: str | Path | None = None, *, image_size: int | None = None, download: bool = False
) -> ImageData:
    """The data set called `name`, its images resized (bilinear) to `image_size` if given.

    Parameters
    ----------
    name : see the module's docstring
    folder : the data folder; None takes the environment variable RELSTAB_DATA (``digits`` needs neither)
    download : fetch torchvision's files if they are not there

    Raises
    ------
    InputError
        On an unknown name, a missing or incomplete data folder, or images that are not square and alike.
    """
    if image_size is not None:
        require_integer("image_size", image_size, 8, 4096)
    if name == "digits":
        return _load(name, None, image_size, False)
    if name not in DATASETS and not name.startswith("images:"):
        known = ", ".join([*DATASETS, "digits", "images:FOLDER"])
        raise InputError("dataset", name, f"must be one of {known}")
    given = folder if folder is not None else os.environ.get(FOLDER_VARIABLE) or None
    if given is None:
        raise InputError("data", given, f"{name} needs the folder of the data sets: give it, or set {FOLDER_VARIABLE}")
    path = Path(given)
    if not path.is_dir() and not download:
        raise InputError("data", str(given), "no such folder")
    return _load(name, path, image_size, download)


@lru_cache(maxsize=4)
def _load(name: str, folder: Path | None, image_size: int | None, download: bool) -> ImageData:
    if folder is None:
        data = _digits(name, folder, download)
    else:
        data = DATASETS.get(name, _image_folder)(name, folder, download)
    if image_size is None or image_size == data.size:
        return data

    def resize(images: Tensor) -> Tensor:
        smooth = functional.interpolate(
            images.float(), size=image_size, mode="bilinear", antialias=True, align_corners=False
        )
        return smooth.round_().clamp_(0, 255).to(torch.uint8)

    return ImageData(
        f"{name}@{image_size}",
        resize(data.train_images), data.train_labels,
        resize(data.test_images), data.test_labels,
        data.classes,
    )  # fmt: skip


@lru_cache(maxsize=4)
def fingerprint(data: ImageData) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of images, labels and classes: a name may stand for other files."""
    digest = hashlib.sha256(repr(data.classes).encode())
    for part in (data.train_images, data.train_labels, data.test_images, data.test_labels):
        digest.update(repr(tuple(part.shape)).encode())
        digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def mixed_order(count: int) -> Tensor:
    """A random order of `count` images, always the same."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def training_subset(data: ImageData, train_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """`train_size` training images and labels drawn without replacement; InputError if there are not so many.

    Subsets of one seed are nested: the smaller is the beginning of the larger.
    """
    require_integer("train_size", train_size, 1, len(data.train_images))
    order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(seed))[:train_size]
    return data.train_images[order], data.train_labels[order]
