"""Images that a user brings as arrays: .npz by the names that are usual, or .npy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from theory.common.errors import InputError

__all__ = ["as_images", "as_labels", "read_arrays"]

#: Names of arrays, the likelier to be meant first: a test set before the training set.
_PAIRS = (
    ("images", "labels"), ("test_images", "test_labels"), ("x_test", "y_test"), ("X_test", "y_test"),
    ("x", "y"), ("X", "y"), ("data", "labels"), ("data", "targets"), ("data", "y"), ("images", "y"),
    ("images", "targets"), ("image", "label"), ("imgs", "labels"), ("x", "labels"), ("X", "labels"), ("X", "Y"),
)  # fmt: skip
_IMAGES = tuple(dict.fromkeys(images for images, _ in _PAIRS))
_CHANNELS = (1, 2, 3, 4)
_ROUNDING = 1e-5  # what single precision may put above 1


def read_arrays(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and, where an .npz holds them, labels, as they stand in the file.

    Raises
    ------
    InputError
        If it cannot be read without running code, or holds no array of a usual name: those that it holds are named.
    """
    try:
        # Opened first: of another kind of file numpy says things that do not help.
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded as arrays:
            return _chosen(arrays, file)
    except InputError:
        raise
    except Exception as error:
        # Damaged, which the archive's, the compression's and numpy's readers tell by errors of their own, or holding
        # objects that only pickle could read.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("data", str(file), f"cannot be read ({reason})") from error


def _chosen(arrays: Mapping[str, np.ndarray], file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    pairs = [pair for pair in _PAIRS if all(name in arrays for name in pair)]
    alone = [name for name in _IMAGES if name in arrays]
    names = list(arrays)
    if not alone and len(names) == 1:
        alone = names
    if not alone:
        held = ", ".join(names) or "nothing"
        allowed = f"must hold an array `images`, and maybe `labels` (or x and y, x_test and y_test); it holds {held}"
        raise InputError("data", str(file), allowed)
    images, labels = pairs[0] if pairs else (alone[0], "")
    if len(alone) > 1 or (len(names) > 1 and not labels):
        how = "" if labels else ", without labels"
        warnings.warn(f"{file.name} holds {', '.join(names)}: {images} is measured{how}", stacklevel=4)
    return arrays[images], arrays[labels] if labels else None


def as_images(images: np.ndarray, origin: str) -> Tensor:
    """Bytes, or numbers in [0, 1], shape (N, channels, height, width).

    Of bytes, whole numbers or floats up to 255, or floats in [0, 1]; of shape (N, height, width), or with the channels
    last or first. Floats above 2 are divided by 255, and a warning says so.

    Raises
    ------
    InputError
        On other shapes and ranges.
    """
    if not images.ndim or not len(images):
        raise InputError("data", origin, "holds no images")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in _CHANNELS and images.shape[3] in _CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in _CHANNELS or min(images.shape[2:]) < 2:
        allowed = "must hold images of shape (N, height, width), with 1 to 4 channels last or first if there are any"
        allowed += "; reshape rows of pixels" if images.ndim == 2 else ""
        raise InputError("data", f"{origin}: {images.shape}", allowed)
    whole = np.issubdtype(images.dtype, np.integer)
    if not whole and not np.issubdtype(images.dtype, np.floating):
        raise InputError("data", f"{origin}: {images.dtype}", "must be bytes, or numbers in [0, 1]")
    if images.dtype == np.uint8:
        return torch.as_tensor(np.ascontiguousarray(images))
    if not np.isfinite(images).all():
        raise InputError("data", origin, "must be finite")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 255:
        allowed = "must be bytes, or numbers in [0, 1] or [0, 255], before a normalisation: give that as mean and std"
        raise InputError("data", f"{origin}: numbers from {low:.3g} to {high:.3g}", allowed)
    if whole:
        return torch.as_tensor(np.ascontiguousarray(images, dtype=np.uint8))
    numbers = torch.as_tensor(np.ascontiguousarray(images, dtype=np.float32))
    if 1 < high <= 2 and not (images % 1 == 0).all():  # an interpolation's overshoot, or rounding, and no bytes
        if high > 1 + _ROUNDING:
            allowed = "must be in [0, 1], or else in [0, 255]: clip them"
            raise InputError("data", f"{origin}: numbers up to {high:.6g}", allowed)
        return numbers.clamp_(max=1)
    if high > 1:
        warnings.warn(f"{origin} holds numbers up to {high:.3g}: they are divided by 255", stacklevel=3)
        numbers /= 255
    return numbers


def as_labels(labels: np.ndarray, count: int) -> Tensor:
    """Whole numbers, shape (N,), of (N,) or (N, 1); InputError otherwise."""
    shape, kind = labels.shape, labels.dtype
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    whole = np.issubdtype(kind, np.integer) or (np.issubdtype(kind, np.floating) and bool((labels % 1 == 0).all()))
    if labels.shape != (count,) or not whole:
        one_hot = len(shape) == 2 and shape[0] == count and set(np.unique(labels)) <= {0, 1}
        hint = ": of rows that are 0 but for a 1, take argmax(1)" if one_hot else ""
        raise InputError("labels", f"{shape} {kind}", f"must be {count} whole numbers{hint}")
    return torch.as_tensor(labels.astype(np.int64))
