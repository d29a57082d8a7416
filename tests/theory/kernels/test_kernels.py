"""Kernels: the compiled one against the reference, the reference against torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import SHAPES, allowed_rounding, largest_difference, problem

from theory.common.errors import InputError
from theory.kernels import get_kernel
from theory.kernels.threads import get_threads, set_threads
from theory.model.losses import LOSSES, loss_value, pull
from theory.model.network import Network


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_numba_is_the_reference_to_rounding(shape: tuple[int, int, int], dtype: str, loss: str) -> None:
    x, y, network, baseline = problem(*shape, dtype)
    arguments = (x, y, baseline, 3.0)
    allowed = allowed_rounding(shape, dtype)
    found = get_kernel("numba")(*arguments, loss)(network)
    expected = get_kernel("numpy")(*arguments, loss)(network)
    assert found[0].dtype == found[1].weight.dtype == x.dtype
    assert largest_difference(found, expected) < allowed
    if shape[0] == 1:
        return  # a single silent neuron moves under no loss
    # Negative control: another loss is told apart.
    other = LOSSES[(LOSSES.index(loss) + 1) % 3]
    assert largest_difference(get_kernel("numba")(*arguments, other)(network), expected) > allowed


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_fields_of_two_parts_of_the_points_add_up(backend: str, loss: str) -> None:
    """In any order of the points, to rounding in double precision; and F comes in the order asked for."""
    x, y, network, baseline = problem(700, 140, 9, "float64")
    field = get_kernel(backend)(x, y, baseline, 3.0, loss)
    predictor, velocity = field(network)
    order = np.random.default_rng(0).permutation(700)
    parts = [field(network, order[:450]), field(network, order[450:])]
    np.testing.assert_allclose(np.concatenate([part[0] for part in parts]), predictor[order], atol=1e-13)
    for name in ("weight", "bias", "output"):
        total = sum(getattr(part[1], name) for part in parts)
        np.testing.assert_allclose(total, getattr(velocity, name), atol=1e-13)
        assert np.abs(getattr(parts[0][1], name) - getattr(velocity, name)).max() > 1e-6


def test_numba_does_not_depend_on_the_number_of_threads() -> None:
    x, y, network, baseline = problem(1500, 300, 30, "float32")
    field = get_kernel("numba")(x, y, baseline, 1.0, "softhinge")
    before = get_threads()
    try:
        results = []
        for count in (1, 2, 5):
            set_threads(count)
            results.append(field(network))
    finally:
        set_threads(before)
    for result in results[1:]:
        assert largest_difference(result, results[0]) == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
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
    predictor, velocity = get_kernel(backend)(x, y, frozen.numpy(), alpha, loss)(network)
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
    with pytest.raises(InputError, match=r"backend = fortran: must be one of auto, numpy, numba, cupy"):
        get_kernel("fortran")
