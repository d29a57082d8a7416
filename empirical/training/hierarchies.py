"""Train one net on a random hierarchy, and measure it layer by layer.

Reads top to bottom: data, net, descent, measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from empirical.nets.evaluation import classification_error
from empirical.nets.hierarchy_nets import HierarchyNet
from empirical.stability.probes import noise_like, transform_probes
from empirical.training.descent_to_loss import End, Recipe, descend, finished
from empirical.training.hierarchy_config import HierarchyConfig
from empirical.training.layer_rows import Measured
from empirical.training.run import Progress, Run, RunOptions, with_warning
from empirical.training.run_log import RunLog
from theory.hierarchies import Derivations, SparseHierarchy

__all__ = ["check", "run", "train_hierarchy"]

#: Of a hierarchy, as its curve table names them.
_PARAMETERS = ("vocabulary", "classes", "synonyms", "branching", "sparsity", "levels")


def check(config: HierarchyConfig, options: RunOptions) -> None:
    """What is configured can be run: it needs no data."""


def run(config: HierarchyConfig, options: RunOptions) -> Run:
    """`train_hierarchy`, as a run of a sweep; it is done on the CPU, without checkpoints."""
    return _trained(config, options.log, options.progress)


def train_hierarchy(
    config: HierarchyConfig, *, log: str | Path | None = None, progress: Progress | None = None
) -> Run:
    """Train a net on a random hierarchy; D, G, R and S of its output and its layers, before and after.

    D_k = avg ||f_k(T_l x) - f_k(x)||^2 / avg_{x,z} ||f_k(x) - f_k(z)||^2, T_l drawing the placements of level l anew;
    S_k likewise with P_l, which draws the synonyms of that level anew; G_k with noise whose norm is the root mean
    square of that of T_l x - x; R_k = D_k / G_k (arXiv 2404.10727 has D and S). They are measured on the
    first `probe_size` test data; the test error is that of all of these.

    `log` is a CSV file in which the run can be watched: epoch, loss, seconds.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite.

    Warns
    -----
    RuntimeWarning
        If it ended before its training loss; `Run.shortfall` says how far.
    """
    return with_warning(_trained(config, log, progress))


def _trained(config: HierarchyConfig, log: str | Path | None, progress: Progress | None) -> Run:
    began = time.perf_counter()
    task = config.problem
    data_rng, net_rng, batch_rng, change_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(4))
    train, test = task.split(config.train_size, config.test_size, data_rng)
    assert task.classes is not None
    net = HierarchyNet(
        config.architecture, positions=task.positions, channels=task.vocabulary, patch=task.patch, layers=task.levels,
        width=config.width, outputs=task.classes,
        generator=torch.Generator().manual_seed(int(net_rng.integers(2**63))),
    )  # fmt: skip
    inputs, labels = torch.as_tensor(task.inputs(test)), torch.as_tensor(test.labels)
    measured = _measured_hierarchy(config, task, test[: config.probe_size], inputs[: config.probe_size])
    rows = measured.rows(net, net.layers, "initial")
    told = RunLog(log)
    recipe = Recipe(
        functional.cross_entropy, config.step * config.width, config.momentum, config.batch, config.epochs,
        config.stop_loss, config.schedule == "linear",
    )  # fmt: skip
    changing = _augmented(config, task, train, change_rng)
    end = descend(net, changing, torch.as_tensor(train.labels), recipe, batch_rng, told, progress)
    if config.stop_loss == 0:  # all epochs, whatever the loss
        end = End(end.epoch, end.loss, None)
    last = measured.rows(net, net.layers, "trained")
    own_inputs = torch.as_tensor(task.inputs(train))
    last[-1] |= {
        "test_error": classification_error(net, inputs, labels),
        "train_error": classification_error(net, own_inputs, torch.as_tensor(train.labels)),
    }
    return finished(config, net, [*rows, *last], end, told, began)


def _measured_hierarchy(
    config: HierarchyConfig, task: SparseHierarchy, probed: Derivations, inputs: Tensor
) -> Measured:
    rng = np.random.default_rng(config.probe_seed)

    def moved(_: Tensor, source: np.random.Generator) -> Tensor:
        return torch.as_tensor(task.inputs(task.move(probed, config.level, source)))

    def exchanged(_: Tensor, source: np.random.Generator) -> Tensor:
        return torch.as_tensor(task.inputs(task.exchange_synonyms(probed, config.level, source)))

    moves = None if task.sparsity == 0 else transform_probes(inputs, moved, rng=rng, noise="alike")
    synonyms = None if task.synonyms == 1 else transform_probes(inputs, exchanged, rng=rng, noise="alike")
    names = {
        "source": "hierarchy-net",
        "task": task.name,
        "architecture": config.net_name,
        "variant": config.variant,
        "train_size": config.train_size,
        "seed": config.seed,
        **{name: getattr(task, name) for name in _PARAMETERS},
    }
    return Measured(names, moves, synonyms, config.average, config.resamples, rng)


def _augmented(
    config: HierarchyConfig, task: SparseHierarchy, train: Derivations, rng: np.random.Generator
) -> Callable[[], Tensor]:
    """The training inputs of the next epoch, as `config.augmentation` has it."""
    plain = torch.as_tensor(task.inputs(train))
    if config.augmentation == "none":
        return lambda: plain
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))

    def noisy() -> Tensor:
        moved = torch.as_tensor(task.inputs(task.move(train, 1, rng)))
        return plain + noise_like(moved - plain, generator, "alike")

    def placed() -> Tensor:
        moved = train
        for level in range(1, task.levels + 1):
            moved = task.move(moved, level, rng)
        return torch.as_tensor(task.inputs(moved))

    def exchanged() -> Tensor:
        return torch.as_tensor(task.inputs(task.exchange_synonyms(train, 1, rng)))

    return {"noise": noisy, "placements": placed, "synonyms": exchanged}[config.augmentation]
