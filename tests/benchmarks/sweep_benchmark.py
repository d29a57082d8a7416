"""What a sweep costs beside its runs, what executors make of two cores, and nets of many seeds trained as one.

`make bench` runs it; nothing else should run meanwhile.

- Overhead: the wall time of a sweep with a store, less that of its runs by themselves, a run; and the same as a part of
  a run of ten seconds.
- Executors: one sweep in this process, in two, and on a local Ray cluster; the tables are compared to the bit.
- Stacked: nets of eight seeds whose parameters are stacked (torch.func), trained by one process on all cores, against
  eight nets one after the other in as many processes as there are cores, each on one thread (timed one at a time on one
  thread, and divided by the number of cores, which flatters the processes). Seconds of one step of all eight.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from empirical import Experiment, ImageConfig, build, sweep, train
from theory import InProcess, Processes, RayCluster
from theory.common.terminal import Terminal
from theory.jobs.executors import Executor

__all__ = ["Stacked", "one_by_one", "overhead", "wall_times"]

SHORT = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=20, batch_size=16, probe_size=20)
#: Runs of some seconds.
LONGER = Experiment(ImageConfig(image_size=16, epochs=1, min_steps=1500, batch_size=64), (256, 512), (0, 1, 2, 3))
EXECUTORS: dict[str, Executor] = {"1 process": InProcess(), "2 processes": Processes(2), "Ray, local": RayCluster()}
SEEDS, BATCH = 8, 32


def overhead(runs: int) -> tuple[float, float]:
    """Seconds a run takes in a sweep with a store beyond its training, and seconds that it takes by itself."""
    configs = Experiment(SHORT, (16,), tuple(range(runs))).configs()
    torch.set_num_threads(1)  # as a sweep's runs have
    train(SHORT)  # imports, data and kernels are there from now on
    began = time.perf_counter()
    for config in configs:
        train(config)  # type: ignore[arg-type]
    alone = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        sweep(Experiment(SHORT, (16,), tuple(range(runs))), folder, checkpoint_seconds=0.0)
        swept = time.perf_counter() - began
    return (swept - alone) / runs, alone / runs


def wall_times() -> dict[str, float]:
    """Wall seconds of one sweep with each executor."""
    times: dict[str, float] = {}
    first: pd.DataFrame | None = None
    for name, executor in EXECUTORS.items():
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            table = sweep(LONGER, folder, executor).drop(columns="seconds")
            times[name] = time.perf_counter() - began
        first = table if first is None else first
        pd.testing.assert_frame_equal(table, first, check_exact=True)
    return times


class Stacked:
    """SGD with momentum of several nets of one architecture at once, their parameters stacked along a first axis."""

    def __init__(self, nets: list[nn.Module], rate: float = 0.01, momentum: float = 0.9) -> None:
        self.parameters, self.buffers = stack_module_state(nets)
        self.rate, self.momentum = rate, momentum
        self.velocity = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        shape = nets[0].train()

        def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return functional.cross_entropy(functional_call(shape, (parameters, buffers), (x,)), y)

        self._gradient = vmap(grad(loss))

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Images of shape (nets, batch, channels, n, n), labels (nets, batch): every net its own."""
        gradients = self._gradient(self.parameters, self.buffers, images, labels)
        with torch.no_grad():
            for name, value in self.parameters.items():
                self.velocity[name].mul_(self.momentum).add_(gradients[name])
                value.sub_(self.velocity[name], alpha=self.rate)


def one_by_one(nets: list[nn.Module], images: Tensor, labels: Tensor, rate: float = 0.01) -> Callable[[], None]:
    """A step of each net, in turn."""
    optimizers = [torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9) for net in nets]

    def step() -> None:
        for net, optimizer, x, y in zip(nets, optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()

    return step


def _timed(step: Callable[[], object], threads: int, repeats: int) -> float:
    """The least of so many times."""
    torch.set_num_threads(threads)
    step()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return min(times)


def _stacked_and_apart(name: str, channels: int, size: int, repeats: int = 15) -> tuple[float, float]:
    """Seconds of a step of all nets: stacked on all cores, and apart in as many processes."""
    cores = os.cpu_count() or 1
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(SEEDS, BATCH, channels, size, size, generator=draw)
    labels = torch.randint(0, 10, (SEEDS, BATCH), generator=draw)
    nets = [build(name, channels, size, 10, seed) for seed in range(SEEDS)]
    stacked = Stacked(nets)
    together = _timed(lambda: stacked.step(images, labels), cores, repeats)
    return together, _timed(one_by_one(nets, images, labels), 1, repeats) / cores


def main() -> None:
    terminal = Terminal()
    extra, alone = overhead(20)
    terminal.line(f"store, checkpoints, executor: {1e3 * extra:.0f} ms a run beyond the {1e3 * alone:.0f} ms it takes,")
    terminal.line(f"{extra / 10:.2%} of a run of 10 s")
    times = wall_times()
    runs = len(LONGER.configs())
    terminal.table(
        f"the same sweep, {runs} runs, table for table the same to the bit",
        ["executor", "wall s", "against one process"],
        [[name, f"{value:.1f}", f"{times['1 process'] / value:.2f}"] for name, value in times.items()],
    )
    rows = []
    for name, channels, size in (("fc2", 1, 28), ("fc6", 1, 28), ("lenet", 1, 28), ("resnet-small", 3, 32)):
        together, apart = _stacked_and_apart(name, channels, size)
        rows.append([name, f"{1e3 * together:.1f}", f"{1e3 * apart:.1f}", f"{apart / together:.2f}"])
    columns = ["net", "stacked ms", "processes ms", "stacked is faster by"]
    terminal.table(f"a step of {SEEDS} nets, batches of {BATCH}", columns, rows)


if __name__ == "__main__":
    main()
