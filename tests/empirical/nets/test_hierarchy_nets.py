"""Nets of hierarchies: each layer is the formula of its docstring, at the start and wherever weights are shared."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch.nn import functional  # noqa: E402

from empirical.nets.hierarchy_nets import ConstantFilterCNN, HierarchyNet, ScaleCNN  # noqa: E402
from theory.common.errors import InputError  # noqa: E402


def _net(architecture: str, layers: int = 2, width: int = 7, seed: int = 0) -> HierarchyNet:
    return HierarchyNet(
        architecture, positions=4**layers, channels=3, patch=4, layers=layers, width=width, outputs=5,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def _inputs(count: int = 6, positions: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn((count, positions, channels), generator=torch.Generator().manual_seed(1))


def test_the_convolutional_net_is_torchs_convolutions():
    net, x = _net("cnn"), _inputs()
    hidden = x.transpose(1, 2)
    for name, channels in (("layer1", 3), ("layer2", 7)):
        layer = net.get_submodule(name)
        filters = layer.weight.view(4, channels, 7).permute(2, 1, 0)
        products = functional.conv1d(hidden, filters, stride=4) / math.sqrt(channels)
        hidden = torch.relu(products + 0.1 * layer.bias.T)
    expected = hidden.mean(2) @ net.readout.weight / 7
    assert torch.allclose(net(x), expected, atol=1e-6)


def test_the_locally_connected_net_is_the_convolutional_one_where_weights_are_alike():
    shared, local = _net("cnn"), _net("lcn")
    assert local.layer1.weight.shape == (4, 12, 7)  # one a patch
    x = _inputs()
    assert not torch.allclose(shared(x), local(x), atol=1e-3)
    with torch.no_grad():
        for name in ("layer1", "layer2"):
            local.get_submodule(name).weight.copy_(shared.get_submodule(name).weight)
            local.get_submodule(name).bias.copy_(shared.get_submodule(name).bias)
        local.readout.weight.copy_(shared.readout.weight)
    assert torch.allclose(shared(x), local(x), atol=1e-6)


def test_the_fully_connected_net():
    net, x = _net("fcn"), _inputs()
    hidden = x.flatten(1)
    for name in ("layer1", "layer2"):
        layer = net.get_submodule(name)
        hidden = torch.relu(hidden @ layer.weight / math.sqrt(hidden.shape[1]) + 0.1 * layer.bias)
    assert torch.allclose(net(x), hidden @ net.readout.weight / 7, atol=1e-6)


@pytest.mark.parametrize("architecture", ["cnn", "lcn", "fcn"])
def test_outputs_are_of_order_one_over_the_root_of_the_width_at_the_start(architecture):
    # Readout beta . z / h with z of order one: the rms falls as h^(-1/2), within a factor 2 at sixteen times the width.
    narrow, wide = (_net(architecture, width=width)(_inputs(200)).square().mean().sqrt().item() for width in (64, 1024))
    assert 2 < narrow / wide < 8


@pytest.mark.parametrize("architecture", ["cnn", "lcn", "fcn"])
def test_one_seed_one_net(architecture):
    x = _inputs()
    assert torch.equal(_net(architecture)(x), _net(architecture)(x))
    assert not torch.equal(_net(architecture)(x), _net(architecture, seed=1)(x))
    assert [name for name, _ in _net(architecture).named_children()] == ["layer1", "layer2", "readout"]


@pytest.mark.parametrize(("filter_size", "stride"), [(2, 2), (3, 1), (4, 2)])
def test_the_scale_net_is_torchs_circular_convolutions(filter_size, stride):
    net = ScaleCNN(
        positions=32, layers=3, width=6, filter_size=filter_size, stride=stride,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    x = _inputs(5, 32, 1)
    hidden = x.transpose(1, 2)
    left = (filter_size - 1) // 2
    for name, channels in (("layer1", 1), ("layer2", 6), ("layer3", 6)):
        layer = net.get_submodule(name)
        padded = functional.pad(hidden, (left, filter_size - 1 - left), mode="circular")
        filters = layer.weight.view(channels, filter_size, 6).permute(2, 0, 1)
        if stride == filter_size:  # patches are reshaped: position first
            filters = layer.weight.view(filter_size, channels, 6).permute(2, 1, 0)
        products = functional.conv1d(padded, filters, stride=stride) / math.sqrt(channels * filter_size)
        hidden = math.sqrt(filter_size) * torch.relu(products + layer.bias[:, None])
    expected = hidden.mean(2) @ net.readout.weight / 6 + net.readout.bias
    assert torch.allclose(net(x), expected, atol=1e-5)
    # On a ring a shift by the total stride changes nothing.
    assert torch.allclose(net(x), net(x.roll(stride**3, 1)), atol=1e-5)


def test_constant_filters_sum():
    net = ConstantFilterCNN(positions=8, layers=2, filter_size=2, stride=2)
    assert net(torch.arange(8.0).view(1, 8, 1)).flatten().tolist() == [6.0, 22.0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _net("mlp"), "architecture = mlp: must be one of cnn, lcn, fcn"),
        (
            lambda: HierarchyNet(
                "cnn", positions=17, channels=3, patch=4, layers=2, width=2, outputs=2, generator=torch.Generator()
            ),
            "positions = 17: must be patch\\^layers = 4\\^2 = 16",
        ),
        (lambda: ConstantFilterCNN(positions=9, layers=3, filter_size=2, stride=2), "do not fit a ring of 9 pixels"),
        (lambda: ConstantFilterCNN(positions=8, layers=4, filter_size=2, stride=2), "do not fit a ring of 8 pixels"),
        (lambda: ConstantFilterCNN(positions=8, layers=1, filter_size=2, stride=3), "stride = 3"),
    ],
)
def test_nets_that_do_not_fit_are_told_in_one_line(make, said):
    with pytest.raises(InputError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
