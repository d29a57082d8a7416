"""The CUDA kernel: its source compiles for the cards of two generations, and computes what the reference does.

Where there is no GPU, the arithmetic and the host side run on the CPU, from the same source (`cuda_host`); tests
marked `gpu` run where CuPy sees a device.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cuda_host import HostDevice, compiler
from kernel_cases import SHAPES, allowed_rounding, largest_difference, problem

from theory import FlowConfig, InputError, Stripe, curve, simulate, simulate_many
from theory.flow import simulation as flow
from theory.kernels import get_kernel
from theory.kernels.cuda_field import SOURCE, CudaBatch, compile_options, device_bytes
from theory.model.losses import LOSSES
from theory.model.network import Network

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (c++ or g++)")


def _device_missing() -> str:
    """Why the GPU's tests cannot run here; nothing if they can."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        get_kernel("cupy")
    except InputError as error:
        return str(error)
    return ""


on_gpu = [pytest.mark.gpu, pytest.mark.skipif(bool(_device_missing()), reason=_device_missing() or "a device is here")]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuda")


def _bind(build: Path, problems: list, scale: float, loss: str, *extra: str) -> CudaBatch:  # type: ignore[type-arg]
    x = problems[0][0]
    return CudaBatch(HostDevice(x.shape[1], x.dtype, loss, build, *extra), problems, scale, loss)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("dim", "dtype", "loss"), [(30, "float32", "softhinge"), (90, "float64", "hinge"),
                                                    (10, "float32", "squaredhinge")])  # fmt: skip
def test_the_source_compiles(dim: int, dtype: str, loss: str, architecture: str, tmp_path: Path) -> None:
    """To machine code, and with registers enough: no spills in d = 30 and single precision."""
    done = subprocess.run(
        ["nvcc", f"-arch={architecture}", "-Xptxas", "-v", "-cubin", *compile_options(dim, np.dtype(dtype), loss),
         str(SOURCE), "-o", str(tmp_path / "field.cubin")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "field.cubin").stat().st_size > 1000
    for kernel in ("outputs", "forces", "sums", "collect"):
        assert f"'{kernel}'" in done.stderr
    if dtype == "float32":
        assert "0 bytes spill stores" in done.stderr
        assert done.stderr.count("0 bytes spill stores, 0 bytes spill loads") == 4


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (70, 33, 60)])
def test_its_arithmetic_is_the_references(shape: tuple[int, int, int], dtype: str, loss: str, build: Path) -> None:
    x, y, network, baseline = problem(*shape, dtype)
    field = _bind(build, [(x, y, baseline)], 3.0, loss)
    points = np.random.default_rng(0).permutation(shape[0])[: shape[0] // 2 + 1]
    for chosen in (None, points):
        expected = get_kernel("numpy")(x, y, baseline, 3.0, loss)(network, chosen)
        found = field([network], [chosen], [0])[0]
        assert found[0].dtype == found[1].weight.dtype == x.dtype
        assert largest_difference(found, expected) < allowed_rounding(shape, dtype)


@needs_compiler
def test_a_missing_barrier_would_be_seen(build: Path) -> None:
    """Negative control of the host: without __syncthreads the same source gives something else."""
    x, y, network, baseline = problem(100, 37, 5, "float64")
    expected = get_kernel("numpy")(x, y, baseline, 3.0, "hinge")(network)
    found = _bind(build, [(x, y, baseline)], 3.0, "hinge", "-DUNSYNCHRONISED")([network], [None], [0])[0]
    difference = largest_difference(found, expected)
    assert np.isnan(difference) or difference > 1e-3


@needs_compiler
def test_a_batch_is_its_parts_bit_for_bit(build: Path) -> None:
    """Three problems, two of them asked in one launch with points of their own, against each alone."""
    cases = [problem(120, 40, 5, "float32") for _ in range(3)]
    rng = np.random.default_rng(1)
    problems = [(rng.standard_normal((120, 5)).astype("float32"), y, baseline) for _, y, _, baseline in cases]
    networks = [Network.initial(40, 5, rng, "float32") for _ in range(3)]
    points = np.arange(0, 120, 3)
    together = _bind(build, problems, 2.0, "softhinge")([networks[2], networks[0]], [points, None], [2, 0])
    for (slot, chosen), found in zip(((2, points), (0, None)), together, strict=True):
        alone = _bind(build, [problems[slot]], 2.0, "softhinge")([networks[slot]], [chosen], [0])[0]
        assert largest_difference(found, alone) == 0


@needs_compiler
def test_a_trajectory_on_it_is_the_references(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow through the CUDA source, two seeds in step, against NumPy one by one; double precision."""
    config = FlowConfig(width=40, dtype="float64", test_size=200, unfit_fractions=(0.9, 0.7), scale=1e-3)
    expected = [simulate(Stripe(4), 60, config, seed=seed, backend="numpy") for seed in (0, 1)]
    monkeypatch.setattr(flow, "get_batch_kernel", lambda backend: partial(_bind, build))
    found = simulate_many(Stripe(4), 60, config, seeds=(0, 1))
    for one, other in zip(found, expected, strict=True):
        assert one.steps == other.steps
        np.testing.assert_allclose(one.relative_stability, other.relative_stability, rtol=1e-7)
        np.testing.assert_allclose(one.time, other.time, rtol=1e-9)


class CountingDevice:
    """Adds up what is allocated, and computes nothing."""

    def __init__(self) -> None:
        self.bytes = 0

    def upload(self, host: np.ndarray) -> np.ndarray:
        self.bytes += host.nbytes
        return host

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        array = np.empty(shape, dtype)  # untouched pages cost nothing here
        self.bytes += array.nbytes
        return array

    def download(self, array: np.ndarray) -> np.ndarray:
        return np.zeros(array.shape, array.dtype)

    def launch(self, kernel: str, grid: tuple[int, int, int], arguments: tuple[object, ...]) -> None:
        pass


@pytest.mark.parametrize("awake", [None, 200])
@pytest.mark.parametrize(("points", "width", "problems"), [(8192, 1000, 16), (20_000, 3000, 3), (500, 10_000, 4)])
def test_memory_is_what_is_promised(points: int, width: int, problems: int, awake: int | None) -> None:
    """All allocations of one evaluation against `device_bytes`, also if one problem has few points awake."""
    rng = np.random.default_rng(0)
    arrays = (rng.standard_normal((points, 30)).astype("float32"), np.ones(points, "float32"), np.zeros(points, "f"))
    device = CountingDevice()
    batch = CudaBatch(device, [arrays] * problems, 1.0, "hinge")
    network = Network.initial(width, 30, rng, "float32")
    chosen = [None if awake is None else np.arange(awake), *[None] * (problems - 1)]
    batch([network] * problems, chosen, list(range(problems)))
    assert device.bytes <= 1.01 * device_bytes(points, width, 30, problems=problems) + 1000
    assert device.bytes > 0.3 * device_bytes(points, width, 30, problems=problems)


def test_a_million_points_and_ten_thousand_neurons_fit_a_card_of_16_gb() -> None:
    """Single precision, d = 30; an array of points by neurons alone would be 40 GB."""
    assert device_bytes(10**6, 10**4, 30) < 1e9
    assert device_bytes(10**6, 10**4, 30, problems=16) < 8e9
    assert device_bytes(8192, 1000, 30, problems=16) < 1e9


@needs_compiler
@pytest.mark.parametrize(("dim", "dtype", "tile"), [(30, "float32", 32), (300, "float64", 16), (2000, "float64", 2)])
def test_rows_in_shared_memory_are_as_many_as_fit(dim: int, dtype: str, tile: int, build: Path) -> None:
    assert f"-DTILE={tile}" in compile_options(dim, np.dtype(dtype), "hinge")
    x, y, network, baseline = problem(40, 20, dim, dtype)
    found = _bind(build, [(x, y, baseline)], 3.0, "hinge")([network], [None], [0])[0]
    expected = get_kernel("numpy")(x, y, baseline, 3.0, "hinge")(network)
    assert largest_difference(found, expected) < allowed_rounding((40, 20, dim), dtype)
    with pytest.raises(InputError, match=r"dim = 20000: must be at most 5116 on a GPU"):
        compile_options(20_000, np.dtype("float64"), "hinge")


@needs_compiler
def test_every_array_is_read_in_the_points_precision(build: Path) -> None:
    """Labels, baseline and net in double precision beside points in single: rounded, not misread."""
    x, y, network, baseline = problem(100, 37, 5, "float32")
    wide = Network(*(part.astype(np.float64) for part in (network.weight, network.bias, network.output)))
    field = _bind(build, [(x, y.astype(np.float64), baseline.astype(np.float64))], 3.0, "softhinge")
    expected = get_kernel("numpy")(x, y, baseline, 3.0, "softhinge")(network)
    assert largest_difference(field([wide], [None], [0])[0], expected) < allowed_rounding((100, 37, 5), "float32")


@pytest.mark.skipif(not _device_missing(), reason="CuPy sees a device here")
def test_without_a_device_it_says_so() -> None:
    with pytest.raises(InputError, match=r"^backend = cupy: needs (CuPy|a CUDA device)"):
        simulate(Stripe(4), 10, seed=0, backend="cupy")
    with pytest.raises(InputError, match=r"^backend = cupy: needs"):
        curve(Stripe(4), [10], [0], backend="cupy")


class _Runtime:
    """As cupy.cuda.runtime, on a machine without a driver."""

    class CUDARuntimeError(RuntimeError):
        pass

    def __init__(self, count: int | None) -> None:
        self._count = count

    def getDeviceCount(self) -> int:
        if self._count is None:
            raise self.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device\nis detected")
        return self._count


@pytest.mark.parametrize("count", [None, 0])
def test_cupy_without_a_device_is_told_from_no_cupy(count: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    fake = SimpleNamespace(cuda=SimpleNamespace(runtime=_Runtime(count)))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(InputError, match=r"backend = cupy: needs a CUDA device, and CuPy finds none") as error:
        get_kernel("cupy")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestOnTheDevice:
    """Where there is one."""

    pytestmark = on_gpu

    @pytest.mark.parametrize("loss", LOSSES)
    def test_it_is_the_reference_to_rounding(self, shape: tuple[int, int, int], dtype: str, loss: str) -> None:
        x, y, network, baseline = problem(*shape, dtype)
        found = get_kernel("cupy")(x, y, baseline, 3.0, loss)(network)
        expected = get_kernel("numpy")(x, y, baseline, 3.0, loss)(network)
        assert largest_difference(found, expected) < allowed_rounding(shape, dtype)

    def test_it_gives_the_same_bits_twice(self, shape: tuple[int, int, int], dtype: str) -> None:
        x, y, network, baseline = problem(*shape, dtype)
        field = get_kernel("cupy")(x, y, baseline, 3.0, "softhinge")
        assert largest_difference(field(network), field(network)) == 0


@pytest.mark.parametrize("backend", [pytest.param("cupy", marks=on_gpu)])
def test_a_curve_on_the_device_batches_seeds(backend: str) -> None:
    config = FlowConfig(width=60, test_size=500, unfit_fractions=(0.9, 0.5))
    found = curve(Stripe(5), [64], range(4), config, backend=backend)
    expected = curve(Stripe(5), [64], range(4), config, backend="numba")
    np.testing.assert_allclose(found["relative_stability"], expected["relative_stability"], rtol=0.05)
