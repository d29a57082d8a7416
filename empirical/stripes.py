"""Train the simple model's net on stripes with plain torch, and measure R_f with noise of finite norm.

The theory's own experiment done the way real nets are trained: autograd, a fixed learning rate, full batches
or SGD. A seed gives the same points and the same initial neurons as `theory.simulate` does.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from empirical.architectures import OneHiddenLayer
from empirical.config import StripeConfig
from empirical.stability import Outputs, Stability, measure_outputs
from empirical.training import Progress, Run
from theory.configuration import model_variant
from theory.errors import InputError
from theory.losses import SHARPNESS
from theory.network import Network
from theory.observables import random_directions
from theory.table import curve_table
from theory.tasks import Stripe

__all__ = ["margin_loss", "measure_stripe", "train_stripe"]

_TEST_SIZE = 10_000


def margin_loss(name: str, z: Tensor) -> Tensor:
    """Mean of l(z), z = y F; see `theory.losses`."""
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


def train_stripe(config: StripeConfig, *, progress: Progress | None = None) -> Run:
    """Descend (1/alpha) mean l(y F) at the learning rate h time_step, and measure at the unfit fractions.

    The unfit fraction is that of the whole training set: known at every full-batch step, and looked at after
    every epoch of SGD. A run that does not reach the last fraction in `max_steps` warns and lacks its rows.

    Raises
    ------
    InputError
        With ``time_step`` if the outputs stop being finite, with ``max_steps`` if no fraction was reached.
    """
    began = time.perf_counter()
    task = Stripe(config.dim)
    data_rng, test_rng, neuron_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(3))
    batch_seed, probe_seed = np.random.SeedSequence(config.seed).spawn(5)[3:]
    batch_rng = np.random.default_rng(batch_seed)
    points, truth = task.sample(config.train_size, data_rng)
    test_points, test_truth = task.sample(_TEST_SIZE, test_rng)
    x, y = torch.as_tensor(points, dtype=torch.float32), torch.as_tensor(truth, dtype=torch.float32)
    start = Network.initial(config.width, config.dim, neuron_rng, "float32")
    # A generator of its own, although the theory's neurons replace the draw: torch's default one is not touched.
    model = OneHiddenLayer(config.dim, config.width, config.scale, torch.Generator())
    model.load_start(*map(torch.as_tensor, (start.weight, start.bias, start.output)))
    optimizer = torch.optim.SGD(model.parameters(), lr=config.width * config.time_step)
    with torch.no_grad():
        frozen = model.start(x)  # f_0 never changes: once is enough
    rows: list[dict[str, Any]] = []
    loss, steps, unfit = math.nan, 0, 1.0

    def record(target: float, unfit: float) -> dict[str, Any]:
        exact = _in_double(model)
        stability = measure_stripe(
            exact, task, noise_norm=config.noise_norm, probe_size=config.probe_size, average=config.average,
            rng=np.random.default_rng(probe_seed),  # the same probes at every stage
        )  # fmt: skip
        with torch.no_grad():
            predicted = exact(torch.as_tensor(test_points))[:, 0].numpy()
            fitted = exact(torch.as_tensor(points))[:, 0].numpy()
        weights = Network(*(getattr(model, name).detach().numpy() for name in ("weight", "bias", "output")))
        return {
            "source": "stripe-net",
            "task": task.name,
            "architecture": f"one-hidden-h{config.width}",
            "variant": model_variant(config.loss, config.scale),
            "train_size": config.train_size,
            "seed": config.seed,
            "stage": f"q={target:g}",
            **stability.row(),
            "test_error": float(np.mean(test_truth * predicted <= 0)),
            "train_error": float(np.mean(truth * fitted <= 0)),
            "unfit_fraction": unfit,
            "compression": weights.compression(task.informative_dim),
        }

    def margins(batch: Tensor | slice) -> Tensor:
        return y[batch] * config.scale * (model.net(x[batch]) - frozen[batch])

    def descend(z: Tensor) -> float:
        objective = margin_loss(config.loss, z) / config.scale
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        return float(objective.detach()) * config.scale

    everything = slice(None)
    while True:
        z = margins(everything)
        if not bool(torch.isfinite(z).all()):
            raise InputError("time_step", config.time_step, f"the outputs overflowed after {steps} steps; lower it")
        unfit = float((z.detach() < 1).double().mean())
        while len(rows) < len(config.unfit_fractions) and unfit <= config.unfit_fractions[len(rows)]:
            rows.append(record(config.unfit_fractions[len(rows)], unfit))
        if progress is not None:
            progress(max(steps / config.max_steps, len(rows) / len(config.unfit_fractions)))
        if len(rows) == len(config.unfit_fractions) or steps >= config.max_steps:
            break
        if config.batch_size is None:
            loss = descend(z)
            steps += 1
        else:
            order = torch.as_tensor(batch_rng.permutation(config.train_size))
            for batch in order.split(config.batch_size)[: config.max_steps - steps]:
                loss = descend(margins(batch))
                steps += 1
    missing = len(config.unfit_fractions) - len(rows)
    if not rows:
        raise InputError("max_steps", config.max_steps, f"ended at unfit fraction {unfit:.3g}, before any record")
    if missing:
        warnings.warn(
            f"P = {config.train_size}, seed {config.seed}: {missing} unfit fractions not reached in {steps} steps",
            RuntimeWarning,
            stacklevel=2,
        )
    seconds = time.perf_counter() - began
    rows[-1]["seconds"] = seconds
    return Run(config, curve_table(rows), model, loss, seconds)


def _in_double(model: OneHiddenLayer) -> OneHiddenLayer:
    """A copy in double precision: R_f is a ratio of small differences of outputs."""
    twin = OneHiddenLayer(model.weight.shape[1], len(model.output), model.scale, torch.Generator())
    twin.load_state_dict(model.state_dict())
    return twin.double()
