"""Train the simple model's net, or a deeper one, on stripes with plain torch; measure R_f with noise of finite norm.

The theory's own experiment done the way real nets are trained: autograd, a fixed learning rate, full batches,
SGD or Adam. A seed gives the same points and the same initial neurons as `theory.simulate` does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from empirical.nets.stripe_nets import StripeNet
from empirical.stability.measure import Outputs, Stability, measure_outputs
from empirical.training.config import StripeConfig
from empirical.training.run import Progress, Run, RunOptions, with_warning
from empirical.training.run_log import RunLog
from theory.common.errors import InputError
from theory.common.table import curve_table
from theory.model.configuration import model_variant
from theory.model.losses import SHARPNESS
from theory.model.network import Network
from theory.model.observables import random_directions
from theory.model.tasks import Stripe

__all__ = ["check", "make_optimizer", "margin_loss", "measure_stripe", "run", "train_stripe"]

_TEST_SIZE = 10_000
#: Points evaluated at once, where no gradient is wanted.
_PART = 16_384
#: Each logged step is at least so many times the one before: a run has some hundred lines.
_LOG_SPACING = 1.05


def margin_loss(name: str, z: Tensor) -> Tensor:
    """Mean of l(z), z = y F; see `theory.model.losses`."""
    if name == "hinge":
        return functional.relu(1 - z).mean()
    if name == "softhinge":
        return functional.softplus(1 - z, beta=SHARPNESS, threshold=50).mean()
    return functional.relu(1 - z).square().mean() / 2


def measure_stripe(
    function: Callable[[Tensor], Tensor],
    task: Stripe,
    *,
    noise_norm: float,
    probe_size: int,
    average: str,
    rng: np.random.Generator,
) -> Stability:
    """D_f under nu, isotropic in the irrelevant directions, over G_f under eta, isotropic in all; equal norms.

    For small norms R_f is (d / d_perp) E|grad_perp F|^2 / E|grad F|^2 (arXiv 2105.02468, section 5).
    """
    x, _ = task.sample(probe_size, rng)
    nu, eta = (noise_norm * random_directions(probe_size, task.dim, k, rng) for k in (task.informative_dim, 0))
    with torch.no_grad():
        values = [function(torch.as_tensor(points)).double().numpy() for points in (x, x + nu, x + eta)]
    estimates = measure_outputs(Outputs(*values), average=average, rng=rng)  # type: ignore[arg-type]
    return Stability(*estimates, average=average, displacement=noise_norm)  # type: ignore[arg-type]


def _in_parts(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """The function at all points, without gradients, in little memory."""
    with torch.no_grad():
        return torch.cat([function(part) for part in points.split(_PART)])


def _variant(config: StripeConfig) -> str:
    """What tells the net's curve from that of the usual one, trained by full-batch descent."""
    words: list[str] = [] if config.optimizer == "sgd" else [config.optimizer]
    if config.batch_size is not None:
        words.append(f"batch {config.batch_size}")
    return ", ".join(filter(None, [*words, model_variant(config.loss, config.scale)]))


def _start(config: StripeConfig, rng: np.random.Generator) -> StripeNet:
    """The net at the start: the theory's neurons, whatever the depth, and then the further layers."""
    first = Network.initial(config.width, config.dim, rng, "float32")
    shapes = [(config.width, config.width), (config.width,)] * (config.hidden_layers - 1)
    further = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    # A generator of its own, although these replace the draw: torch's default one is not touched.
    model = StripeNet(config.dim, config.width, config.scale, torch.Generator(), config.hidden_layers)
    model.load_start(*map(torch.as_tensor, (first.weight, first.bias, first.output, *further)))
    return model


def make_optimizer(config: StripeConfig, model: StripeNet) -> torch.optim.Optimizer:
    """Plain descent at the learning rate h time_step, or Adam, whose steps on inner matrices are 1 / sqrt(h) of others.

    `StripeNet` says why.
    """
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=config.width * config.time_step)
    rate = config.step_length[1]
    others = [one for one in model.parameters() if not any(one is matrix for matrix in model.inner)]
    groups: list[dict[str, Any]] = [{"params": others}]
    if model.inner:
        groups.append({"params": model.inner, "lr": rate / math.sqrt(config.width)})
    return torch.optim.Adam(groups, lr=rate)


class _Descent:
    """Steps down (1/alpha) mean l(y F), from batch to batch."""

    def __init__(self, config: StripeConfig, model: StripeNet, x: Tensor, y: Tensor, rng: np.random.Generator) -> None:
        self.config, self.model, self.x, self.y = config, model, x, y
        self.frozen = _in_parts(model.start, x)  # f_0 never changes: once is enough
        self.steps, self.loss = 0, math.nan
        self._batches = self._draw(rng)
        self.optimizer = make_optimizer(config, model)

    def _draw(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """Batches without end, every point once an epoch."""
        while True:
            order = torch.as_tensor(rng.permutation(len(self.x)))
            yield from order.split(self.config.batch_size or len(self.x))

    def margins(self, batch: Tensor | slice) -> Tensor:
        """y F at the points of the batch."""
        return self.y[batch] * self.config.scale * (self.model.net(self.x[batch]) - self.frozen[batch])

    def all_margins(self) -> Tensor:
        """Those of the whole training set, with gradients where they are its batch."""
        if self.config.batch_size is None:
            return self.margins(slice(None))
        return self.y * self.config.scale * (_in_parts(self.model.net, self.x) - self.frozen)

    def advance(self, z: Tensor) -> None:
        """One step on the whole set, whose margins are `z`, or on batches until the unfit fraction is looked at."""
        config = self.config
        if config.batch_size is None:
            self._step(z)
            return
        epoch = math.ceil(len(self.x) / config.batch_size)
        span = min(epoch, config.check_steps or epoch, config.max_steps - self.steps)
        for batch in islice(self._batches, span):
            self._step(self.margins(batch))

    def _step(self, z: Tensor) -> None:
        config = self.config
        objective = margin_loss(config.loss, z) / config.scale
        self.optimizer.zero_grad()
        objective.backward()
        if config.weight_change is not None:
            largest = self.model.largest_step(config.weight_change)
            self.optimizer.param_groups[0]["lr"] = min(config.width * config.time_step, largest)
        self.optimizer.step()
        self.loss = float(objective.detach()) * config.scale
        self.steps += 1


def check(config: StripeConfig, options: RunOptions) -> None:
    """What is configured can be run: it needs no data."""


def run(config: StripeConfig, options: RunOptions) -> Run:
    """`train_stripe`, as a run of a sweep; it is done on the CPU, without checkpoints."""
    return _descend(config, options.log, options.progress)


def train_stripe(
    config: StripeConfig, *, log: str | Path | None = None, progress: Progress | None = None
) -> Run:
    """Descend (1/alpha) mean l(y F), and measure at the unfit fractions.

    The unfit fraction is that of the whole training set: known at every full-batch step, and looked at after
    every epoch, or `check_steps`, of SGD and Adam. A run that does not reach the last fraction in `max_steps` warns
    and lacks its rows. `log` is a CSV file where it can be watched: step, loss, unfit fraction and seconds, at steps
    that grow further and further apart.

    Raises
    ------
    InputError
        With ``time_step``, or ``learning_rate`` for Adam, if the outputs stop being finite, with ``max_steps`` if no
        fraction was reached.
    """
    return with_warning(_descend(config, log, progress))


def _descend(config: StripeConfig, log: str | Path | None, progress: Progress | None) -> Run:
    """`train_stripe`; the run says what it lacks, and nothing is warned of."""
    began = time.perf_counter()
    task = Stripe(config.dim)
    data_rng, test_rng, neuron_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(3))
    batch_seed, probe_seed = np.random.SeedSequence(config.seed).spawn(5)[3:]
    points, truth = task.sample(config.train_size, data_rng)
    test_points, test_truth = task.sample(_TEST_SIZE, test_rng)
    x, y = torch.as_tensor(points, dtype=torch.float32), torch.as_tensor(truth, dtype=torch.float32)
    model = _start(config, neuron_rng)
    descent = _Descent(config, model, x, y, np.random.default_rng(batch_seed))
    rows: list[dict[str, Any]] = []
    unfit = 1.0
    told, next_told = RunLog(log), 0

    def record(target: float, unfit: float) -> dict[str, Any]:
        exact = model.in_double()
        stability = measure_stripe(
            exact, task, noise_norm=config.noise_norm, probe_size=config.probe_size, average=config.average,
            rng=np.random.default_rng(probe_seed),  # the same probes at every stage
        )  # fmt: skip
        predicted, fitted = (_in_parts(exact, torch.as_tensor(of))[:, 0].numpy() for of in (test_points, points))
        return {
            "source": "stripe-net",
            "task": task.name,
            "architecture": model.architecture,
            "variant": _variant(config),
            "train_size": config.train_size,
            "seed": config.seed,
            "stage": f"q={target:g}",
            **stability.row(),
            "test_error": float(np.mean(test_truth * predicted <= 0)),
            "train_error": float(np.mean(truth * fitted <= 0)),
            "unfit_fraction": unfit,
            "compression": model.compression(task.informative_dim),
        }

    while True:
        z = descent.all_margins()
        if not bool(torch.isfinite(z).all()):
            name, value = config.step_length
            raise InputError(name, value, f"the outputs overflowed after {descent.steps} steps; lower it")
        unfit = float((z.detach() < 1).double().mean())
        while len(rows) < len(config.unfit_fractions) and unfit <= config.unfit_fractions[len(rows)]:
            rows.append(record(config.unfit_fractions[len(rows)], unfit))
        if descent.steps >= next_told:
            # Of the same outputs as the unfit fraction: no step has been taken yet in the first row.
            loss = float(margin_loss(config.loss, z.detach()))
            seconds = time.perf_counter() - began
            told.add(step=descent.steps, loss=loss, unfit_fraction=unfit, seconds=seconds)
            next_told = math.ceil(_LOG_SPACING * descent.steps)
        if progress is not None:
            progress(max(descent.steps / config.max_steps, len(rows) / len(config.unfit_fractions)))
        if len(rows) == len(config.unfit_fractions) or descent.steps >= config.max_steps:
            break
        descent.advance(z)
    told.flush()
    missing = len(config.unfit_fractions) - len(rows)
    if not rows:
        raise InputError("max_steps", config.max_steps, f"ended at unfit fraction {unfit:.3g}, before any record")
    shortfall = f"{missing} unfit fractions not reached in {descent.steps} steps" if missing else ""
    seconds = time.perf_counter() - began
    rows[-1]["seconds"] = seconds
    return Run(config, curve_table(rows), model, descent.loss, seconds, log=told.table(), shortfall=shortfall)
