"""The command `relstab nets`: the architectures that `train`, `sweep` and `measure` know by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from empirical.commands.measure import require_torch
from theory.common.terminal import Terminal

__all__ = ["Nets"]


@dataclass(frozen=True)
class Nets:
    """List the nets known by name: parameters, and the smallest images.

    A net of your own is named by its function, package.module:function.

    For example:
    - `relstab nets`
    - `relstab nets --image-size 28 --channels 1`
    """

    image_size: int = 32
    """Side of the images that parameters are counted for."""
    channels: int = 3
    """Channels of the images."""
    classes: int = 10
    """Outputs of the nets."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> list[dict[str, Any]]:
        require_torch()
        from empirical.nets.catalogue import catalogue

        found = catalogue(self.channels, self.image_size, self.classes)
        side = self.image_size
        Terminal(self.json).table(
            f"{len(found)} nets, for {side} x {side} images of {self.channels} channels and {self.classes} classes",
            ["net", "parameters", "smallest image"],
            [
                [one.name, "-" if one.parameters is None else f"{one.parameters:,}", f"{one.smallest} x {one.smallest}"]
                for one in found
            ],
        )
        return [{"name": one.name, "parameters": one.parameters, "smallest_image": one.smallest} for one in found]
