"""Probes of any transformation; the solved CNN of constant filters, whose D_k, G_k, R_k are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical.nets.hierarchy_nets import ConstantFilterCNN  # noqa: E402
from empirical.stability.layers import measure_layers  # noqa: E402
from empirical.stability.probes import Probes, transform_probes  # noqa: E402
from theory.common.errors import InputError  # noqa: E402

SIZE = 128


def shifted(inputs: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    return inputs.roll(1, 1)


def scaled(inputs: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    return inputs * torch.as_tensor(rng.random((len(inputs), 1, 1)), dtype=inputs.dtype)


def one_pixel() -> torch.Tensor:
    """All inputs of one lit pixel."""
    return torch.eye(SIZE)[:, :, None]


def stabilities(filter_size: int, stride: int, layers: int, noise: str = "rectified") -> dict[str, np.ndarray]:
    """D, G and R of each layer of the constant-filter CNN, for one lit pixel moved by one."""
    probes = transform_probes(one_pixel(), shifted, noise=noise, rng=0)
    net = ConstantFilterCNN(positions=SIZE, layers=layers, filter_size=filter_size, stride=stride)
    found = [layer.stability for layer in measure_layers(net, probes, resamples=0)]
    return {
        "D": np.array([one.diffeo.value for one in found]),
        "G": np.array([one.noise.value for one in found]),
        "R": np.array([one.relative.value for one in found]),
    }


def test_probes_of_a_transformation_hold_what_it_makes_and_noise_of_its_norm():
    inputs = torch.randn(40, 12, 3, generator=torch.Generator().manual_seed(0))
    for noise in ("each", "alike"):
        probes = transform_probes(inputs, scaled, rng=5, noise=noise)
        again = transform_probes(inputs, scaled, rng=5, noise=noise)
        moved, added = (other - inputs for other in (probes.deformed, probes.noisy))
        norms, noises = (difference.flatten(1).norm(dim=1) for difference in (moved, added))
        assert torch.equal(probes.clean, inputs)
        assert torch.equal(probes.noisy, again.noisy)
        expected = norms if noise == "each" else norms.square().mean().sqrt().expand(40)
        assert torch.allclose(noises, expected, rtol=1e-4)
    assert probes.cutoff is None
    assert math.isnan(probes.displacement)


def test_rectified_noise_has_half_the_square_and_a_mean():
    inputs = torch.zeros(400, 128, 1)
    probes = transform_probes(inputs, lambda x, rng: x + 3, rng=0, noise="rectified")
    noise = probes.noisy.double().numpy()
    assert noise.min() == 0
    # 51200 numbers with sigma = 3: five standard errors are 0.22 of 4.5 and 0.039 of 1.2.
    assert np.mean(noise**2) == pytest.approx(4.5, abs=0.22)
    assert noise.mean() == pytest.approx(3 / math.sqrt(2 * math.pi), abs=0.039)


def test_what_moves_nothing_or_changes_the_shape_is_refused():
    with pytest.raises(InputError, match="unchanged by every transformation"):
        transform_probes(one_pixel(), lambda x, rng: x)
    with pytest.raises(InputError, match="must keep the shape"):
        transform_probes(one_pixel(), lambda x, rng: x[:, 1:])
    with pytest.raises(InputError, match="noise = loud: must be one of each, alike, rectified"):
        transform_probes(one_pixel(), shifted, noise="loud")


def test_pooling_halves_d_doubles_g_and_quarters_r_in_every_layer():
    """F = s = 2: layer k adds 2^k pixels up, so that all is known exactly.

    A step changes a pixel's block with probability 2^-k, and two different pixels are in different blocks but for
    (2^k - 1) / (d - 1) of all pairs: D_k = 2^-k / (1 - (2^k - 1) / (d - 1)). Rectified noise of sigma^2 = 2 / d adds up
    to a mean and a variance in each block: G_k = (1/2 - 1/(2 pi) + 2^k / (2 pi)) / (the same), in the mean over noise.
    """
    found = stabilities(2, 2, 6)
    blocks = 2.0 ** np.arange(1, 7)
    spread = 1 - (blocks - 1) / (SIZE - 1)
    noise = 0.5 - 1 / (2 * math.pi) + blocks / (2 * math.pi)
    np.testing.assert_allclose(found["D"], 1 / blocks / spread, rtol=1e-5)
    # 128 noises of 128 numbers; the fewest summed numbers vary most. Five standard errors are below 8 %.
    np.testing.assert_allclose(found["G"], noise / spread, rtol=0.08)
    np.testing.assert_allclose(found["R"], 1 / blocks / noise, rtol=0.08)
    # D_k = 2^-k, G_k ~ 2^k and R_k ~ 4^-k of arXiv 2210.01506, deep in the net.
    np.testing.assert_allclose(found["R"][3:-1] / found["R"][4:], 4, rtol=0.15)


def test_gaussian_noise_does_not_accumulate():
    """The control: without a mean, noise is averaged away as D is not amplified: R_k ~ 2^-k at best, not 4^-k."""
    gaussian, rectified = (stabilities(2, 2, 5, noise) for noise in ("alike", "rectified"))
    # The first relu rectifies it, so that it accumulates from there on: one layer late.
    assert np.all(gaussian["G"] < rectified["G"])
    assert gaussian["G"][4] / gaussian["G"][0] < rectified["G"][4] / rectified["G"][0]


@pytest.mark.parametrize(
    ("filter_size", "stride", "steepness"),
    # Of R from layer to layer: 8^-k, and k^(-3/2) between layers 2 and 4.
    [(4, 2, 1 / 8), (3, 1, 2.0**-1.5)],
)
def test_overlapping_filters(filter_size, stride, steepness):
    found = stabilities(filter_size, stride, 4)
    np.testing.assert_allclose(found["D"], _by_hand(filter_size, stride, 4), rtol=1e-4)
    step = found["R"][3] / found["R"][2] if stride == 2 else found["R"][3] / found["R"][1]
    assert step == pytest.approx(steepness, rel=0.25)
    assert np.all(np.diff(found["G"]) > 0)


def test_a_strided_filter_of_odd_size_never_gains_by_pooling():
    odd, even = stabilities(3, 2, 4), stabilities(2, 2, 4)
    np.testing.assert_allclose(odd["D"], _by_hand(3, 2, 4), rtol=1e-4)
    assert odd["D"][1:] == pytest.approx([0.24] * 3, abs=0.03)  # the same in layers 2, 3, 4
    assert even["D"][3] < 0.08  # where even filters have come to 1/16


def test_intervals_hold_the_closed_form():
    """With noise from two seeds and a bootstrap over pixels; D of a random half of the pixels lies in its interval."""
    half = np.random.default_rng(0).permutation(SIZE)[:64]
    whole = transform_probes(one_pixel(), shifted, noise="rectified", rng=0)
    some = Probes(*(part[half] for part in (whole.clean, whole.deformed, whole.noisy)))
    net = ConstantFilterCNN(positions=SIZE, layers=2, filter_size=2, stride=2)
    for layer, exact in zip(measure_layers(net, some, rng=1), (0.504, 0.2561), strict=True):
        assert layer.stability.diffeo.low < exact < layer.stability.diffeo.high


def _by_hand(filter_size: int, stride: int, layers: int) -> list[float]:
    """D_k from the matrices of the layers, which add s / F of F neighbours on a ring."""
    matrix, found = np.eye(SIZE), []
    size = SIZE
    for _ in range(layers):
        layer = np.zeros((size // stride, size))
        for place in range(size // stride):
            for offset in range(filter_size):
                layer[place, (place * stride + offset - (filter_size - 1) // 2) % size] += stride / filter_size
        matrix, size = layer @ matrix, size // stride
        outputs = matrix.T  # of the pixels, one a row
        moved = ((np.roll(outputs, -1, 0) - outputs) ** 2).sum(1).mean()
        pairs = ((outputs[:, None] - outputs[None]) ** 2).sum(2)
        found.append(moved / pairs[np.triu_indices(SIZE, 1)].mean())
    return found
