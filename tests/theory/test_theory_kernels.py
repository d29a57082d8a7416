"""Kernels: the compiled one against the reference, the reference against torch's autograd."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from theory.errors import InputError
from theory.kernels import BACKENDS, get_kernel
from theory.losses import LOSSES, loss_value, pull
from theory.network import Network

SHAPES = [(1, 1, 2), (33, 129, 3), (100, 37, 5), (1000, 300, 30)]


def problem(points: int, width: int, dim: int, dtype: str) -> tuple[np.ndarray, np.ndarray, Network, np.ndarray]:
    """Points, labels, a net and a baseline; margins lie on both sides of 1."""
    rng = np.random.default_rng(points + width)
    x = rng.standard_normal((points, dim)).astype(dtype)
    y = np.where(x[:, 0] > 0, 1, -1).astype(dtype)
    return x, y, Network.initial(width, dim, rng, dtype), (0.1 * rng.standard_normal(points)).astype(dtype)


def largest_difference(a: tuple[np.ndarray, Network], b: tuple[np.ndarray, Network]) -> float:
    """Of F and every part of the velocity, relative to the part's largest entry."""
    pairs = [(a[0], b[0])] + [(getattr(a[1], n), getattr(b[1], n)) for n in ("weight", "bias", "output")]
    return max(float(np.abs(p - q).max() / max(np.abs(q).max(), 1e-30)) for p, q in pairs)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_numba_is_the_reference_to_rounding(shape: tuple[int, int, int], dtype: str, loss: str) -> None:
    """Sums of N terms of either sign round off by about sqrt(N) eps of their largest; allowed: 4 times that."""
    x, y, network, baseline = problem(*shape, dtype)
    arguments = (x, y, network, baseline, 3.0, loss)
    allowed = 4 * np.sqrt(max(shape)) * np.finfo(dtype).eps
    found = get_kernel("numba")(*arguments)
    expected = get_kernel("numpy")(*arguments)
    assert found[0].dtype == found[1].weight.dtype == x.dtype
    assert largest_difference(found, expected) < allowed
    if shape[0] == 1:
        return  # a single silent neuron moves under no loss
    # Negative control: another loss is told apart.
    other = LOSSES[(LOSSES.index(loss) + 1) % 3]
    assert largest_difference(get_kernel("numba")(*arguments[:-1], other), expected) > allowed


def test_numba_does_not_depend_on_the_number_of_threads() -> None:
    x, y, network, baseline = problem(1500, 300, 30, "float32")
    kernel = get_kernel("numba")
    before = numba.get_num_threads()
    try:
        results = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            results.append(kernel(x, y, network, baseline, 1.0, "softhinge"))
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(results[0][0], results[-1][0])
    assert np.array_equal(results[0][1].weight, results[-1][1].weight)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_velocity_is_minus_h_times_autograds_gradient(backend: str, loss: str) -> None:
    """(1/alpha) mean l(yF) differentiated by torch in double precision; allowed: 1e-12 of the largest entry."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, y, network, _ = problem(200, 50, 7, "float64")
    start = Network.initial(50, 7, np.random.default_rng(5))
    alpha = 2.5

    def net(weight, bias, output):  # type: ignore[no-untyped-def]
        hidden = torch.relu(torch.as_tensor(x) @ weight.T / 7**0.5 + bias)
        return (hidden * output).sum(1) / 50

    parts = [torch.tensor(p, requires_grad=True) for p in (network.weight, network.bias, network.output)]
    frozen = net(*(torch.as_tensor(p) for p in (start.weight, start.bias, start.output)))
    z = torch.as_tensor(y) * alpha * (net(*parts) - frozen)
    gap = 1 - z
    losses = {
        "hinge": torch.clamp(gap, min=0),
        "softhinge": torch.log1p(torch.exp(20 * gap)) / 20,
        "squaredhinge": torch.clamp(gap, min=0) ** 2 / 2,
    }
    (losses[loss].mean() / alpha).backward()
    predictor, velocity = get_kernel(backend)(x, y, network, frozen.numpy(), alpha, loss)
    np.testing.assert_allclose(y * predictor, z.detach().numpy(), atol=1e-12)
    for name, part in zip(("weight", "bias", "output"), parts, strict=True):
        expected = -50 * part.grad.numpy()
        np.testing.assert_allclose(getattr(velocity, name), expected, atol=1e-12 * np.abs(expected).max())
        assert np.abs(expected).max() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_pull_is_minus_the_slope_of_the_loss(loss: str) -> None:
    """Central differences of step 1e-6, away from kinks: error below 1e-6."""
    z = np.linspace(-3, 3.01, 100)  # 1 is not among them
    slope = (loss_value(loss, z + 1e-6) - loss_value(loss, z - 1e-6)) / 2e-6
    np.testing.assert_allclose(pull(loss, z), -slope, atol=1e-6)


def test_softhinge_does_not_overflow() -> None:
    z = np.array([-1e4, 1e4], dtype=np.float32)
    assert pull("softhinge", z).tolist() == [1.0, 0.0]
    np.testing.assert_allclose(loss_value("softhinge", z), [1e4 + 1, 0], rtol=1e-6)


def test_unknown_backend() -> None:
    with pytest.raises(InputError, match=r"backend = fortran: must be one of auto, numpy, numba"):
        get_kernel("fortran")
