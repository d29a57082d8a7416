"""What a sweep will take, from a few timed steps of each kind of run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from empirical.data.named_sets import ImageData, load_data
from empirical.nets.architectures import build
from empirical.nets.evaluation import evaluation
from empirical.nets.normalised import Normalised
from empirical.training.config import ImageConfig
from empirical.training.descent import Descent
from empirical.training.recipe import recipe
from theory.common.terminal import Report

__all__ = ["estimated_seconds"]

_STEPS = 2


def estimated_seconds(
    configs: Sequence[ImageConfig],
    data_folder: str | Path | None = None,
    device: str = "cpu",
    progress: Report | None = None,
) -> dict[ImageConfig, float]:
    """Seconds that each run of an image net would take alone on one thread.

    For each net, data set, batch size, precision and recipe a training step and an evaluation are timed once.
    Measuring, loading data and starting processes are not in it.
    """
    nets: dict[tuple[object, ...], list[ImageConfig]] = {}
    for config in configs:
        nets.setdefault((config.dataset, config.image_size, config.architecture), []).append(config)
    found: dict[ImageConfig, float] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Net by net: a large one takes a second to build, and all of them may not fit.
        for count, alike in enumerate(nets.values()):
            if progress is not None:
                progress(count / len(nets), alike[0].architecture)
            data = load_data(alike[0].dataset, data_folder, image_size=alike[0].image_size)
            net = build(alike[0].architecture, data.channels, data.size, len(data.classes), 0)
            timed: dict[tuple[object, ...], tuple[float, float]] = {}
            for config in alike:
                batch = min(config.batch_size, config.train_size)
                way = batch, config.precision, config.recipe
                if way not in timed:
                    timed[way] = _timed(config, batch, net, data, device)
                step, evaluate = timed[way]
                held = math.ceil(config.held_out * config.train_size) if config.weights == "best" else 0
                steps = recipe(config, net, config.train_size - held).steps
                stages = 1 + min(config.records, steps)
                found[config] = steps * step + stages * len(data.test_images) * evaluate
    finally:
        torch.set_num_threads(before)
    return found


def _timed(config: ImageConfig, batch: int, net: nn.Module, data: ImageData, device: str) -> tuple[float, float]:
    """Seconds of one training step, and of evaluating one image."""
    images, labels = (part[:batch].to(device) for part in (data.train_images, data.train_labels))
    ones = torch.ones(data.channels)
    model = Normalised(net, 0 * ones, ones).to(device)
    model.to(memory_format=torch.channels_last)
    # Timing alone: steps too small to diverge, whatever the run itself would do.
    short = replace(config, weights="last", records=0, epochs=1, min_steps=0, train_size=batch, batch_size=batch,
                    learning_rate=1e-12)  # fmt: skip

    def epoch() -> float:
        start = time.perf_counter()
        for _ in Descent(short, model, images, labels, torch.Generator().manual_seed(0)).epochs(None):
            pass
        return time.perf_counter() - start

    epoch()  # memory is touched and kernels are chosen at the first
    step = min(epoch() for _ in range(_STEPS))
    with evaluation(model):
        numbers = images.float() / 255
        model(numbers)
        start = time.perf_counter()
        model(numbers).cpu()  # a GPU is done with it only then
        return step, (time.perf_counter() - start) / batch
