"""What the benchmarks compare computes the same; their tables come from `make bench`, which times and is no test."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import allowed_rounding, largest_difference, problem

from theory.kernels import get_kernel

pytest.importorskip("torch", reason="torch is not installed")

from torch_flow import AutogradField, TorchField


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["plain", "plain hinge", "chunked", "autograd"])
def test_plain_torch_is_the_reference(kind: str, dtype: str) -> None:
    x, y, network, baseline = problem(300, 100, 20, dtype)
    arguments = (x, y, baseline, 3.0, "hinge" if "hinge" in kind else "softhinge")
    field = {"plain": TorchField, "autograd": AutogradField}.get(kind, TorchField)(*arguments)
    if kind == "chunked":
        field = TorchField(*arguments, chunk=64)
    expected = get_kernel("numpy")(*arguments)(network)
    assert largest_difference(field(network), expected) < allowed_rounding((300, 100, 20), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgemm", "plain torch", "torch autograd", "torch, chunks of 256", "numpy", "numba"])
def test_every_contestant_is_timed(name: str) -> None:
    import flow_benchmark

    assert name in ("sgemm", *flow_benchmark.FIELDS)
    times = flow_benchmark.contestant(name, 1, 2)
    assert len(times) == 2
    assert all(time > 0 for time in times)


@pytest.mark.slow
def test_plain_measuring_and_ours_agree() -> None:
    """R_f of one net from two draws of probes: ln R_f apart by no more than 3.3 of the draws' standard errors.

    One false alarm in a thousand. Control: another net is apart by more.
    """
    import torch
    from nets_benchmark import ours_range, plain_range

    from empirical import build

    noise = torch.rand(300, 3, 36, 36, generator=torch.Generator().manual_seed(1))
    images = torch.nn.functional.avg_pool2d(noise, 5, stride=1)
    (ours,) = ours_range(build("lenet", 3, 32, 10, 0), images, (0.5,))
    for name, agree in (("lenet", True), ("fc6", False)):
        (plain,) = plain_range(build(name, 3, 32, 10, 0), images, (0.5,))
        error = np.log(ours.relative.high / ours.relative.low) / (2 * 1.96) * np.sqrt(2)
        assert (abs(np.log(plain / ours.relative.value)) < 3.3 * error) == agree


@pytest.mark.slow
def test_both_epochs_learn_the_same() -> None:
    """Images of two colours, one for each class: half the loss of a guess after a few epochs either way."""
    import torch
    from nets_benchmark import OneByOne, ours_epoch, plain_epoch

    from empirical import build

    labels = torch.arange(256) % 2
    images = (labels * 200).to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32).contiguous()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain, ours = (build("resnet-small", 3, 32, 2, 0) for _ in range(2))
        first = [plain_epoch(plain, OneByOne(images, labels), 0), ours_epoch(ours, images, labels)]
        for _ in range(6):
            last = [plain_epoch(plain, OneByOne(images, labels), 0), ours_epoch(ours, images, labels)]
    assert max(last) < 0.5 * np.log(2) < min(first)
