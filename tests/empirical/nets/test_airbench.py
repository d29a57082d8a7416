"""Airbench: its first layer whitens patches of what it is shown, its filters start as the identity."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch.nn import functional  # noqa: E402

from empirical.nets.airbench import PatchWhitening, airbench, show_training_images  # noqa: E402
from empirical.nets.seeding import seeded  # noqa: E402


def _images(channels: int) -> torch.Tensor:
    """Smooth ones, whose patches are strongly correlated; channels too."""
    rough = torch.randn(200, channels, 20, 20, generator=torch.Generator().manual_seed(0))
    smooth = functional.avg_pool2d(rough + rough.mean(1, keepdim=True), 3, 1)
    return smooth / smooth.std()


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_are_white(channels: int) -> None:
    """Their covariance is the identity, but for the number that is added to eigenvalues; negatives come after."""
    images = _images(channels)
    with seeded(0):
        layer = PatchWhitening(channels)
    values = 4 * channels
    before = layer(images).detach()
    layer.see_training_images(images)
    after, negative = layer(images).detach().split(values, dim=1)
    assert torch.allclose(negative, -after, atol=1e-5)
    covariance, unseen = (maps[:, :values].transpose(0, 1).flatten(1).cov() for maps in (after, before))
    assert float((covariance - torch.eye(values)).abs().max()) < 0.02
    assert float((unseen - torch.eye(values)).abs().max()) > 0.2
    assert all(name == "bias" for name, _ in layer.named_parameters())


def test_what_it_saw_is_in_its_state() -> None:
    images = _images(1)
    with seeded(0):
        net, other = airbench(1, 20, 7), airbench(1, 20, 7)
    show_training_images(net, images)
    assert not torch.equal(net[0].weight, other[0].weight)
    other.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(images[:3]), other.eval()(images[:3]))
    assert net(images[:3]).shape == (3, 7)


def test_convolutions_start_as_the_identity_on_their_first_channels() -> None:
    with seeded(0):
        net = airbench(3, 32, 10)
    maps = torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    convolutions = [layer for layer in net if isinstance(layer, torch.nn.Conv2d)]
    assert [(one.in_channels, one.out_channels) for one in convolutions] == [
        (24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256),
    ]  # fmt: skip
    torch.testing.assert_close(convolutions[1](maps), maps)
    torch.testing.assert_close(convolutions[2](maps)[:, :64], maps)
    assert sum(p.numel() for p in net.parameters()) == 24 + 9 * (
        24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256
    ) + 2 * 64 + 4 * 256 + 2560  # fmt: skip
