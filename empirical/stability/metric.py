"""R_f as a metric of torchmetrics, for training loops that keep theirs in such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from empirical.diffeo.fields import MaxEntropyDiffeo
from empirical.nets.evaluation import BATCH_NORMS, BatchNorm, still
from empirical.stability.measure import AVERAGES, Average, Outputs, measure_outputs
from empirical.stability.probes import draw_probes
from theory.common.errors import MAXIMUM_SEED, require_choice, require_integer

__all__ = ["RelativeStability"]


class RelativeStability(Metric):
    """R_f of a net, and D_f and G_f, from as many batches of images as it is shown.

    ``update(model, images)`` deforms the batch, adds noise of the same norm, runs the net, and keeps the outputs;
    ``compute()`` gives a dictionary of ``D_f``, ``G_f`` and ``R_f``, float64 scalars. Between two calls of ``reset``
    the net should stay the same. After a reset the same batches meet the same deformations and noise, so that values
    along a training are paired. In a distributed run the outputs of all processes are gathered, and each has its own
    draws.

    Parameters
    ----------
    cutoff, displacement, temperature : as of `measure_stability`
    average : ``mean``, ``median`` or ``coordinate-median``
    seed : of deformations and noise
    batch_norm, batch_size : as of `measure_stability`

    Raises
    ------
    InputError
        As `measure_stability`; `compute` needs two images or more.

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
    _shown = 0  # batches since the user's reset; torchmetrics' own forward resets the states in between

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
        batch_norm: BatchNorm = "running",
        batch_size: int = 64,
        **metric_options: Any,
    ) -> None:
        super().__init__(**metric_options)
        if displacement is None and temperature is None:
            displacement = 1.0
        MaxEntropyDiffeo(cutoff, displacement, temperature)  # what is wrong is told now, not at the first batch
        self.setting: dict[str, Any] = {"cutoff": cutoff, "displacement": displacement, "temperature": temperature}
        self.average: Average = require_choice("average", average, AVERAGES)  # type: ignore[assignment]
        self.seed = require_integer("seed", seed, 0, MAXIMUM_SEED)
        self.batch_norm: BatchNorm = require_choice("batch_norm", batch_norm, BATCH_NORMS)  # type: ignore[assignment]
        self.batch_size = require_integer("batch_size", batch_size, 1)
        for name in ("clean", "deformed", "noisy"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, model: nn.Module | Callable[[Tensor], Tensor], images: Tensor) -> None:
        """Show the net these images, shape (batch, channels, n, n), floating point, on its device."""
        # Two processes that see different images must not see the same deformations.
        rank = torch.distributed.get_rank() if torch.distributed.is_available() and _initialised() else 0
        rng = np.random.default_rng([self.seed, rank, self._shown])
        probes = draw_probes(images, **self.setting, rng=rng)
        with still(model, probes.clean, self.batch_norm, self.batch_size) as run:
            for kept, batch in (
                (self.clean, probes.clean), (self.deformed, probes.deformed), (self.noisy, probes.noisy)
            ):  # fmt: skip
                kept.append(torch.from_numpy(run(batch)).to(self.device))
        self._shown += 1

    def forward(self, model: nn.Module | Callable[[Tensor], Tensor], images: Tensor) -> dict[str, Tensor]:
        """`update`, and the numbers of this batch alone: two images or more."""
        self.update(model, images)
        return self._of([part[-1:] for part in (self.clean, self.deformed, self.noisy)])

    def reset(self) -> None:
        """Forget all batches; the next ones meet the first's deformations and noise again."""
        super().reset()
        self._shown = 0

    def compute(self) -> dict[str, Tensor]:
        """D_f, G_f and R_f of all images since the last reset."""
        return self._of([self.clean, self.deformed, self.noisy])

    def _of(self, states: list[Any]) -> dict[str, Tensor]:
        kept = [
            part if isinstance(part, Tensor) else torch.cat(part) if part else torch.empty(0, 1, dtype=torch.float64)
            for part in states
        ]
        outputs = Outputs(*(part.cpu().numpy() for part in kept))
        found = measure_outputs(outputs, average=self.average, rng=np.random.default_rng(0), resamples=0)
        names = ("D_f", "G_f", "R_f")
        return {
            name: torch.tensor(one.value, dtype=torch.float64, device=self.device)
            for name, one in zip(names, found, strict=True)
        }


def _initialised() -> bool:
    return torch.distributed.is_initialized()
