"""What a GPU gains, in the flow of the theory and in the training of nets. Nothing else should run at the same time.

    PYTHONPATH=.:tests/benchmarks python tests/benchmarks/gpu_benchmark.py [--output FILE.json]

The flow: one evaluation of the field, of one trajectory and of eight in step, with CuPy and with numba on all cores;
then a curve of eight seeds to q = 0.3. CuPy's times hold the copies to the card and back. Training: an epoch of
the fast recipe against a DataLoader of transformed PIL images with as many workers as cores, both on the card.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flow_benchmark import SHAPE, problem, timed
from nets_benchmark import OneByOne, ours_epoch, plain_epoch

from empirical import build
from empirical.training.devices import device_name, require_device
from theory import FlowConfig, Stripe, curve
from theory.common.terminal import Terminal
from theory.kernels import get_batch_kernel, get_kernel
from theory.kernels.threads import set_threads

_TOGETHER = 8
_NETS = ("resnet-small", "vgg11-bn", "resnet18", "airbench")


def seconds_of(function: Callable[[], object]) -> float:
    """Wall time of one call, the card's work in it."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def fields(terminal: Terminal) -> dict[str, float]:
    """Least time of an evaluation of one trajectory, in seconds."""
    arguments, network = problem(*SHAPE)
    x, y, baseline, scale, loss = arguments
    bound = get_batch_kernel("cupy")
    assert bound is not None
    together = bound([(x, y, baseline)] * _TOGETHER, scale, loss)
    asked = [network] * _TOGETHER, [None] * _TOGETHER, range(_TOGETHER)
    found = {
        "numba": min(timed(partial(get_kernel("numba")(*arguments), network), 10)),
        "cupy": min(timed(partial(get_kernel("cupy")(*arguments), network), 50)),
        f"cupy, {_TOGETHER} in step": min(timed(partial(together, *asked), 20)) / _TOGETHER,
    }
    points, width, dim = SHAPE
    terminal.table(
        f"an evaluation for one trajectory, P = {points}, h = {width}, d = {dim}, float32",
        ["", "ms", "numba /"],
        [[name, f"{1e3 * t:.3f}", f"{found['numba'] / t:.1f}"] for name, t in found.items()],
    )
    return found


def curves(terminal: Terminal, train_size: int) -> dict[str, float]:
    """Wall time of eight seeds' trajectories to q = 0.3, and the same numbers to a few percent."""
    config = FlowConfig(unfit_fractions=(0.9, 0.7, 0.5, 0.3))
    found, tables = {}, {}
    for backend in ("cupy", "numba"):
        start = time.perf_counter()
        tables[backend] = curve(Stripe(30), [train_size], range(_TOGETHER), config, backend=backend)
        found[backend] = time.perf_counter() - start
    one, other = (np.log(table["relative_stability"].to_numpy()) for table in tables.values())
    apart = np.sqrt(np.mean((one - other) ** 2))
    terminal.table(
        f"{_TOGETHER} trajectories to q = 0.3, P = {train_size}; ln R_f differs by {apart:.3f} (rms)",
        ["", "s", "numba /"],
        [[name, f"{t:.1f}", f"{found['numba'] / t:.1f}"] for name, t in found.items()],
    )  # fmt: skip
    return found


def training(terminal: Terminal, images: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Images a second of an epoch, after one that is not counted."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), generator=source, dtype=torch.uint8)
    labels = torch.randint(0, 10, (images,), generator=source)
    data, there = OneByOne(pixels, labels), (pixels.to(device), labels.to(device))
    cores = len(os.sched_getaffinity(0))
    found: dict[str, dict[str, float]] = {}
    for name in _NETS:
        net = build(name, 3, 32, 10, 0).to(device)
        ways = {
            "ours": partial(ours_epoch, net, *there, "auto", "fast" if name == "airbench" else "paper"),
            "DataLoader": partial(plain_epoch, net, data, cores, str(device)),
        }
        found[name] = {}
        for way, epoch in ways.items():
            epoch()
            found[name][way] = images / min(seconds_of(epoch) for _ in range(2))
    terminal.table(
        f"training, {images} images an epoch, batches of 128, {device_name(device)}, {cores} cores",
        ["net", "ours: images/s", "DataLoader: images/s", "ours /"],
        [[n, f"{s['ours']:.0f}", f"{s['DataLoader']:.0f}", f"{s['ours'] / s['DataLoader']:.1f}"]
         for n, s in found.items()],
    )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks on a GPU; see the docstring.")
    parser.add_argument("--images", type=int, default=12800)
    parser.add_argument("--train-size", type=int, default=8192)
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    options = parser.parse_args()
    device = require_device("cuda")
    set_threads(len(os.sched_getaffinity(0)))
    terminal = Terminal()
    numbers: dict[str, Any] = {"device": device_name(device)}
    numbers["fields"] = fields(terminal)
    numbers["training"] = training(terminal, options.images, device)
    numbers["curves"] = curves(terminal, options.train_size)
    if options.output is not None:
        options.output.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
