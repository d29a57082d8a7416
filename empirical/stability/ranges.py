"""Stability over a whole range of cutoffs and displacements, the clean images shown to the net only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from empirical.diffeo.fields import Folding, Interpolation, MaxEntropyDiffeo, require_images
from empirical.nets.evaluation import BatchNorm, still
from empirical.stability.measure import AVERAGES, Average, Outputs, Stability, measure_outputs
from empirical.stability.probes import draw_probes, smoothed
from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.ensemble.diffeomorphisms import Calibration, MaxEntropyEnsemble

__all__ = ["measure_range", "paper_temperatures"]


def paper_temperatures(size: int, cutoff: int, count: int = 30) -> tuple[float, ...]:
    """`count` temperatures, log-spaced from T_min / 15 to 2 T_max, the protocol of arXiv 2105.02468 (appendix).

    The hottest fold often: they need ``folding="allow"``.
    """
    require_integer("count", count, 2)
    low, high = MaxEntropyEnsemble(size, cutoff, 1.0).temperature_range
    return tuple(float(value) for value in np.geomspace(low / 15, 2 * high, count))


def measure_range(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    cutoffs: Sequence[int] = (3,),
    displacements: Sequence[float] | None = None,
    temperatures: Sequence[float] | None = None,
    average: Average = "mean",
    rng: int | np.random.Generator = 0,
    calibration: Calibration = "paper",
    interpolation: Interpolation = "bilinear",
    folding: Folding = "keep",
    batch_norm: BatchNorm = "running",
    batch_size: int = 64,
    resamples: int = 1000,
    confidence: float = 0.95,
    progress: Callable[[float], None] | None = None,
) -> list[Stability]:
    """D_f, G_f and R_f at every cutoff with every displacement or temperature, cutoff by cutoff.

    Every setting's result is that of `measure_stability` with the same whole number as `rng`, so that all settings
    share the normal variates of fields of one cutoff, and their differences are less noisy than the values. The clean
    outputs are computed once, and one setting's probes are held at a time: with m settings the net sees 2 m + 1
    batches of images instead of 3 m.

    Parameters
    ----------
    cutoffs : c >= 2, at least one
    displacements, temperatures : delta in pixels, or T instead; one pixel by default. A temperature is used with every
        cutoff: for ranges that differ, as `paper_temperatures` do, call once a cutoff
    progress : called with the fraction of the settings done
    others : see `measure_stability`

    Raises
    ------
    InputError
        As `measure_stability`, before any setting is measured; and if a range is empty or both kinds are given.
    """
    size = require_images(images)
    require_choice("average", average, AVERAGES)
    if displacements is not None and temperatures is not None:
        raise InputError("temperatures", tuple(temperatures), "must not be given with displacements")
    strengths: list[dict[str, float]]
    if temperatures is not None:
        strengths = [{"temperature": require_real("temperatures", value, above=0)} for value in temperatures]
    else:
        given = (1.0,) if displacements is None else displacements
        strengths = [{"displacement": require_real("displacements", value, above=0)} for value in given]
    for name, values in (("cutoffs", cutoffs), ("displacements, temperatures", strengths)):
        if not len(values):
            raise InputError(name, (), "must name at least one")
    settings: list[dict[str, Any]] = [{"cutoff": c, **strength} for c, strength in product(cutoffs, strengths)]
    for setting in settings:  # before time is spent on the others: too hot a setting is told now
        MaxEntropyDiffeo(
            **setting, calibration=calibration, folding=folding, generator=torch.Generator().manual_seed(0)
        ).sample(1, size)
    seed = int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else require_integer("rng", rng, 0)
    results: list[Stability] = []
    shown = smoothed(images, interpolation)
    with still(model, shown, batch_norm, batch_size) as run:
        clean = run(shown)
        for setting in settings:
            source = np.random.default_rng(seed)
            probes = draw_probes(
                images, **setting, rng=source, calibration=calibration, interpolation=interpolation, folding=folding
            )
            outputs = Outputs(clean, run(probes.deformed), run(probes.noisy))
            estimates = measure_outputs(
                outputs, average=average, rng=source, resamples=resamples, confidence=confidence
            )
            results.append(Stability.of(probes, estimates, average))
            if progress is not None:
                progress(len(results) / len(settings))
    return results

