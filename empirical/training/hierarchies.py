"""Train one net on a random hierarchy, or to detect a scale, and measure it layer by layer.

Reads top to bottom: data, net, descent, measurement.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.nets.evaluation import classification_error, evaluation
from empirical.nets.hierarchy_nets import HierarchyNet, ScaleCNN
from empirical.stability.layers import measure_layers
from empirical.stability.measure import Stability, measure_probes
from empirical.stability.probes import Noise, Probes, noise_like, transform_probes
from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig
from empirical.training.images import Progress, Run
from empirical.training.run_log import RunLog
from theory.common.errors import InputError
from theory.common.table import curve_table
from theory.hierarchies import Derivations, SparseHierarchy

__all__ = ["train_hierarchy", "train_scale_detection"]

_ENDS = ("", "_low", "_high")
#: Of a hierarchy, as its curve table names them.
_PARAMETERS = ("vocabulary", "classes", "synonyms", "branching", "sparsity", "levels")


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a net is descended: SGD whose steps are `rate` long, on batches, to `stop_loss` or for `epochs`."""

    loss: Callable[[Tensor, Tensor], Tensor]
    rate: float
    momentum: float
    batch: int
    epochs: int
    stop_loss: float
    linear: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    """How the descent ended; `converged` is None where no loss was asked for."""

    epoch: int
    loss: float
    converged: bool | None


def _hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """mean relu(1 - y f), y = +1 or -1."""
    return functional.relu(1 - outputs[:, 0] * labels).mean()


def _descend(
    net: nn.Module,
    epoch_inputs: Callable[[], Tensor],
    labels: Tensor,
    recipe: _Recipe,
    rng: np.random.Generator,
    log: RunLog,
    progress: Progress | None,
) -> _End:
    """Epoch after epoch in a new order; `epoch_inputs` gives the training inputs, which may change from epoch to epoch.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite.
    """
    began = time.perf_counter()
    optimizer = torch.optim.SGD(net.parameters(), lr=recipe.rate, momentum=recipe.momentum)
    steps = recipe.epochs * math.ceil(len(labels) / recipe.batch)
    taken, loss = 0, math.inf
    for epoch in range(1, recipe.epochs + 1):
        order = torch.as_tensor(rng.permutation(len(labels)))
        # Shuffled once an epoch, so that batches are views of it.
        inputs, truth = epoch_inputs()[order], labels[order]
        total = 0.0
        for batch, wanted in zip(inputs.split(recipe.batch), truth.split(recipe.batch), strict=True):
            if recipe.linear:
                optimizer.param_groups[0]["lr"] = recipe.rate * (1 - taken / steps)
            objective = recipe.loss(net(batch), wanted)
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
            total += float(objective.detach()) * len(batch)
            taken += 1
        loss = total / len(labels)
        if not math.isfinite(loss):
            raise InputError("learning_rate", recipe.rate, f"the loss overflowed in epoch {epoch}; lower it")
        log.add(epoch=epoch, loss=loss, seconds=time.perf_counter() - began)
        if progress is not None:
            progress(epoch / recipe.epochs)
        if loss <= recipe.stop_loss:
            break
    log.flush()
    return _End(epoch, loss, loss <= recipe.stop_loss)


def _warn_if_short(config: HierarchyConfig | ScaleDetectionConfig, end: _End) -> None:
    if end.converged is False:
        warnings.warn(
            f"P = {config.train_size}, seed {config.seed}: not converged: loss {end.loss:.3g} after {end.epoch} epochs,"
            f" {config.stop_loss:g} was asked for",
            RuntimeWarning,
            stacklevel=3,
        )


def _synonym_columns(stability: Stability | None) -> dict[str, float]:
    """The columns of S; none where there are no synonyms."""
    if stability is None:
        return {}
    numbers = (stability.diffeo.value, stability.diffeo.low, stability.diffeo.high)
    return {f"synonym_stability{end}": value for end, value in zip(_ENDS, numbers, strict=True)}


@dataclass(frozen=True, slots=True)
class _Measured:
    """What all stages of a run are measured on: probes of the moves, of the synonyms, or of both.

    Without moves (s0 = 0) D = R = 0, and G is that of noise as large as an exchange of synonyms.
    """

    names: dict[str, Any]
    moves: Probes | None
    synonyms: Probes | None
    average: Any
    resamples: int
    rng: np.random.Generator

    def rows(self, net: nn.Module, layers: list[str], stage: str) -> list[dict[str, Any]]:
        """A row for each layer, and then one for the output."""
        found: list[dict[str, Stability]] = [{} for _ in range(len(layers) + 1)]
        for kind, probes in (("moves", self.moves), ("synonyms", self.synonyms)):
            if probes is None:
                continue
            # The same resampled data at every stage.
            found[-1][kind] = measure_probes(
                net, probes, average=self.average, rng=copy.deepcopy(self.rng), batch_size=500, resamples=self.resamples
            )
            inner = measure_layers(
                net, probes, layers=layers, rng=copy.deepcopy(self.rng), batch_size=500, resamples=self.resamples
            )
            for own, layer in zip(found[:-1], inner, strict=True):
                own[kind] = layer.stability
        return [
            {**self.names, "stage": stage, "layer": layer, **self._columns(own)}
            for layer, own in zip([*layers, ""], found, strict=True)
        ]

    @staticmethod
    def _columns(own: dict[str, Stability]) -> dict[str, Any]:
        synonyms = own.get("synonyms")
        if "moves" in own:
            return own["moves"].row() | _synonym_columns(synonyms)
        assert synonyms is not None
        still = {f"{name}_stability{end}": 0.0 for name in ("diffeo", "relative") for end in _ENDS}
        return synonyms.row() | still | _synonym_columns(synonyms)


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


def train_hierarchy(
    config: HierarchyConfig, *, log: str | Path | None = None, progress: Progress | None = None
) -> Run:
    """Train a net on a random hierarchy; D, G, R and S of its output and its layers, before and after.

    D_k = avg ||f_k(T_l x) - f_k(x)||^2 / avg_{x,z} ||f_k(x) - f_k(z)||^2, T_l drawing the placements of level l anew;
    S_k likewise with P_l, which draws the synonyms of that level anew; G_k with noise whose norm is the root mean
    square of that of T_l x - x; R_k = D_k / G_k (arXiv 2404.10727, section 4, for D and S). They are measured on the
    first `probe_size` test data; the test error is that of all of these.

    `log` is a CSV file in which the run can be watched: epoch, loss, seconds.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite.
    """
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
    recipe = _Recipe(
        functional.cross_entropy, config.step * config.width, config.momentum, config.batch, config.epochs,
        config.stop_loss, config.schedule == "linear",
    )  # fmt: skip
    changing = _augmented(config, task, train, change_rng)
    end = _descend(net, changing, torch.as_tensor(train.labels), recipe, batch_rng, told, progress)
    if config.stop_loss == 0:  # all epochs, whatever the loss
        end = _End(end.epoch, end.loss, None)
    _warn_if_short(config, end)
    last = measured.rows(net, net.layers, "trained")
    own_inputs = torch.as_tensor(task.inputs(train))
    last[-1] |= {
        "test_error": classification_error(net, inputs, labels),
        "train_error": classification_error(net, own_inputs, torch.as_tensor(train.labels)),
    }
    return _finished(config, net, [*rows, *last], end, told, began)


def _measured_hierarchy(
    config: HierarchyConfig, task: SparseHierarchy, probed: Derivations, inputs: Tensor
) -> _Measured:
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
    return _Measured(names, moves, synonyms, config.average, config.resamples, rng)


def train_scale_detection(
    config: ScaleDetectionConfig, *, log: str | Path | None = None, progress: Progress | None = None
) -> Run:
    """Train a convolutional net to detect a scale; D, G and R of its output and its layers, before and after.

    D is to moves of the two pixels by one, G to noise of the same norm or the paper's rectified noise (arXiv
    2210.01506, section 4). They are measured on the first `probe_size` test pairs.

    Raises
    ------
    InputError
        With ``learning_rate`` if the loss stops being finite; if the layers do not fit the line.
    """
    began = time.perf_counter()
    task = config.problem
    data_rng, net_rng, batch_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(3))
    train, test = task.split(config.train_size, config.test_size, data_rng)
    net = ScaleCNN(
        positions=task.size, layers=config.depth, width=config.width, filter_size=config.filter_size,
        stride=config.stride, generator=torch.Generator().manual_seed(int(net_rng.integers(2**63))),
    )  # fmt: skip
    inputs, probed = torch.as_tensor(task.inputs(test)), test[: config.probe_size]

    def moved(_: Tensor, source: np.random.Generator) -> Tensor:
        return torch.as_tensor(task.inputs(task.move(probed, source)))

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
    measured = _Measured(names, probes, None, config.average, config.resamples, rng)
    rows = measured.rows(net, net.layers, "initial")
    told = RunLog(log)
    rate = config.learning_rate * config.width
    recipe = _Recipe(_hinge, rate, 0.0, config.batch_size, config.epochs, config.stop_loss)
    own_inputs, own_labels = torch.as_tensor(task.inputs(train)), torch.as_tensor(task.label(train)).float()
    end = _descend(net, lambda: own_inputs, own_labels, recipe, batch_rng, told, progress)
    _warn_if_short(config, end)
    last = measured.rows(net, net.layers, "trained")
    last[-1] |= {
        "test_error": _sign_error(net, inputs, torch.as_tensor(task.label(test))),
        "train_error": _sign_error(net, own_inputs, own_labels),
    }
    return _finished(config, net, [*rows, *last], end, told, began)


def _sign_error(net: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Fraction of inputs at which y f(x) is not positive."""
    with evaluation(net):
        outputs = torch.cat([net(batch)[:, 0] for batch in inputs.split(500)])
    return float((outputs * labels <= 0).double().mean())


def _finished(
    config: HierarchyConfig | ScaleDetectionConfig,
    net: nn.Module,
    rows: list[dict[str, Any]],
    end: _End,
    told: RunLog,
    began: float,
) -> Run:
    """The run, how its training ended being told in the row of the trained output."""
    seconds = time.perf_counter() - began
    rows[-1] |= {"train_loss": end.loss, "seconds": seconds}
    if end.converged is not None:
        rows[-1]["converged"] = int(end.converged)
    return Run(config, curve_table(rows), net, end.loss, seconds, epoch=end.epoch, log=told.table())
