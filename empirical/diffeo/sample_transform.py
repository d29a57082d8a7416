"""What transforms of diffeomorphisms share: they take what torchvision's v2 transforms take, and can repeat a draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import get_worker_info

from empirical.diffeo.interpolation import Interpolation
from empirical.diffeo.samples import deform_sample
from theory.common.errors import InputError

__all__ = ["SampleTransform"]


class SampleTransform(nn.Module):
    """A module that deforms samples, as torchvision's v2 transforms do.

    A sample is an image, a batch of images, or tuples, lists and dictionaries that hold some with masks, boxes, key
    points and labels: see `empirical.diffeo.samples.deform_sample`. Several arguments are a tuple. An image and all
    that belongs to it have one field. In torch.compile it is a break in the graph.

    Attributes
    ----------
    drawn : coefficients of the last fields, shape (count, 2, c, c), None before the first
    """

    interpolation: str

    def __init__(self, generator: torch.Generator | None) -> None:
        super().__init__()
        self.generator = generator
        self.drawn: Tensor | None = None
        self._worker: tuple[int, torch.Generator] | None = None

    def source(self) -> torch.Generator | None:
        """The generator, or None for torch's own.

        In each worker of a data loader it is one of its own: copies of one generator would draw the same in all of
        them, and again in every epoch. Its seed comes from the generator's and from the loader's of this worker and
        epoch.
        """
        worker = get_worker_info()
        if self.generator is None or worker is None:
            return self.generator
        if self._worker is None or self._worker[0] != worker.seed:
            words = np.random.SeedSequence([self.generator.initial_seed(), worker.seed]).generate_state(2)
            seed = int(words[0]) + (int(words[1]) << 31)
            self._worker = worker.seed, torch.Generator(self.generator.device).manual_seed(seed)
        return self._worker[1]

    def forward(self, *sample: Any) -> Any:
        """The deformed sample, of the same kinds, types and shapes; InputError in torch.jit.trace and torch.export.

        A trace would keep how often this sample's fields were drawn anew, and torch.vmap gives no numbers to decide it.
        """
        if torch.jit.is_tracing():
            raise _fixed("traced")
        if torch.compiler.is_compiling():
            if hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting():
                raise _fixed("exported")
            return torch.compiler.disable(self._new)(*sample)
        return self._new(*sample)

    def __prepare_scriptable__(self) -> None:
        """Asked by torch.jit.script, whose own words name a type and no reason."""
        raise _fixed("scripted")

    def replay(self, *sample: Any) -> Any:
        """Another sample of the same side and number of images, deformed by the last fields; InputError if none."""
        if self.drawn is None:
            raise InputError("sample", "replayed before any", "must follow one that was deformed")
        drawn = self.drawn

        def again(count: int, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
            if count != len(drawn):
                raise InputError("sample", f"{count} images", f"must be {len(drawn)}, as in the one that was deformed")
            return drawn.to(device)

        return self._deformed(again, sample)

    def _new(self, *sample: Any) -> Any:
        def draw(count: int, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
            self.drawn = self._draw(count, size, dtype, device)
            return self.drawn

        return self._deformed(draw, sample)

    def _deformed(self, draw: Any, sample: tuple[Any, ...]) -> Any:
        interpolation: Interpolation = self.interpolation  # type: ignore[assignment]
        return deform_sample(sample[0] if len(sample) == 1 else sample, draw, interpolation)

    def _draw(self, count: int, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Coefficients of `count` new fields."""
        raise NotImplementedError


def _fixed(how: str) -> InputError:
    return InputError("transform", how, "cannot be: what it draws is decided anew at each call")
