"""The nets: their sizes against published counts, any channels and classes, seeds, and images that are too small."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import Tensor  # noqa: E402

from empirical import ARCHITECTURES, build  # noqa: E402
from theory import InputError  # noqa: E402

#: Parameters for 3 channels, 32 pixels and 10 classes. Those of ResNets and VGGs with batch norm are the well-known
#: ones of these nets on CIFAR-10; the others follow by hand from torchvision's published counts (1000 classes) by the
#: stem and the head, as the comments say.
PARAMETERS = {
    "fc2": 3072 * 64 + 64 + 64 * 65 + 650,
    "fc4": 3072 * 64 + 64 + 3 * 64 * 65 + 650,
    "fc6": 3072 * 64 + 64 + 5 * 64 * 65 + 650,
    "alexnet": 1792 + 110784 + 663936 + 884992 + 590080 + 1025 * 4096 + 4097 * 4096 + 40970,
    "vgg11": 132_863_336 - (25089 * 4096 + 4097 * 4096 + 4_097_000) + 5130,
    "vgg11-bn": 9_231_114,
    "vgg16": 138_357_544 - (25089 * 4096 + 4097 * 4096 + 4_097_000) + 5130,
    "vgg16-bn": 14_728_266,
    "vgg19": 143_667_240 - (25089 * 4096 + 4097 * 4096 + 4_097_000) + 5130,
    "vgg19-bn": 20_040_522,
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "efficientnet-b0": 5_288_548 - 990 * 1281,
    "mobilenet-v2": 3_504_872 - 990 * 1281,
    "densenet121": 7_978_856 - 3 * 64 * 40 - 990 * 1025,
    # patches, positions with a class token, class token, six layers, the last norm, head
    "vit-small": 48 * 192 + 192 + 65 * 192 + 192 + 6 * (4 * 192 * 193 + 2 * 768 * 192 + 960 + 4 * 192) + 384 + 1930,
}


def _parameters(name: str) -> int:
    return sum(p.numel() for p in build(name, 3, 32, 10, 0).parameters())


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_are_the_published_ones(name: str) -> None:
    assert _parameters(name) == PARAMETERS[name]


def test_all_have_a_count_or_are_of_our_own_making() -> None:
    """15 of the paper and four more; what is left has no published size."""
    assert set(ARCHITECTURES) - set(PARAMETERS) == {
        "fully-connected", "lenet", "resnet-small", "vgg-small", "vgg-small-bn", "convnext-small",
    }  # fmt: skip
    assert len(ARCHITECTURES) == 23


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_net_takes_grey_images_of_28_pixels_and_any_classes(name: str) -> None:
    net = build(name, 1, 28, 7, 3)
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    logits: Tensor = net(images)
    assert logits.shape == (2, 7)
    assert bool(torch.isfinite(logits).all())
    assert not torch.equal(logits[0], logits[1])  # a function that is constant at first has no stability
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", ["alexnet", "vgg11-bn", "resnet18", "vit-small", "convnext-small"])
def test_a_seed_is_a_net(name: str) -> None:
    state = torch.random.get_rng_state()
    one, again, other = (build(name, 3, 32, 10, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "vit-small"])
def test_small_images_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=f"image_size = 16: must be at least 28 for {name}"):
        build(name, 3, 16, 10, 0)
    assert build(name, 3, 48, 10, 0).eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 10)


def test_patches_must_tile_the_image() -> None:
    with pytest.raises(InputError, match="image_size = 33: must be a multiple of 4 for vit-small above 32"):
        build("vit-small", 3, 33, 10, 0)
