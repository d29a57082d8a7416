"""`relstab measure`: a user's net, weights and images, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import relstab  # noqa: E402
from empirical import Experiment, ImageConfig, build, load_data, measure_stability, sweep  # noqa: E402
from empirical.data.user_images import read_images  # noqa: E402
from empirical.nets.evaluation import classification_error  # noqa: E402
from empirical.nets.weights import load_weights, read_weights  # noqa: E402
from theory import InputError, read_table  # noqa: E402

NETS = """
import torch
from torch import nn

def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def flat():
    return nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (-1, 8, 8)))

def nothing():
    return 3

class Bad(nn.Module):
    def forward(self, x):
        return x.flatten(1) * float("nan")

class Fails(nn.Module):
    def __init__(self):
        raise RuntimeError("no such thing")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nets, their weights and images in all forms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELSTAB_DATA", raising=False)
    (tmp_path / "own_nets.py").write_text(NETS)
    monkeypatch.delitem(__import__("sys").modules, "own_nets", raising=False)
    data = load_data("digits")
    images, labels = data.test_images[:80, 0].numpy(), data.test_labels[:80].numpy()
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "photos" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    torch.nn.init.normal_(net[1].weight, generator=torch.Generator().manual_seed(0))
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "net.pt")
    return tmp_path


def measured(arguments: str, capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    assert relstab.main(["measure", *arguments.split(), "--json"]) == 0
    result: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
    return result


BASE = "--model own_nets:small --displacement 0.3"


def test_all_forms_of_weights_and_images_are_the_same_measurement(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = measured(f"{BASE} --weights net.safetensors --data digits.npz", capsys)
    assert one == {**measured(f"{BASE} --weights net.pt --data digits.npz", capsys)}
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    load_weights(net, "net.safetensors")
    data = read_images("digits.npz")
    expected = measure_stability(net, data.images, displacement=0.3, rng=0)
    assert one["stability"][0]["relative_stability"] == expected.relative.summary()
    assert one["test_error"] == classification_error(net, data.images, data.labels)
    assert one["stability"][0]["law_error"] is None  # the law is one for CIFAR10
    folder = measured(f"{BASE} --weights net.pt --data photos", capsys)
    assert folder["test_error"] == one["test_error"]  # the same images in another order, other probes
    ratio = folder["stability"][0]["relative_stability"]["value"] / expected.relative.value
    assert 0.5 < ratio < 2


def test_several_settings_layers_and_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = f"{BASE.replace('0.3', '0.2 0.3')} --cutoffs 2 3 --data digits.npz --layers --output own.csv"
    assert relstab.main(["measure", *arguments.split(), "--train-size", "50", "--batch-norm", "clean"]) == 0
    shown = capsys.readouterr().out
    assert "layer by layer" in shown
    assert "test error" in shown
    table = read_table("own.csv")
    assert len(table) == 4
    assert set(table["cutoff"]) == {2, 3}
    assert set(table["train_size"]) == {50}


def test_our_own_architectures_and_normalisation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured("--model lenet --data digits --image-size 16 --mean 0.3 --std 0.4 --images 50", capsys)
    data = load_data("digits", image_size=16)
    images = (data.test_images[:50].float() / 255 - 0.3) / 0.4
    shifted = measure_stability(build("lenet", 1, 16, 10, 0), images, rng=0)
    # The deformation commutes with a normalisation that is the same everywhere.
    found = result["stability"][0]["relative_stability"]["value"]
    assert found == pytest.approx(shifted.relative.value, rel=1e-3)


REFUSED = [
    ("--model own_nets:small --data nowhere", "data = nowhere: must be a folder of images, an .npz or .npy file"),
    ("--model own_nets:small --data empty", "data = empty: holds no images"),
    ("--model own_nets:nothing --data digits.npz", "model = own_nets:nothing: must make a torch module, not int"),
    ("--model resnet --data digits.npz", "model = resnet: must be package.module:factory or one of fully-connected"),
    ("--model own_nets:Bad --displacement 0.3 --data digits.npz",
     "model output f(x) = not finite for 80 of 80 images: must be finite"),
    (f"{BASE} --data digits.npz --weights none.pt", "weights = none.pt: no such file"),
    (f"{BASE} --data digits.npz --weights code.pt", "must hold tensors alone"),
    (f"{BASE} --data digits.npz --weights text.safetensors", "weights = text.safetensors: cannot be read"),
    (f"{BASE} --data digits.npz --weights other.safetensors",
     "weights = other.safetensors: does not fit the model: it lacks 1.bias and has 2.weight"),
    (f"{BASE} --data digits.npz --weights shape.safetensors",
     "weights = shape.safetensors: does not fit the model: 1.weight is (10, 63) for (10, 64)"),
    (f"{BASE} --data labels.npz", "labels = 11: must be at least 0 and below 10, the number of outputs"),
    (f"{BASE} --data constant.npz", "data = constant.npz: all images are the same constant"),
    (f"{BASE} --data range.npz", "data = range.npz: numbers from -1 to 254: must be bytes, or numbers in [0, 1]"),
    (f"{BASE} --data objects.npz", "data = objects.npz: cannot be read (Object arrays cannot be loaded"),
    (f"{BASE} --data wide.npz", "must hold square images"),
    (f"{BASE} --data digits.npz --mean 0.5", "mean, std = ((0.5,), ()): must be given together"),
    (f"{BASE} --data digits.npz --mean 0.5 0.5 --std 1 1", "must have 1 numbers, one a channel"),
    (f"{BASE} --data digits.npz --output t.csv", "train_size = None: must be given with output"),
    (f"{BASE} --data digits.npz --device cuda:77", "device = cuda:77: is not here"),
    (f"{BASE} --data digits.npz --image-size 16 --crop 17", "crop = 17: must be at most the side that images"),
    (f"{BASE} --data digits.npz --model-args depth", "model_args = depth: must be NAME=VALUE, each name once"),
    (f"{BASE} --data digits.npz --model-args depth=3", "its factory fails: TypeError"),
    (f"{BASE} --data digits.npz --output-key logits", "output_key = logits: must be one of what the net puts out: 0 "),
    (f"{BASE} --data digits.npz --not-strict", "weights = None: must be given with weights_key and not_strict"),
    (f"{BASE} --data digits.npz --dtype int8", "dtype = int8: must be one of float32, float64, float16, bfloat16"),
    ("--model timm:resnet188 --data digits.npz", "model = timm:resnet188: is none of its"),
    ("--model torchvision:resnet --data digits.npz", "near it are resnet"),
    ("--model net.onnx --data digits.npz", "model = net.onnx: no such file"),
    ("--model net.pt --data digits.npz", "--model package.module:function --weights net.pt"),
    ("--model hf:photos --data digits.npz", "must be a folder with config.json and weights"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_refuses_in_one_line(
    here: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    (here / "text.safetensors").write_text("hello")
    torch.save({"code": Path("x")}, here / "code.pt")  # anything but tensors is run to be read
    weight, bias = torch.zeros(10, 64), torch.zeros(10)
    save_file({"1.weight": weight, "2.weight": bias}, here / "other.safetensors")
    save_file({"1.weight": torch.zeros(10, 63), "1.bias": bias}, here / "shape.safetensors")
    images = np.load("digits.npz")["images"]
    np.savez("labels.npz", images=images, labels=np.full(80, 11))
    np.savez("constant.npz", images=np.full((5, 8, 8), 7, np.uint8))
    np.savez("range.npz", images=images.astype(float) - 1)
    np.savez("objects.npz", images=np.array([None, 3], dtype=object))
    np.savez("wide.npz", images=np.random.default_rng(0).random((5, 8, 9)))
    assert relstab.main(["measure", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (here / "t.csv").exists()


def test_a_damaged_image_is_named(here: Path) -> None:
    (here / "photos" / "3" / "zzz.png").write_text("no image")
    with pytest.raises(InputError, match=r"data = 3/zzz\.png: cannot be read as an image"):
        read_images("photos")


def test_a_net_trained_by_the_command_is_measured_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """train --keep-weights, then measure: the normalisation comes with the weights, the numbers are the same."""
    monkeypatch.chdir(tmp_path)
    common = "--displacement 0.5 --json"
    train = "train --architecture resnet-small --train-size 64 --epochs 1 --min-steps 5"
    assert relstab.main([*f"{train} --keep-weights net.safetensors {common}".split()]) == 0
    trained = json.loads(capsys.readouterr().out)["stages"][-1]
    measure = f"measure --model resnet-small --weights net.safetensors --data digits --image-size 16 {common}"
    assert relstab.main(measure.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_error"] == pytest.approx(trained["test_error"])
    assert found["stability"][0]["relative_stability"]["value"] == pytest.approx(
        trained["relative_stability"], rel=1e-4
    )
    assert relstab.main([*measure.split(), "--mean", "0.5", "--std", "0.3"]) == 2
    assert "mean = (0.5,): is not read: the weights hold" in capsys.readouterr().err
    assert relstab.main([*f"{train} --keep-weights net.pt".split()]) == 2
    assert "keep_weights = net.pt: must end in .safetensors" in capsys.readouterr().err


def test_a_store_keeps_weights_unless_told_not_to(tmp_path: Path) -> None:
    config = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=1, probe_size=20)
    sweep(Experiment(config, (16,), (0,)), tmp_path / "with")
    sweep(Experiment(config, (16,), (0,)), tmp_path / "without", keep_weights=False)
    (run,), (bare,) = ((tmp_path / name).glob("[!.]*") for name in ("with", "without"))
    assert (run / "weights.safetensors").is_file()
    assert not (bare / "weights.safetensors").exists()
    assert set(read_weights(run / "weights.safetensors")) >= {"mean", "std", "net.0.weight"}


def test_layers_as_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    measure = "measure --model lenet --data digits --image-size 16 --displacement 0.5 --images 20 --json"
    assert relstab.main([*measure.split(), "--layers", "--layers-output", "layers.csv"]) == 0
    printed = json.loads(capsys.readouterr().out)["layers"]
    table = pd.read_csv("layers.csv", comment="#")
    assert table["layer"].astype(str).tolist() == [one["name"] for one in printed]
    values = [one["relative_stability"]["value"] for one in printed]
    np.testing.assert_allclose(table["relative_stability"], values, rtol=1e-5)
    for arguments, message in (
        ("--layers-output layers.csv", "layers_output = layers.csv: is written with layers only"),
        ("--layers --layers-output layers.txt", "layers_output = layers.txt: must end in .csv"),
    ):
        assert relstab.main([*measure.split(), *arguments.split()]) == 2
        assert message in capsys.readouterr().err


def test_a_net_at_its_start_takes_the_images_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours without weights are measured as `relstab train` measures them before training."""
    measure = "measure --model resnet-small --data digits --images 60 --json"
    values = {}
    for option in ("", "--batch-norm clean", "--batch-norm running"):
        assert relstab.main([*measure.split(), *option.split()]) == 0
        values[option] = json.loads(capsys.readouterr().out)["stability"][0]["relative_stability"]["value"]
    assert values[""] == values["--batch-norm clean"] != values["--batch-norm running"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"some text", "weights = w.pt: cannot be read"),
        (b"", "weights = w.pt: cannot be read"),
        (b"PK\x03\x04 no archive", "weights = w.pt: cannot be read"),
    ],
)
def test_weights_that_are_none(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(content)
    (tmp_path / "w.npz").write_bytes(content)
    assert relstab.main(["measure", "--model", "lenet", "--data", "digits", "--weights", "w.pt"]) == 2
    assert message in capsys.readouterr().err
    assert relstab.main(["measure", "--model", "lenet", "--data", "w.npz"]) == 2
    assert "data = w.npz: cannot be read" in capsys.readouterr().err


def test_a_factory_is_told_what_it_asks_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function serves `train`, which gives all three, and `measure` of what that kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named_nets.py").write_text(
        "from torch import nn\n"
        "def make(channels=1, size=28, classes=10, width=8):\n"
        "    assert width == 8\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, width), nn.ReLU(),"
        " nn.Linear(width, classes))\n"
        "def other(depth=1, act='relu', size=16):\n"
        "    assert (depth, act) == (1, 'relu')\n"
        "    return make(size=size)\n"
    )
    train = "train --architecture named_nets:make --train-size 16 --epochs 1 --min-steps 0 --keep-weights w.safetensors"
    assert relstab.main(train.split()) == 0
    for model in ("make", "other"):
        command = f"measure --model named_nets:{model} --weights w.safetensors --data digits --images 20"
        assert relstab.main(command.split()) == 0


def test_models_that_cannot_be_made_or_shown_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad_nets.py").write_text(
        "from torch import nn\n"
        "def needs(width):\n    return nn.Linear(width, 1)\n"
        "def colour():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(10))\n"
    )
    for model, message in (
        ("needs", "model = bad_nets:needs: its factory fails: TypeError"),
        ("colour", "model = bad_nets:colour: cannot take images of shape (2, 1, 16, 16)"),
    ):
        assert relstab.main(f"measure --model bad_nets:{model} --data digits".split()) == 2
        assert message in capsys.readouterr().err
    for arguments, message in (
        ("--device meta", "device = meta: holds no numbers"),
        ("--average median --layers", "average = median: must be mean with layers"),
    ):
        assert relstab.main(f"measure --model lenet --data digits {arguments}".split()) == 2
        assert message in capsys.readouterr().err
