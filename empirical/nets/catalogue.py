"""The architectures in a table: how many parameters, and the smallest images that they take."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch

from empirical.nets.architectures import ARCHITECTURES
from empirical.nets.evaluation import evaluation
from theory.common.errors import InputError, require_integer

__all__ = ["CatalogueEntry", "catalogue"]

_LARGEST = 64  # side up to which a net is tried


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A net by name; `parameters` is None where it does not take images of the side that was asked for."""

    name: str
    parameters: int | None
    smallest: int


def catalogue(channels: int = 3, size: int = 32, classes: int = 10) -> list[CatalogueEntry]:
    """Of each architecture its parameters for such images, and the smallest side, from 2 pixels on, that it takes.

    Found by making each and showing it images, on torch's meta device: shapes alone, no numbers.

    Raises
    ------
    InputError
        If channels or classes are no numbers from 1 on, or the side is below 2.
    """
    require_integer("channels", channels, 1)
    require_integer("image_size", size, 2)
    require_integer("classes", classes, 1)
    found = []
    for name in ARCHITECTURES:
        sides = (side for side in range(2, _LARGEST + 1) if _parameters(name, channels, side, classes) is not None)
        found.append(CatalogueEntry(name, _parameters(name, channels, size, classes), next(sides)))
    return found


def _parameters(name: str, channels: int, size: int, classes: int) -> int | None:
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # of images too small
            net = ARCHITECTURES[name](channels, size, classes)
        with evaluation(net):
            logits = net(torch.empty(2, channels, size, size, device="meta"))
    except (InputError, RuntimeError, ZeroDivisionError):  # what nets raise for images too small for them
        return None
    whole = tuple(logits.shape) == (2, classes)
    return sum(one.numel() for one in net.parameters()) if whole else None
