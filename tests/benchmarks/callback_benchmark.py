"""What measuring R_f at the end of an epoch costs beside the epoch: ResNet18 on 50000 images of CIFAR10's size.

`python tests/benchmarks/callback_benchmark.py` times steps of training by SGD and one call of the function that the
callbacks call, and compares an epoch of so many steps with it. Processor time, so that other work on the machine does
not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from empirical import build
from empirical.integrations.along_training import IMAGES, StabilityAlongTraining

__all__ = ["cost"]

_EPOCH, _BATCH = 50000, 128


def _seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def cost(architecture: str, steps: int, batch: int = _BATCH, images: int = IMAGES) -> tuple[float, float]:
    """Seconds of an epoch, and of one measurement."""
    net = build(architecture, 3, 32, 10, 0).to(memory_format=torch.channels_last)
    descent = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    source = torch.Generator().manual_seed(0)
    shown, labels = torch.rand(batch, 3, 32, 32, generator=source), torch.arange(batch) % 10
    stability = StabilityAlongTraining(torch.rand(images, 3, 32, 32, generator=source))

    def step(x: Tensor = shown) -> None:
        descent.zero_grad()
        functional.cross_entropy(net(x), labels).backward()
        descent.step()

    step()
    epoch = _EPOCH / batch * min(_seconds(step) for _ in range(steps))
    return epoch, min(_seconds(lambda: stability.log(net)) for _ in range(2))


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="resnet18")
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    epoch, measured = cost(given.architecture, given.steps)
    print(
        f"{given.architecture}, {torch.get_num_threads()} threads: an epoch {epoch:.0f} s, "
        f"R_f of {IMAGES} images {measured:.2f} s, {measured / epoch:.2%}"
    )


if __name__ == "__main__":
    main()
