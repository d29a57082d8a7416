"""Scale detection on a line: are two lit pixels near each other, or in one block?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from theory.common.errors import InputError, require_choice, require_integer

__all__ = ["ScaleDetection"]


@dataclass(frozen=True, slots=True)
class ScaleDetection:
    """Two pixels r_1 < r_2 of a periodic line of d are lit, sqrt(d / 2) each, all others 0: |x|^2 = d.

    "distance": y = +1 if min(r_2 - r_1, d - r_2 + r_1) < xi - g, y = -1 if it is >= xi + g; other pairs are left out.
    "block": y = +1 if floor(r_1 / xi) = floor(r_2 / xi), else -1. Samples hold as many of either label, up to one.

    A diffeomorphism moves each of the two pixels to the left or to the right by one.

    Parameters
    ----------
    size : d
    scale : xi
    gap : g, of the task "distance"
    task : "distance" or "block"

    Raises
    ------
    InputError
        On another task, numbers out of range, a gap with "block", or if a label has no pairs.

    Source: arXiv 2210.01506.
    """

    size: int = 128
    scale: int = 32
    gap: int = 0
    task: Literal["distance", "block"] = "block"

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        require_choice("task", self.task, ("distance", "block"))
        keep("size", require_integer("size", self.size, 4, 2**13))
        keep("scale", require_integer("scale", self.scale, 1, self.size - 1))
        keep("gap", require_integer("gap", self.gap, 0, self.scale))
        if self.gap and self.task == "block":
            raise InputError("gap", self.gap, "is read by the task distance only")
        if min(len(pairs) for pairs in self._pairs()) == 0:
            raise InputError("scale", self.scale, f"leaves no pair of one label, for size {self.size}, gap {self.gap}")

    @property
    def name(self) -> str:
        """The task's name in curve tables."""
        gap = f"-g{self.gap}" if self.gap else ""
        return f"scale-{self.task}-d{self.size}-xi{self.scale}{gap}"

    @property
    def dimension(self) -> int:
        """Of the space that the pixels are in: a line's."""
        return 1

    def label(self, pixels: np.ndarray) -> np.ndarray:
        """+1 or -1, and 0 for pairs that are left out, of pixels (..., 2)."""
        first, second = pixels[..., 0], pixels[..., 1]
        if self.task == "block":
            return np.where(first // self.scale == second // self.scale, 1, -1)
        distance = self._distance(pixels)
        return np.where(distance < self.scale - self.gap, 1, np.where(distance >= self.scale + self.gap, -1, 0))

    def _distance(self, pixels: np.ndarray) -> np.ndarray:
        apart = np.abs(pixels[..., 1] - pixels[..., 0])
        return np.minimum(apart, self.size - apart)

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of label +1, and all of label -1."""
        pixels = np.stack(np.triu_indices(self.size, 1), axis=1)
        labels = self.label(pixels)
        return pixels[labels == 1], pixels[labels == -1]

    @property
    def data_count(self) -> int:
        """The most data of which as many have either label."""
        return 2 * min(len(pairs) for pairs in self._pairs())

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`count` different pairs of pixels, shape (count, 2), and their labels; +1 and -1 in turn.

        Raises
        ------
        InputError
            If there are not so many.
        """
        require_integer("count", count, 1, self.data_count)
        drawn = [pairs[rng.permutation(len(pairs))] for pairs in self._pairs()]
        pixels = np.empty((count, 2), dtype=np.int64)
        for turn, pairs in enumerate(drawn):
            pixels[turn::2] = pairs[: len(pixels[turn::2])]
        return pixels, np.where(np.arange(count) % 2 == 0, 1, -1)

    def require_train_size(self, train_size: int) -> None:
        """InputError unless so many data can be trained on and some are left to test on."""
        most = self.data_count - 2
        if train_size > most:
            allowed = f"must be at most {most}: {self.name} has {self.data_count} data, and some are tested on"
            raise InputError("train_size", train_size, allowed)

    def split(self, train_size: int, test_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pixels to train and to test on, no pair in both or twice; as many tests as are left, up to `test_size`.

        Raises
        ------
        InputError
            If P leaves fewer than two to test on.
        """
        self.require_train_size(train_size)
        require_integer("test_size", test_size, 2)
        pixels, _ = self.sample(train_size + min(test_size, self.data_count - train_size), rng)
        return pixels[:train_size], pixels[train_size:]

    def inputs(self, pixels: np.ndarray) -> np.ndarray:
        """Lines of one channel, shape (N, d, 1), float32."""
        found = np.zeros((len(pixels), self.size, 1), dtype=np.float32)
        np.put_along_axis(found, pixels[:, :, None], np.float32(math.sqrt(self.size / 2)), axis=1)
        return found

    def move(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each pixel moved by +1 or -1, independently: the label stays.

        A pixel at the end of the line stays rather than cross it, and in "block" rather than cross a block's border.
        Both stay if they would meet, or if their distance would cross xi, as it can with g < 2.
        """
        step = rng.choice(np.array([-1, 1]), size=pixels.shape)
        moved = pixels + step
        out = (moved < 0) | (moved >= self.size)
        if self.task == "block":
            out |= moved // self.scale != pixels // self.scale
        moved = np.where(out, pixels, moved)
        stay = moved[:, 0] == moved[:, 1]
        if self.task == "distance":
            stay |= (self._distance(moved) < self.scale) != (self._distance(pixels) < self.scale)
        return np.where(stay[:, None], pixels, moved)
