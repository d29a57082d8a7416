"""Train one convolutional net to detect a scale, and measure it layer by layer.

Reads top to bottom: data, net, descent, measurement.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.nets.evaluation import evaluation
from empirical.nets.hierarchy_nets import ChannelMeans, ScaleCNN
from empirical.stability.probes import Noise, transform_probes
from empirical.training.descent_to_loss import Recipe, descend, finished
from empirical.training.hierarchy_config import ScaleDetectionConfig
from empirical.training.layer_rows import Measured
from empirical.training.run import Progress, Run, RunOptions, with_warning
from empirical.training.run_log import RunLog
from theory.hierarchies import ScaleDetection, TwoPoints

__all__ = ["check", "run", "train_scale_detection"]


def check(config: ScaleDetectionConfig, options: RunOptions) -> None:
    """What is configured can be run: it needs no data."""


def run(config: ScaleDetectionConfig, options: RunOptions) -> Run:
    """`train_scale_detection`, as a run of a sweep; it is done on the CPU, without checkpoints."""
    return _trained(config, options.log, options.progress)


def train_scale_detection(
    config: ScaleDetectionConfig, *, log: str | Path | None = None, progress: Progress | None = None
) -> Run:
    """Train a convolutional net to detect a scale; D, G and R of its output and its layers, before and after.

    D is to moves of the two pixels by one, G to noise of the same norm or the paper's rectified noise (arXiv
    2210.01506). They are measured on the first `probe_size` test pairs.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite; if the layers do not fit the line.

    Warns
    -----
    RuntimeWarning
        If it ended before its training loss; `Run.shortfall` says how far.
    """
    return with_warning(_trained(config, log, progress))


def _trained(config: ScaleDetectionConfig, log: str | Path | None, progress: Progress | None) -> Run:
    began = time.perf_counter()
    task = config.problem
    data_rng, net_rng, batch_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(3))
    train, test = task.split(config.train_size, config.test_size, data_rng)
    net = ScaleCNN(
        positions=config.positions, layers=config.depth, width=config.width, filter_size=config.window[0],
        stride=config.window[1], generator=torch.Generator().manual_seed(int(net_rng.integers(2**63))),
    )  # fmt: skip
    inputs, probed = torch.as_tensor(_inputs(task, test)), test[: config.probe_size]

    def moved(_: Tensor, source: np.random.Generator) -> Tensor:
        return torch.as_tensor(_inputs(task, task.move(probed, source)))

    rng = np.random.default_rng(config.probe_seed)
    noise: Noise = "rectified" if config.noise == "rectified" else "alike"
    probes = transform_probes(inputs[: config.probe_size], moved, rng=rng, noise=noise)
    names = {
        "source": "scale-net",
        "task": task.name,
        "architecture": config.net_name,
        "variant": config.variant,
        "train_size": config.train_size,
        "seed": config.seed,
    }
    measured = Measured(names, probes, None, config.average, config.resamples, rng)
    rows = _rows(measured, net, "initial", config.channel_means)
    told = RunLog(log)
    rate = config.learning_rate * config.width
    recipe = Recipe(_hinge, rate, 0.0, config.batch_size, config.epochs, config.stop_loss)
    own_inputs, own_labels = torch.as_tensor(_inputs(task, train)), torch.as_tensor(task.label(train)).float()
    end = descend(net, lambda: own_inputs, own_labels, recipe, batch_rng, told, progress)
    last = _rows(measured, net, "trained", config.channel_means)
    last[-1] |= {
        "test_error": _sign_error(net, inputs, torch.as_tensor(task.label(test))),
        "train_error": _sign_error(net, own_inputs, own_labels),
    }
    return finished(config, net, [*rows, *last], end, told, began)


def _inputs(task: ScaleDetection | TwoPoints, pixels: np.ndarray) -> np.ndarray:
    """As the net sees them, (N, positions, 1)."""
    return task.patch_inputs(pixels) if isinstance(task, TwoPoints) else task.inputs(pixels)


def _rows(measured: Measured, net: ScaleCNN, stage: str, channel_means: bool) -> list[dict[str, Any]]:
    """Layers and output, the output last; before them the layers' means over channels if they are wanted."""
    rows = measured.rows(net, net.layers, stage)
    if not channel_means:
        return rows
    seen = ChannelMeans(net)
    words = ", ".join(word for word in (measured.names["variant"], "channel means") if word)
    means = measured.rows(seen, seen.layers, stage)[:-1]
    return [row | {"variant": words, "layer": layer} for row, layer in zip(means, net.layers, strict=True)] + rows


def _hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """mean relu(1 - y f), y = +1 or -1."""
    return functional.relu(1 - outputs[:, 0] * labels).mean()


def _sign_error(net: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Fraction of inputs at which y f(x) is not positive."""
    with evaluation(net):
        outputs = torch.cat([net(batch)[:, 0] for batch in inputs.split(500)])
    return float((outputs * labels <= 0).double().mean())
