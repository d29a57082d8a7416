"""The explorer of diffeomorphisms for a page: its script, and images that need neither torch nor a download."""

from __future__ import annotations

import base64
import importlib.resources
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.common.errors import InputError

__all__ = ["SampleImage", "drawn_pattern", "explorer_script", "photographs", "sample_images"]

_LARGEST = 512  # side: more would make the page heavy, and its script slow


@dataclass(frozen=True, slots=True)
class SampleImage:
    """A square image: bytes of shape (n, n) or (n, n, 3), and what to call it.

    Raises
    ------
    InputError
        If the pixels are of another type or shape, or n is not in 2 ... 512.
    """

    label: str
    pixels: np.ndarray

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        square = len(shape) in (2, 3) and shape[0] == shape[1] and shape[2:] in ((), (3,))
        if self.pixels.dtype != np.uint8 or not square or not 2 <= shape[0] <= _LARGEST:
            raise InputError(
                "pixels", f"{self.pixels.dtype} of shape {shape}", f"must be bytes n x n (x 3), n from 2 to {_LARGEST}"
            )

    def embedded(self) -> dict[str, Any]:
        """JSON-ready: label, size n, channels, and the bytes in base64, rows of pixels of channels."""
        return {
            "label": self.label,
            "size": self.pixels.shape[0],
            "channels": 1 if self.pixels.ndim == 2 else 3,
            "pixels": base64.b64encode(np.ascontiguousarray(self.pixels).tobytes()).decode("ascii"),
        }


def drawn_pattern(size: int = 96) -> SampleImage:
    """Rings on a chessboard that fades from left to right: every deformation is seen on it."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    board = (np.floor(8 * x) + np.floor(8 * y)) % 2
    distance = np.hypot(x - 0.5, y - 0.5)
    rings = 0.5 + 0.5 * np.cos(2 * np.pi * 9 * distance)
    values = np.where(distance < 0.4, rings, 0.2 + 0.5 * board) * (0.6 + 0.4 * x)
    return SampleImage("test pattern", np.round(255 * values).astype(np.uint8))


def photographs(size: int = 128) -> list[SampleImage]:
    """The two photographs that scikit-learn ships, their middle squares at `size` pixels; none without it."""
    try:
        from sklearn.datasets import load_sample_image
    except ImportError:
        return []
    from PIL import Image  # matplotlib's own reader of images

    found = []
    for file, label in (("china.jpg", "photograph of a temple"), ("flower.jpg", "photograph of a flower")):
        image = Image.fromarray(load_sample_image(file))
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))
        found.append(SampleImage(label, np.asarray(square, dtype=np.uint8)))
    return found


def explorer_script() -> str:
    """The script that draws fields and deforms the page's images, in a page with the explorer's controls."""
    return importlib.resources.files("empirical.diffeo").joinpath("explorer.js").read_text(encoding="utf-8")


def sample_images() -> list[SampleImage]:
    """What the explorer shows when no data set is named: photographs if they are here, and the test pattern."""
    return [*photographs(), drawn_pattern()]
