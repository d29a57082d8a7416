"""Scale detection on a square: are two lit pixels near each other?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from theory.common.errors import InputError, require_choice, require_integer, require_real

__all__ = ["TwoPoints"]

_ROUNDS = 1000
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class TwoPoints:
    """Two different pixels of d x d are lit, d / sqrt(2) each, all others 0: |x|^2 = d^2.

    y = +1 if their distance is below xi - g, -1 if it is at least xi + g; pairs in between are left out.

    Parameters
    ----------
    size : d
    scale : xi
    gap : g
    norm : of the distance, "euclidean" or "maximum"

    Raises
    ------
    InputError
        On another norm, numbers out of range, or if hardly any pairs have one of the labels.

    Source: arXiv 2210.01506, the two-dimensional task of its authors' code.
    """

    size: int = 32
    scale: float = 14
    gap: float = 2
    norm: Literal["euclidean", "maximum"] = "euclidean"

    def __post_init__(self) -> None:
        require_choice("norm", self.norm, ("euclidean", "maximum"))
        object.__setattr__(self, "size", require_integer("size", self.size, 3, 2**11))
        object.__setattr__(self, "scale", require_real("scale", self.scale, above=0))
        object.__setattr__(self, "gap", require_real("gap", self.gap, minimum=0))
        farthest = (self.size - 1) * (math.sqrt(2) if self.norm == "euclidean" else 1)
        if self.scale - self.gap <= 1 or self.scale + self.gap > farthest:
            allowed = f"with gap {self.gap:g} must leave pairs of either label, at distances from 1 to {farthest:.4g}"
            raise InputError("scale", self.scale, allowed)

    @property
    def name(self) -> str:
        """The task's name in curve tables."""
        return f"two-points-{self.norm}-d{self.size}-xi{self.scale:g}"

    @property
    def dimension(self) -> int:
        """Of the space that the pixels are in: a square's."""
        return 2

    def distance(self, pixels: np.ndarray) -> np.ndarray:
        """Of the two pixels, each a row and a column; `pixels` has the shape (..., 2, 2)."""
        apart = np.abs(pixels[..., 1, :] - pixels[..., 0, :])
        return np.hypot(apart[..., 0], apart[..., 1]) if self.norm == "euclidean" else apart.max(-1)

    def label(self, pixels: np.ndarray) -> np.ndarray:
        """+1 or -1, and 0 for pairs that are left out."""
        distance = self.distance(pixels)
        return np.where(distance < self.scale - self.gap, 1, np.where(distance >= self.scale + self.gap, -1, 0))

    @property
    def data_count(self) -> int:
        """The most data of which as many have either label."""
        down, across = np.mgrid[0 : self.size, 1 - self.size : self.size]
        down, across = (part[(down > 0) | (across > 0)] for part in (down, across))  # each pair once
        places = (self.size - down) * (self.size - np.abs(across))
        apart = np.stack([np.zeros((len(down), 2), dtype=int), np.stack([down, across], axis=1)], axis=1)
        labels = self.label(apart)
        return 2 * int(min(places[labels == label].sum() for label in (1, -1)))

    def require_train_size(self, train_size: int) -> None:
        """InputError unless so many data can be trained on and some are left to test on."""
        most = self.data_count - 2
        if train_size > most:
            allowed = f"must be at most {most}: {self.name} has {most + 2} data, and some are tested on"
            raise InputError("train_size", train_size, allowed)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`count` different pairs of pixels, shape (count, 2, 2), and their labels; +1 and -1 in turn.

        Drawn, not listed: of 32 x 32 pixels there are 5e5 pairs.

        Raises
        ------
        InputError
            If so many are not found: there are too few of one label.
        """
        require_integer("count", count, 1)
        wanted = {1: (count + 1) // 2, -1: count // 2}
        numbers: dict[int, np.ndarray] = {label: np.empty(0, dtype=np.int64) for label in wanted}
        area = self.size**2
        for _ in range(_ROUNDS):
            if all(len(numbers[label]) >= most for label, most in wanted.items()):
                break
            drawn = np.sort(rng.integers(0, area, size=(_BLOCK, 2)), axis=1)
            drawn = drawn[drawn[:, 0] < drawn[:, 1]]
            labels = self.label(self._pixels(drawn[:, 0] * area + drawn[:, 1]))
            for label in wanted:
                more = (drawn[:, 0] * area + drawn[:, 1])[labels == label]
                joined = np.concatenate([numbers[label], more])
                numbers[label] = joined[np.sort(np.unique(joined, return_index=True)[1])]
        else:
            raise InputError("count", count, f"so many pairs of either label of {self.name} were not found")
        found = np.empty(count, dtype=np.int64)
        for turn, (label, most) in enumerate(wanted.items()):
            found[turn::2] = numbers[label][:most]
        return self._pixels(found), np.where(np.arange(count) % 2 == 0, 1, -1)

    def _pixels(self, numbers: np.ndarray) -> np.ndarray:
        """Pairs that are numbered by first pixel, then second, as rows and columns."""
        both = np.stack(np.divmod(numbers, self.size**2), axis=-1)
        return np.stack(np.divmod(both, self.size), axis=-1)

    def split(self, train_size: int, test_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pixels to train and to test on, no pair in both or twice; as many tests as are left, up to `test_size`.

        Raises
        ------
        InputError
            If P leaves fewer than two to test on.
        """
        self.require_train_size(require_integer("train_size", train_size, 1))
        require_integer("test_size", test_size, 2)
        pixels, _ = self.sample(train_size + min(test_size, self.data_count - train_size), rng)
        return pixels[:train_size], pixels[train_size:]

    def inputs(self, pixels: np.ndarray) -> np.ndarray:
        """Images of one channel, shape (N, 1, d, d), float32."""
        found = np.zeros((len(pixels), self.size**2), dtype=np.float32)
        flat = pixels[..., 0] * self.size + pixels[..., 1]
        np.put_along_axis(found, flat, np.float32(self.size / math.sqrt(2)), axis=1)
        return found.reshape(-1, 1, self.size, self.size)

    def patch_inputs(self, pixels: np.ndarray) -> np.ndarray:
        """The images of `inputs` as lines, shape (N, d^2, 1), on which patches of 2^k x 2^k are 4^k neighbours.

        On them a convolution of filters of 4 pixels at a stride of 4 is one of 2 x 2 at a stride of 2 on the square.

        Raises
        ------
        InputError
            If d is no power of 2.
        """
        depth = self.size.bit_length() - 1
        if self.size != 2**depth:
            raise InputError("size", self.size, "must be a power of 2: patches of 2 x 2 are put together")
        images = self.inputs(pixels).reshape(-1, *(2,) * (2 * depth))
        order = [0, *(1 + k + part * depth for k in range(depth) for part in (0, 1))]
        return images.transpose(order).reshape(len(pixels), -1, 1)

    def move(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each pixel moved by one to one of its four neighbours, independently: the label stays.

        A pixel at the edge stays rather than leave the square; both stay if they would meet, or if their distance would
        cross xi.
        """
        steps = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])[rng.integers(0, 4, size=pixels.shape[:-1])]
        moved = pixels + steps
        out = ((moved < 0) | (moved >= self.size)).any(-1, keepdims=True)
        moved = np.where(out, pixels, moved)
        stay = (moved[:, 0] == moved[:, 1]).all(-1)
        stay |= (self.distance(moved) < self.scale) != (self.distance(pixels) < self.scale)
        return np.where(stay[:, None, None], pixels, moved)
