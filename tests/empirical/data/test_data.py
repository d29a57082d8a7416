"""Data sets by name, subsets, and folders that are not there; architectures by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from PIL import Image  # noqa: E402

from empirical import OneHiddenLayer, build, load_data  # noqa: E402
from empirical.data.named_sets import training_subset  # noqa: E402
from theory import InputError, Network  # noqa: E402
from theory.model.observables import outputs  # noqa: E402


def test_digits_need_no_file() -> None:
    data = load_data("digits")
    assert data.train_images.shape == (1297, 1, 8, 8)
    assert data.test_images.shape == (500, 1, 8, 8)
    assert data.train_images.dtype == torch.uint8
    assert int(data.train_images.max()) == 255
    assert set(data.train_labels.tolist()) == set(range(10))
    assert load_data("digits", image_size=16).test_images.shape == (500, 1, 16, 16)
    assert load_data("digits", image_size=16).name == "digits@16"


@pytest.mark.data
def test_fashion_mnist_from_torchvisions_layout(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data("fashion-mnist", data_folder)
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_labels.bincount().tolist() == [1000] * 10
    monkeypatch.setenv("RELSTAB_DATA", str(data_folder))
    assert load_data("fashion-mnist").train_images is data.train_images


def picture(path: Path, size: tuple[int, int], shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), shade, np.uint8)).save(path)


def test_a_folder_of_images(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        for shade, name in ((10, "cat"), (200, "dog")):
            for k in range(count):
                picture(tmp_path / "pets" / split / name / f"{k}.png", (9, 9), shade + k)
    data = load_data("images:pets", tmp_path)
    assert data.train_images.shape == (6, 3, 9, 9)
    assert data.classes == ("cat", "dog")
    shades = data.train_images[:, 0, 0, 0].tolist()
    assert sorted(shades) == [10, 11, 12, 200, 201, 202]
    assert shades != sorted(shades)  # mixed: the first images are not all of one class
    assert data.train_labels.tolist() == [int(shade >= 200) for shade in shades]
    assert sorted(data.test_labels.tolist()) == [0, 0, 1, 1]
    assert torch.equal(load_data("images:pets", tmp_path).train_images, data.train_images)


def test_images_must_be_square_and_alike(tmp_path: Path) -> None:
    for name, size in (("wide", (10, 8)), ("mixed", (8, 8))):
        for split in ("train", "test"):
            picture(tmp_path / name / split / "a" / "0.png", size, 0)
    picture(tmp_path / "mixed" / "train" / "a" / "1.png", (9, 9), 0)
    with pytest.raises(InputError, match="holds images of 8 x 10 pixels: they must be square"):
        load_data("images:wide", tmp_path)
    with pytest.raises(InputError, match="data = a/1.png: is 9 x 9 pixels, the first 8 x 8"):
        load_data("images:mixed", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10", "svhn"])
def test_data_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELSTAB_DATA", raising=False)
    told = f"data = None: {name} needs the folder of the data sets: give it, or set RELSTAB_DATA"
    with pytest.raises(InputError, match=told):
        load_data(name)
    with pytest.raises(InputError, match="no such folder"):
        load_data(name, tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"holds no whole {name} in torchvision's layout; download"):
        load_data(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dataset = imagenet: must be one of fashion-mnist, mnist"):
        load_data("imagenet", tmp_path)
    with pytest.raises(InputError, match="has no folder train/"):
        load_data("images:none", tmp_path)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds no images \("):
        load_data("images:empty", tmp_path)
    picture(tmp_path / "flat" / "train" / "0.png", (8, 8), 0)
    with pytest.raises(InputError, match="holds no images in folders named by class"):
        load_data("images:flat", tmp_path)


def test_training_subsets_are_nested_and_distinct() -> None:
    data = load_data("digits")
    images, _ = training_subset(data, 100, seed=1)
    fewer, _ = training_subset(data, 40, seed=1)
    assert torch.equal(images[:40], fewer)
    assert not torch.equal(fewer, training_subset(data, 40, seed=2)[0])
    everything, _ = training_subset(data, 1297, seed=1)
    assert torch.equal(everything.flatten(1).float().sum(1).sort().values,
                       data.train_images.flatten(1).float().sum(1).sort().values)  # fmt: skip
    for size in (0, 1298):
        with pytest.raises(InputError, match=f"train_size = {size}: must be .* at least 1 and at most 1297"):
            training_subset(data, size, seed=1)


@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize("name", ["fully-connected", "fc2", "fc4", "fc6", "lenet", "resnet-small"])
def test_architectures_take_small_images(name: str, size: int) -> None:
    state = torch.get_rng_state()
    one, two, other = (build(name, 3, size, 7, seed).eval() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert one(images).shape == (2, 7)
        assert torch.equal(one(images), two(images))
        assert not torch.equal(one(images), other(images))


def test_unknown_architecture() -> None:
    with pytest.raises(InputError, match="architecture = vgg: must be one of fully-connected, fc2, fc4, fc6, lenet"):
        build("vgg", 1, 28, 10, 0)


def test_one_hidden_layer_is_the_theorys_net() -> None:
    """F = alpha (f - f_0), against the theory's f in double precision: 1e-12."""
    rng = np.random.default_rng(0)
    start, now = Network.initial(20, 5, rng), Network.initial(20, 5, rng)
    net = OneHiddenLayer(5, 20, 3.0, torch.Generator()).double()
    net.load_start(*map(torch.as_tensor, (start.weight, start.bias, start.output)))
    x = rng.standard_normal((30, 5))
    assert not net(torch.as_tensor(x)).any()
    with torch.no_grad():
        for name in ("weight", "bias", "output"):
            getattr(net, name).copy_(torch.as_tensor(getattr(now, name)))
    found = net(torch.as_tensor(x)).detach().numpy()[:, 0]
    np.testing.assert_allclose(found, 3 * (outputs(now, x) - outputs(start, x)), atol=1e-12)
    with pytest.raises(RuntimeError):  # shapes that do not fit are torch's to refuse
        net.load_start(torch.zeros(3, 5), torch.zeros(3), torch.zeros(3))
