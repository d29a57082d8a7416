"""How pictures of any size become squares: resized by their shorter side, and cut at the centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from theory.common.errors import InputError, require_choice, require_integer

__all__ = ["FRAMING_INTERPOLATIONS", "Framing"]

FRAMING_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")

Picture = TypeVar("Picture")


@dataclass(frozen=True, slots=True)
class Framing:
    """Resize, then cut; the identity if neither is asked for.

    Attributes
    ----------
    resize : side that the shorter side is brought to; or (height, width), whatever the proportions were
    crop : side of the square kept at the centre; None keeps all that is there
    interpolation : of the resizing, smoothed where it shrinks: nearest, bilinear, bicubic or lanczos (pictures only)
    """

    resize: int | tuple[int, int] | None = None
    crop: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        for side in (side for side in sides if side is not None):
            require_integer("image_size", side, 8, 4096)
        if self.crop is not None:
            require_integer("crop", self.crop, 8, 4096)
            least = min((side for side in sides if side is not None), default=self.crop)
            if self.crop > least:
                raise InputError("crop", self.crop, f"must be at most the side that images are resized to, {least}")
        require_choice("interpolation", self.interpolation, FRAMING_INTERPOLATIONS)

    def __bool__(self) -> bool:
        return self.resize is not None or self.crop is not None

    def __call__(self, picture: Picture) -> Picture:
        """A PIL picture, or a tensor of shape (..., height, width), of the same type and range; InputError if small."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        framed: Any = picture
        if self.resize is not None:
            size = list(self.resize) if isinstance(self.resize, tuple) else [self.resize]
            mode = InterpolationMode(self.interpolation)
            framed = functional.resize(framed, size, interpolation=mode, antialias=True)
        if self.crop is not None:
            height, width = functional.get_size(framed)
            if min(height, width) < self.crop:
                raise InputError("crop", self.crop, f"must be at most the images' sides, {height} x {width}")
            framed = functional.center_crop(framed, [self.crop])
        result: Picture = framed
        return result

    def __str__(self) -> str:
        words = []
        if isinstance(self.resize, tuple):
            words.append(f"resized to {self.resize[0]} x {self.resize[1]} ({self.interpolation})")
        elif self.resize is not None:
            words.append(f"shorter side resized to {self.resize} ({self.interpolation})")
        if self.crop is not None:
            words.append(f"the {self.crop} x {self.crop} at the centre")
        return ", ".join(words) or "as they are"
