"""What the benchmarks compare computes the same; their tables come from `make bench`, which times and is no test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_cases import allowed_rounding, largest_difference, problem

from theory.kernels import get_kernel

pytest.importorskip("torch", reason="torch is not installed")

from torch_flow import AutogradField, TorchField  # noqa: E402


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["plain", "chunked", "autograd"])
def test_plain_torch_is_the_reference(kind: str, dtype: str) -> None:
    x, y, network, baseline = problem(300, 100, 20, dtype)
    arguments = (x, y, baseline, 3.0, "softhinge")
    field = {"plain": TorchField, "autograd": AutogradField}.get(kind, TorchField)(*arguments)
    if kind == "chunked":
        field = TorchField(*arguments, chunk=64)
    expected = get_kernel("numpy")(*arguments)(network)
    assert largest_difference(field(network), expected) < allowed_rounding((300, 100, 20), dtype)


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    """One repetition, no trajectories: every contestant has a time, and time grows with each size."""
    script = Path(__file__).parent / "flow_benchmark.py"
    root = Path(__file__).parents[2]
    output = tmp_path / "bench.json"
    subprocess.run(
        [sys.executable, str(script), "--threads", "1", "--repetitions", "1", "--seeds", "0", "--output", str(output)],
        check=True, env={"PYTHONPATH": f"{root}:{script.parent}", "PATH": ""},
    )  # fmt: skip
    found = json.loads(output.read_text())
    assert set(found["gradient"]["seconds"]) == {
        "plain torch", "torch autograd", "torch, chunks of 256", "numpy", "numba"}  # fmt: skip
    assert all(found["growth"][name]["exponent"] > 0.3 for name in ("P", "h", "d"))
