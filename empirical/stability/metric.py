"""R_f as a metric of torchmetrics, for training loops that keep theirs in such."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from empirical.diffeo.fields import MaxEntropyDiffeo
from empirical.nets.evaluation import BATCH_NORMS, BatchNorm, still
from empirical.stability.measure import AVERAGES, Average, Outputs, measure_outputs
from empirical.stability.probes import draw_and_count, require_moved
from theory.common.errors import MAXIMUM_SEED, InputError, require_choice, require_integer

__all__ = ["RelativeStability"]

Number = Literal["D_f", "G_f", "R_f"]
NUMBERS = ("D_f", "G_f", "R_f")


class RelativeStability(Metric):
    r"""R_f of a net, and D_f and G_f, from as many batches of images as it is shown.

    .. math:: R_f = D_f / G_f

    ``update(model, images)`` deforms the batch, adds noise of the same norm, runs the net, and keeps the outputs;
    ``compute()`` gives a dictionary of ``D_f``, ``G_f`` and ``R_f``, float64 scalars, or one of them alone, as a
    logger's ``self.log(name, metric)`` needs it: that of all images, not the mean of the batches' ratios. Between two
    calls of ``reset`` the net should stay the same. After a reset the same batches meet the same deformations and
    noise, so that values along a training are paired. In a distributed run the outputs of all processes are gathered,
    and each has its own draws; one that was shown nothing adds nothing. The number of batches shown is a part of the
    state, so that a metric restored from a checkpoint goes on as it would have.

    Parameters
    ----------
    cutoff, displacement, temperature : as of `measure_stability`
    average : ``mean``, ``median`` or ``coordinate-median``
    seed : of deformations and noise
    number : ``D_f``, ``G_f`` or ``R_f`` to have that alone; all three in a dictionary by default
    batch_norm, batch_size : as of `measure_stability`

    Raises
    ------
    InputError
        As `measure_stability`; `compute` needs two images or more, of which one is not constant.

    Example
    -------
    >>> metric = RelativeStability(cutoff=3, displacement=1.0)
    >>> for images, labels in test_loader:  # doctest: +SKIP
    ...     metric.update(model, images)
    >>> metric.compute()["R_f"]  # doctest: +SKIP
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0

    shown: Tensor  # batches since the reset
    unmoved: Tensor  # images that their diffeomorphisms did not change
    clean: list[Tensor]
    deformed: list[Tensor]
    noisy: list[Tensor]

    def __init__(
        self,
        cutoff: int = 3,
        displacement: float | None = None,
        temperature: float | None = None,
        *,
        average: Average = "mean",
        seed: int = 0,
        number: Number | None = None,
        batch_norm: BatchNorm = "running",
        batch_size: int = 64,
        **metric_options: Any,
    ) -> None:
        super().__init__(**{"dist_sync_fn": _gather, **metric_options})
        if displacement is None and temperature is None:
            displacement = 1.0
        MaxEntropyDiffeo(cutoff, displacement, temperature)  # what is wrong is told now, not at the first batch
        self.setting: dict[str, Any] = {"cutoff": cutoff, "displacement": displacement, "temperature": temperature}
        self.average: Average = require_choice("average", average, AVERAGES)  # type: ignore[assignment]
        self.seed = require_integer("seed", seed, 0, MAXIMUM_SEED)
        self.number = None if number is None else require_choice("number", number, NUMBERS)
        self.batch_norm: BatchNorm = require_choice("batch_norm", batch_norm, BATCH_NORMS)  # type: ignore[assignment]
        self.batch_size = require_integer("batch_size", batch_size, 1)
        for name in ("clean", "deformed", "noisy"):
            self.add_state(name, [], dist_reduce_fx="cat")
        for name in ("shown", "unmoved"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, model: nn.Module | Callable[[Tensor], Tensor], images: Tensor) -> None:
        """Show the net these images, shape (batch, channels, n, n), floating point, on its device."""
        # Two processes that see different images must not see the same deformations.
        rank = torch.distributed.get_rank() if torch.distributed.is_available() and _initialised() else 0
        rng = np.random.default_rng([self.seed, rank, int(self.shown)])
        probes, unmoved = draw_and_count(images, **self.setting, rng=rng)
        with still(model, probes.clean, self.batch_norm, self.batch_size) as run:
            for kept, batch in (
                (self.clean, probes.clean), (self.deformed, probes.deformed), (self.noisy, probes.noisy)
            ):  # fmt: skip
                kept.append(torch.from_numpy(run(batch)).to(self.device))
        self.shown, self.unmoved = self.shown + 1, self.unmoved + unmoved

    def forward(
        self, model: nn.Module | Callable[[Tensor], Tensor], images: Tensor
    ) -> dict[str, Tensor] | Tensor:
        """`update`, and the numbers of this batch alone: NaN where it has none, as of a single image."""
        self.update(model, images)
        try:
            found = self._of([part[-1:] for part in (self.clean, self.deformed, self.noisy)])
        except InputError:
            found = self._named([math.nan] * 3)
        self._forward_cache: Any = found  # which loggers take for a step's value
        return found

    def compute(self) -> dict[str, Tensor] | Tensor:
        """D_f, G_f and R_f of all images since the last reset."""
        states = [self.clean, self.deformed, self.noisy]
        require_moved(int(self.unmoved), sum(map(len, self.clean)) if isinstance(self.clean, list) else len(self.clean))
        return self._of(states)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Numbers as points, or a list of what `compute` or a call gave along a training; the figure and its axes."""
        return self._plot(val, ax)

    def _of(self, states: list[Any]) -> dict[str, Tensor] | Tensor:
        kept = [
            part if isinstance(part, Tensor) else torch.cat(part) if part else torch.empty(0, 1, dtype=torch.float64)
            for part in states
        ]
        outputs = Outputs(*(part.cpu().numpy() for part in kept))
        found = measure_outputs(outputs, average=self.average, rng=np.random.default_rng(0), resamples=0)
        return self._named([one.value for one in found])

    def _named(self, values: Sequence[float]) -> dict[str, Tensor] | Tensor:
        named: dict[str, Tensor] = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in zip(NUMBERS, values, strict=True)
        }
        return named if self.number is None else named[self.number]


def _gather(state: Tensor, group: Any = None) -> list[Tensor]:
    """torchmetrics' gathering, for which a process without images must have a state of the others' kind.

    torchmetrics puts an empty list of single precision there, and gathering that with (images, K) numbers hangs.
    """
    if state.ndim == 0:
        return gather_all_tensors(state, group)
    width = torch.tensor(state.shape[-1] if state.numel() else 0, device=state.device)
    widths = [torch.zeros_like(width) for _ in range(torch.distributed.get_world_size(group))]
    torch.distributed.all_gather(widths, width, group=group)
    if not state.numel():
        state = torch.zeros(0, int(max(widths)), dtype=torch.float64, device=state.device)
    return gather_all_tensors(state, group)


def _initialised() -> bool:
    return torch.distributed.is_initialized()
