"""The nets: sizes against published counts, any channels and classes, seeds, images too small; nets of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import Tensor  # noqa: E402

from empirical import ARCHITECTURES, Experiment, ImageConfig, build, read_experiments, sweep  # noqa: E402
from empirical.nets.architectures import require_architecture  # noqa: E402
from theory import InputError  # noqa: E402
from theory.common.table import read_table, write_table  # noqa: E402
from theory.jobs.executors import Processes, RayCluster, run_jobs  # noqa: E402

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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_are_the_published_ones(name: str) -> None:
    assert _parameters(name) == PARAMETERS[name]


def test_all_have_a_count_or_are_of_our_own_making() -> None:
    """15 of the paper and four more; what is left has no published size."""
    assert set(ARCHITECTURES) - set(PARAMETERS) == {
        "fully-connected", "lenet", "resnet-small", "vgg-small", "vgg-small-bn", "airbench", "convnext-small",
    }  # fmt: skip
    assert len(ARCHITECTURES) == 24


@pytest.mark.slow
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


@pytest.mark.slow
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


#: A user's module. Its nets are registered under the guard, as scripts do: worker processes never see that.
OWN = """
from torch import nn

from empirical import ARCHITECTURES

def make(channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(channels * size**2, classes))

def eleven(channels, size, classes):
    return make(channels, size, 11)

def flat(channels, size, classes):
    return nn.Identity()

def narrow(channels, size, classes):
    return nn.Linear(3, classes)

def nothing(channels, size, classes):
    return 3

def pair(channels, size, classes):
    class Pair(nn.Module):
        def forward(self, images):
            return images, images
    return Pair()

def fails(channels, size, classes):
    raise ValueError("a\\nb")

def without():
    return make(1, 16, 10)

a_number = 3

if __name__ == "__main__":
    ARCHITECTURES["mine"] = make
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that holds `OWN`, on the path of this process and of those that it starts."""
    folder = tmp_path / "code"
    (folder / "nets_of_a_user").mkdir(parents=True)
    (folder / "nets_of_a_user" / "small.py").write_text(OWN)
    (folder / "nets_of_a_user" / "broken.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(str(folder))
    return "nets_of_a_user.small"


def test_a_net_of_ones_own_is_named_by_its_function(own: str) -> None:
    name = f"{own}:make"
    one, again, other = (build(name, 3, 20, 7, seed) for seed in (1, 1, 2))
    assert [tuple(p.shape) for p in one.parameters()] == [(7, 1200), (7,)]
    assert all(map(torch.equal, one.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(one[2].weight, other[2].weight)  # type: ignore[index]
    assert all(module.training for module in one.modules())  # it is tried in eval mode and put back
    assert require_architecture("lenet") is ARCHITECTURES["lenet"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine", "must be one of fully-connected, .*convnext-small, or package.module:function$"),
        ("nets_of_a_user.small:", "must be package.module:function$"),
        (":make", "must be package.module:function$"),
        ("nets_of_a_user.small:absent", "must be a function of nets_of_a_user.small$"),
        ("nets_of_a_user.small:a_number", "must be a function of nets_of_a_user.small$"),
        ("nets_of_nobody:make", "its module cannot be imported .ModuleNotFoundError: No module named 'nets_of_nobody'"),
        ("nets_of_a_user.broken:make", "its module cannot be imported .ModuleNotFoundError: No module named 'no_such"),
        ("nets_of_a_user.small:nothing", "must make a torch module, not int$"),
        ("nets_of_a_user.small:fails", r"fails for \(1, 16, 10\), channels, side and classes: ValueError: a b$"),
        ("nets_of_a_user.small:without", r"fails for .* classes: TypeError: without\(\) takes 0 positional arguments"),
        ("nets_of_a_user.small:narrow", r"cannot take images of shape \(2, 1, 16, 16\): RuntimeError: "),
        ("nets_of_a_user.small:flat",
         r"must give logits of shape \(2, 10\) for two images of 10 classes, not \(2, 1, 16, 16\)$"),
        ("nets_of_a_user.small:eleven", r"must give logits of shape \(2, 10\) for two .*, not \(2, 11\)$"),
        ("nets_of_a_user.small:pair", r"must give logits of shape \(2, 10\) for two .*, not tuple$"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("own")
def test_a_net_that_cannot_be_made_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^architecture = {name}: {message}") as caught:
        build(name, 1, 16, 10, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "executor", [Processes(2), pytest.param(RayCluster(workers=2), marks=pytest.mark.slow)], ids=["processes", "ray"]
)
def test_workers_know_a_net_of_ones_own(executor: Processes | RayCluster, own: str) -> None:
    if isinstance(executor, RayCluster):
        pytest.importorskip("ray", reason="ray is not installed (the extra `cluster`)")
    name, found = f"{own}:make", {}
    jobs = {seed: (name, 1, 8, 10, seed) for seed in range(2)}
    run_jobs(build, jobs, executor, lambda seed, net: found.update({seed: net}))
    for seed in range(2):
        here = build(name, 1, 8, 10, seed).state_dict()
        assert all(torch.equal(value, here[key]) for key, value in found[seed].state_dict().items())


@pytest.mark.slow
def test_a_sweep_takes_a_net_of_ones_own_from_a_file(own: str, tmp_path: Path) -> None:
    """In two processes as in this one; the curve table's architecture is the name as it was written."""
    (tmp_path / "e.toml").write_text(
        f'[[experiment]]\nkind = "image"\narchitectures = ["{own}:make", "lenet"]\ntrain_sizes = [16]\nseeds = [0]\n'
        "image_size = 16\nepochs = 1\nmin_steps = 3\nprobe_size = 20\n"
    )
    experiments = read_experiments(tmp_path / "e.toml")
    table = sweep(experiments, tmp_path / "runs", 2)
    assert table["architecture"].tolist() == [f"{own}:make"] * 2 + ["lenet"] * 2
    write_table(table, tmp_path / "curve.csv")
    assert read_table(tmp_path / "curve.csv")["architecture"].tolist() == table["architecture"].tolist()
    here = sweep(Experiment(experiments[0].base, (16,), (0,), (f"{own}:make",)))
    assert here["relative_stability"].tolist() == table["relative_stability"].tolist()[:2]
    with pytest.raises(InputError, match=f"^architecture = {own}:absent: must be a function of"):
        sweep(Experiment(ImageConfig(image_size=16), (16,), (0,), (f"{own}:absent",)))
