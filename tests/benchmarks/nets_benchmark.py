"""How fast nets are trained and measured, against the code that one would first write.

`make bench` runs it. Training: an epoch of random crops and flips, batches of 128, SGD with momentum; against a
torchvision data set of PIL images behind a DataLoader with transforms, in the process itself and with as many workers
as there are cores. Airbench is trained by the fast recipe with its Muon, the plain code by SGD as the others, so that
what ours gains is bfloat16 and the augmentation's, less the Newton-Schulz steps. Measuring: D_f, G_f and R_f of 500
images, and over a range of displacements, against a loop of one-image warps for every displacement and three forward
passes, without intervals; ours has them, from 1000 bootstrap samples. Images are
random, 32 x 32 pixels, 3 channels. Medians over repetitions, in one process.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from diffeo_benchmark import deform_one
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from empirical import ImageConfig, MaxEntropyDiffeo, Stability, build, measure_range
from empirical.nets.normalised import Normalised
from empirical.training.descent import Descent
from theory.common.terminal import Terminal

__all__ = ["OneByOne", "ours_epoch", "ours_range", "plain_epoch", "plain_range"]

DISPLACEMENTS = (0.5, 0.7, 1.0, 1.4)
_BATCH = 128


class OneByOne(Dataset):
    """PIL images that are transformed one by one, as torchvision's data sets are read."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.labels = labels.tolist()
        self.transform = transforms.Compose([
            transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.29,) * 3),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def plain_epoch(net: nn.Module, data: Dataset, workers: int, device: str = "cpu") -> float:
    """The last loss of an epoch of the loop that every tutorial has."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    net.train()
    for images, labels in DataLoader(data, _BATCH, shuffle=True, num_workers=workers, pin_memory=device != "cpu"):
        there, truth = (part.to(device, non_blocking=True) for part in (images, labels))
        loss = functional.cross_entropy(net(there), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def ours_epoch(
    net: nn.Module, images: Tensor, labels: Tensor, precision: str = "float32", recipe: str = "paper"
) -> float:
    """The last epoch's mean loss; one epoch of `empirical.train`'s own loop. The fast recipe is with Muon."""
    config = ImageConfig(
        architecture="lenet", train_size=len(images), epochs=1, min_steps=0, batch_size=_BATCH,
        learning_rate=0.01, optimizer="sgd" if recipe == "paper" else "muon", augmentation="crop-flip",
        precision=precision, recipe=recipe,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Normalised(net, torch.full((3,), 0.5), torch.full((3,), 0.29)).to(images.device)
    model.to(memory_format=torch.channels_last)
    descent = Descent(config, model, images, labels, torch.Generator().manual_seed(0))
    list(descent.epochs(None))
    return descent.loss


def ours_range(net: nn.Module, images: Tensor, displacements: tuple[float, ...]) -> list[Stability]:
    """Everything that `relstab measure` prints."""
    return measure_range(net, images, displacements=displacements)


def plain_range(net: nn.Module, images: Tensor, displacements: tuple[float, ...], seed: int = 0) -> list[float]:
    """R_f at every displacement, from one-image warps."""
    generator = torch.Generator().manual_seed(seed)
    net.eval()
    ratios = []
    for displacement in displacements:
        ensemble = MaxEntropyDiffeo(3, displacement).ensemble(images.shape[-1])
        deformed, noisy = [], []
        for image in images:
            deformed.append(deform_one(image, ensemble, generator))
            noise = torch.randn(image.shape, generator=generator)
            noisy.append(image + noise * ((deformed[-1] - image).norm() / noise.norm()))
        with torch.no_grad():
            clean, moved, shaken = (
                torch.cat([net(part) for part in batch.split(_BATCH)])
                for batch in (images, torch.stack(deformed), torch.stack(noisy))
            )
        ratios.append(float(((moved - clean) ** 2).sum(1).mean() / ((shaken - clean) ** 2).sum(1).mean()))
    return ratios


def _timed(function: Callable[[], object], repetitions: int) -> float:
    function()  # memory and compiled kernels warm
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of training and measuring; see the docstring.")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--images", type=int, default=1280)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    terminal = Terminal()
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (options.images, 3, 32, 32), generator=source, dtype=torch.uint8)
    labels = torch.randint(0, 10, (options.images,), generator=source)
    data = OneByOne(images, labels)
    rows, more = [], []
    for name in ("lenet", "resnet-small", "airbench"):
        net = build(name, 3, 32, 10, 0)
        recipe = "fast" if name == "airbench" else "paper"
        ways = {
            "ours": lambda net=net, recipe=recipe: ours_epoch(net, images, labels, "float32", recipe),
            "ours, bfloat16": lambda net=net, recipe=recipe: ours_epoch(net, images, labels, "bfloat16", recipe),
            "DataLoader": lambda net=net: plain_epoch(net.to(memory_format=torch.contiguous_format), data, 0),
            f"DataLoader, {cores} workers": lambda net=net: plain_epoch(net, data, cores),
        }
        times = {way: _timed(function, options.repetitions) for way, function in ways.items()}
        for way, seconds in times.items():
            rows.append([name, way, f"{1e3 * seconds / options.images:.3f}", f"{seconds / times['ours']:.1f}"])
        if name == "airbench":  # measuring takes the same warps, and no other code of ours
            continue
        probes = images[:500].float() / 255
        for label, displacements in (("1", (1.0,)), (str(len(DISPLACEMENTS)), DISPLACEMENTS)):
            what = {"net": net, "images": probes, "displacements": displacements}
            ours, plain = (
                _timed(lambda measured=measured, what=what: measured(**what), options.repetitions)
                for measured in (ours_range, plain_range)
            )
            more.append([name, label, f"{ours:.2f}", f"{plain:.2f}", f"{plain / ours:.1f}"])
    terminal.table(
        f"an epoch of {options.images} images, {options.threads} threads, torch {torch.__version__}",
        ["net", "loop", "ms an image", "over ours"], rows,
    )  # fmt: skip
    terminal.line()
    terminal.table(
        "stability of 500 images", ["net", "displacements", "ours: s", "plain: s", "plain / ours"], more
    )


if __name__ == "__main__":
    main()
