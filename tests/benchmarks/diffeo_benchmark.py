"""How fast images are deformed: a batch at once against a loop of one-image warps written plainly.

`make bench` runs it. Both draw a field for every image and read the image at the displaced places; the loop does so as
one would first write it, with one `einsum` for each component's field and four look-ups for each image. Single
precision, 3 channels, cutoff 3, one pixel; medians over repetitions, in one process. A repetition is five batches, so
that its memory is as warm as the loop's, and one loop.
"""

from __future__ import annotations

import argparse
import math
import os
import time

import numpy as np
import torch
from torch import Tensor

from empirical import MaxEntropyDiffeo
from theory import MaxEntropyEnsemble
from theory.common.terminal import Terminal

__all__ = ["deform_one"]

_CALLS = 5


def deform_one(image: Tensor, ensemble: MaxEntropyEnsemble, generator: torch.Generator) -> Tensor:
    """One image (channels, n, n), its field drawn and applied with plain operations."""
    n, c = image.shape[-1], ensemble.cutoff
    u = torch.linspace(0, 1, n)
    k = torch.arange(1, c + 1)
    modes = torch.sin(math.pi * u[:, None] * k)
    std = torch.as_tensor(ensemble.mode_std, dtype=torch.float32)
    dx, dy = (
        n * torch.einsum("ij,xi,yj->yx", torch.randn(c, c, generator=generator) * std, modes, modes) for _ in range(2)
    )
    row, column = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    x, y = (column - dx).clamp(0, n - 1), (row - dy).clamp(0, n - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp(max=n - 1), (top + 1).clamp(max=n - 1)
    a, b = x - left, y - top
    return (
        (1 - a) * (1 - b) * image[:, top, left] + a * (1 - b) * image[:, top, right]
        + (1 - a) * b * image[:, bottom, left] + a * b * image[:, bottom, right]
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of the sampler; see the docstring.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    terminal = Terminal()
    rows = []
    for size, count in ((32, 1000), (224, 64)):
        images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1)
        diffeo = MaxEntropyDiffeo(3, displacement=1.0, generator=generator)
        ensemble = diffeo.ensemble(size)
        diffeo(images)  # the kernel is compiled at its first call
        times: dict[str, list[float]] = {"batch": [], "loop": []}
        for _ in range(options.repetitions):
            began = time.perf_counter()
            for _ in range(_CALLS):
                diffeo(images)
            middle = time.perf_counter()
            torch.stack([deform_one(image, ensemble, generator) for image in images])
            times["batch"].append((middle - began) / _CALLS)
            times["loop"].append(time.perf_counter() - middle)
        batch, loop = (float(np.median(times[name])) for name in ("batch", "loop"))
        rows.append([f"{size} x {size}", str(count), f"{1e6 * batch / count:.1f}", f"{1e6 * loop / count:.1f}",
                     f"{loop / batch:.1f}"])  # fmt: skip
    terminal.table(
        f"deformed images, {options.threads} threads, torch {torch.__version__}",
        ["pixels", "images", "batch: us an image", "loop: us an image", "loop / batch"], rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
