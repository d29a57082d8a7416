"""What the benchmarks compare computes the same; their tables come from `make bench`, which times and is no test."""

from __future__ import annotations

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
