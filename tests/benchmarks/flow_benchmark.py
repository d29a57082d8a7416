"""How fast the flow is: `make bench` runs this and prints the tables. Nothing else should run at the same time.

The floor. One evaluation of the field needs the pre-activations of P points and h neurons, 2 P h d flops, and their
transposed product with the points, 2 P h d more; nothing can be saved of these 4 P h d as long as all points pull.
Whatever else is done is of order P h: at d = 30, 8 flops and a comparison to 120 flops of products. What is read and
written is P d + h d numbers if nothing of size P h goes to memory: at P = 8192, h = 1000, d = 30 that is 1.1 MB for
1 Gflop, 900 flops a byte, against some ten that memory can feed. So the kernel is bound by arithmetic, and the
yardstick is the same arithmetic where it is known to be well done: torch's own product of two 1024 x 1024 matrices
in single precision, on the same threads, in the same run. An array of P x h that is stored costs 33 MB each time it
is written or read, half a flop a byte: plain torch makes six of them, and is bound by memory and page faults.

Every contestant has a process of its own: threads of one library wait busily after a call and take the cores from
the next, and what memory costs depends on what was freed before. The processes take turns, twice, and the shortest
time counts; medians stand beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_flow import AutogradField, TorchField

from theory import FlowConfig, Stripe
from theory.common.terminal import Terminal
from theory.flow import simulation as flow
from theory.kernels import get_kernel
from theory.kernels.threads import set_threads
from theory.model.network import Network

SHAPE = (8192, 1000, 30)


def timed(function: Callable[[], object], repetitions: int) -> list[float]:
    """Times of this many calls in seconds, after two that are not counted."""
    times = []
    for _ in range(repetitions + 2):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return times[2:]


def problem(points: int, width: int, dim: int) -> tuple[tuple[Any, ...], Network]:
    """The arguments of a kernel at the start of a flow, where all points pull, and the net."""
    rng = np.random.default_rng(0)
    x, y = Stripe(dim).sample(points, rng)
    arguments = (x.astype("float32"), y.astype("float32"), np.zeros(points, "float32"), 1e-3, "softhinge")
    return arguments, Network.initial(width, dim, rng, "float32")


FIELDS: dict[str, Callable[..., Any]] = {
    "plain torch": TorchField,
    "torch autograd": AutogradField,
    "torch, chunks of 256": partial(TorchField, chunk=256),
    "numpy": get_kernel("numpy"),
    "numba": get_kernel("numba"),
}


def contestant(name: str, threads: int, repetitions: int) -> list[float]:
    """In a process of its own: times of one evaluation, or of torch's product of matrices."""
    torch.set_num_threads(threads)
    set_threads(threads)
    if name == "sgemm":
        square = torch.randn(1024, 1024)
        return timed(lambda: square @ square, repetitions)
    arguments, network = problem(*SHAPE)
    field = FIELDS[name](*arguments)
    found, expected = field(network)[1].weight, FIELDS["numpy"](*arguments)(network)[1].weight
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    assert worst < 1e-4, f"{name} computes something else: {worst}"
    return timed(partial(field, network), repetitions)


def gradient(terminal: Terminal, threads: int, repetitions: int) -> dict[str, Any]:
    """One evaluation of the field at P = 8192, h = 1000, d = 30, single precision."""
    points, width, dim = SHAPE
    times: dict[str, list[float]] = {name: [] for name in ("sgemm", *FIELDS)}
    for _ in range(2):
        for name, values in times.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                values += alone.submit(contestant, name, threads, repetitions).result()
    speed = 2 * 1024**3 / min(times.pop("sgemm"))
    floor = 4 * points * width * dim / speed
    plain = min(times["plain torch"])
    terminal.table(
        f"one evaluation, P = {points}, h = {width}, d = {dim}, float32, {threads} threads; "
        f"floor: 4 P h d flops at sgemm's {speed / 1e9:.0f} Gflop/s",
        ["", "ms", "median", "plain torch /", "/ floor"],
        [
            [name, f"{1e3 * min(t):.1f}", f"{1e3 * np.median(t):.1f}", f"{plain / min(t):.1f}", f"{min(t) / floor:.2f}"]
            for name, t in (*times.items(), ("floor", [floor]))
        ],
    )
    return {"seconds": times, "floor": floor, "sgemm_gflops": speed / 1e9}


def growth(terminal: Terminal, repetitions: int) -> dict[str, Any]:
    """Exponents of numba's time in P, h and d, by least squares in logarithms."""
    axes = {
        "P": [(points, 1000, 30) for points in (2048, 4096, 8192, 16384, 32768)],
        "h": [(8192, width, 30) for width in (250, 500, 1000, 2000, 4000)],
        "d": [(8192, 1000, dim) for dim in (11, 23, 47, 95, 191)],
    }
    found: dict[str, Any] = {}
    rows = []
    for index, (name, shapes) in enumerate(axes.items()):
        times = []
        for shape in shapes:
            arguments, network = problem(*shape)
            field = get_kernel("numba")(*arguments)
            times.append(min(timed(partial(field, network), repetitions)))
        sizes = [shape[index] for shape in shapes]
        exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
        found[name] = {"sizes": sizes, "seconds": times, "exponent": exponent}
        cells = "  ".join(f"{size}: {1e3 * t:.1f}" for size, t in zip(sizes, times, strict=True))
        rows.append([name, f"{exponent:.2f}", cells])
    terminal.table("numba: time ~ size^exponent, the others at 8192, 1000, 30", ["", "exponent", "ms"], rows)
    return found


def whole(
    kernel: Callable[..., Any], integrator: str, skip: bool, loss: str, seed: int, threads: int
) -> tuple[float, int, np.ndarray]:
    """In a process of its own: seconds, evaluations and R_f of one trajectory."""
    torch.set_num_threads(threads)
    set_threads(threads)
    flow.get_kernel = lambda backend: kernel
    config = FlowConfig(integrator=integrator, skip=skip, loss=loss)
    flow.simulate(Stripe(), 64, replace(config, width=20, unfit_fractions=(0.5,)), seed=0)  # compiles
    path = flow.simulate(Stripe(), 2048, config, seed=seed)
    return path.seconds, path.evaluations, path.relative_stability


def trajectories(terminal: Terminal, threads: int, seeds: int) -> dict[str, Any]:
    """Whole trajectories to q = 0.1 at P = 2048, h = 1000, d = 30, alpha = 1e-6, single precision.

    softhinge with both integrators, and the hinge with Euler's steps, whose points beyond the margin pull no more, so
    that skipping them saves most there, and with its own, sliding, which are compared with plain torch's Euler steps.
    """
    numba_kernel = FIELDS["numba"]

    cases: dict[str, tuple[Callable[..., Any], str, bool, str]] = {
        "plain torch, euler": (TorchField, "euler", False, "softhinge"),
        "torch autograd, euler": (AutogradField, "euler", False, "softhinge"),
        "numba, euler": (numba_kernel, "euler", False, "softhinge"),
        "numba, euler, skipping": (numba_kernel, "euler", True, "softhinge"),
        "plain torch, exponential": (TorchField, "exponential", False, "softhinge"),
        "numba, exponential": (numba_kernel, "exponential", False, "softhinge"),
        "numba, exponential, skipping": (numba_kernel, "exponential", True, "softhinge"),
        "plain torch, hinge, euler": (TorchField, "euler", False, "hinge"),
        "numba, hinge, euler": (numba_kernel, "euler", False, "hinge"),
        "numba, hinge, euler, skipping": (numba_kernel, "euler", True, "hinge"),
        "numba, hinge, sliding, skipping": (numba_kernel, "sliding", True, "hinge"),
    }
    results = {}
    for name, case in cases.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            results[name] = [alone.submit(whole, *case, seed, threads).result() for seed in range(seeds)]
    seconds = {name: float(np.mean([result[0] for result in runs])) for name, runs in results.items()}
    rows = []
    for name, runs in results.items():
        kind = "hinge, euler" if "hinge" in name else "exponential" if "exponential" in name else "euler"
        evaluations = np.mean([result[1] for result in runs])
        stability = np.exp(np.mean([np.log(result[2]) for result in runs], axis=0)) * 2048
        rows.append([
            name, f"{seconds[name]:.1f}", f"{seconds[f'plain torch, {kind}'] / seconds[name]:.1f}",
            f"{evaluations:.0f}",
            f"{stability[0]:.1f}", f"{stability[3]:.2f}", f"{stability[4]:.2f}",
        ])  # fmt: skip
    terminal.table(
        f"a trajectory to q = 0.1, P = 2048, h = 1000, mean of {seeds} seeds",
        ["", "s", "plain torch, its integrator /", "evaluations", "P R q=.9", "q=.3", "q=.1"], rows,
    )  # fmt: skip
    return {
        name: {"seconds": seconds[name], "evaluations": [result[1] for result in runs],
               "relative_stability": [result[2].tolist() for result in runs]}
        for name, runs in results.items()
    }  # fmt: skip


def spin() -> None:
    """A busy process."""
    while True:
        pass


def timed_flow(threads: int) -> tuple[float, float]:
    """In a process of its own: seconds of the clock and of the processors for one trajectory to q = 0.3, P = 2048."""
    set_threads(threads)
    config = FlowConfig(unfit_fractions=(0.3,))
    flow.simulate(Stripe(), 64, replace(config, width=20), seed=0)  # compiles
    began, used = time.perf_counter(), time.process_time()
    flow.simulate(Stripe(), 2048, config, seed=0)
    return time.perf_counter() - began, time.process_time() - used


def neighbours(terminal: Terminal, threads: int, repetitions: int) -> dict[str, Any]:
    """The same trajectory alone, and beside as many busy processes as it has threads: in turns, the least of each.

    On as many cores a fair share of them is twice the time; beyond that are threads that wait for one another.
    """
    context = get_context("spawn")
    times: dict[str, list[tuple[float, float]]] = {"alone": [], f"beside {threads} busy processes": []}
    for _ in range(repetitions):
        for name, measured in times.items():
            busy = [context.Process(target=spin, daemon=True) for _ in range(0 if name == "alone" else threads)]
            for process in busy:
                process.start()
            try:
                with ProcessPoolExecutor(1, context) as own:
                    measured.append(own.submit(timed_flow, threads).result())
            finally:
                for process in busy:
                    process.terminate()
                    process.join()
    alone = min(times["alone"])
    terminal.table(
        f"a trajectory to q = 0.3, P = 2048, h = 1000, {threads} threads, least of {repetitions}",
        ["", "s", "/ alone", "processor s"],
        [
            [name, f"{min(t)[0]:.1f}", f"{min(t)[0] / alone[0]:.2f}", f"{min(t)[1]:.1f}"] for name, t in times.items()
        ],
    )  # fmt: skip
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of the finite-P flow; see the docstring.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2, help="trajectories of each kind; 0 leaves them out")
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    set_threads(options.threads)
    terminal = Terminal()
    terminal.line(f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}, "
                  f"numpy {np.__version__}, numba {version('numba')}")  # fmt: skip
    found: dict[str, Any] = {"gradient": gradient(terminal, options.threads, options.repetitions)}
    terminal.line()
    found["growth"] = growth(terminal, options.repetitions)
    terminal.line()
    found["neighbours"] = neighbours(terminal, options.threads, 3)
    if options.seeds:
        terminal.line()
        found["trajectories"] = trajectories(terminal, options.threads, options.seeds)
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
