"""`relstab measure` of nets as users have them: libraries' nets, files, outputs that are no tensor, checkpoints."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

import relstab  # noqa: E402
from empirical import load_data, measure_stability  # noqa: E402
from empirical.nets.named_nets import never_trained  # noqa: E402
from empirical.nets.preprocessing import published  # noqa: E402
from empirical.nets.weights import load_weights  # noqa: E402
from theory import InputError  # noqa: E402

NETS = """
from collections import namedtuple
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, kind="tensor", width=8, classes=10):
        super().__init__()
        self.kind = kind
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.head = nn.Linear(16 * width, classes)

    def forward(self, x):
        hidden = self.body(x)
        logits = self.head(hidden)
        if self.kind == "dictionary":
            return {"features": hidden, "logits": logits}
        if self.kind == "aux":
            return {"features": hidden, "aux": logits}
        if self.kind == "tuple":
            return torch.tensor(0.0), logits, hidden.view(len(x), -1, 4, 4)
        if self.kind == "named":
            return namedtuple("Output", "out hidden")(logits, hidden)
        if self.kind == "softmax":
            return logits.softmax(1)
        if self.kind == "log_softmax":
            return logits.log_softmax(1)
        if self.kind == "dropout":
            return nn.functional.dropout(logits, 0.5, True)
        if self.kind == "features":
            return hidden.view(len(x), -1, 4, 4)
        return logits

def parallel():
    return nn.DataParallel(Net())
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nets, and digits of 16 x 16 pixels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some_nets.py").write_text(NETS)
    monkeypatch.delitem(__import__("sys").modules, "some_nets", raising=False)
    data = load_data("digits", image_size=16)
    np.savez(tmp_path / "d.npz", images=data.test_images[:60].numpy(), labels=data.test_labels[:60].numpy())
    return tmp_path


def measured(capsys: pytest.CaptureFixture[str], arguments: str) -> dict[str, Any]:
    assert relstab.main(["measure", *arguments.split(), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def ratio(found: dict[str, Any]) -> float:
    value: float = found["stability"][0]["relative_stability"]["value"]
    return value


BASE = "--model some_nets:Net --displacement 0.5 --data d.npz --batch-norm clean"


@pytest.mark.parametrize("kind", ["dictionary", "tuple", "named", "aux --output-key aux"])
def test_the_logits_are_found_among_other_outputs(here: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert ratio(measured(capsys, f"{BASE} --model-args kind={kind}")) == ratio(measured(capsys, BASE))


def test_outputs_that_could_be_several_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(["measure", *BASE.split(), "--model-args", "kind=aux"]) == 2
    assert "model output = features (2, 128), aux (2, 10): which of them is meant?" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("softmax", ["the outputs are those of a softmax"]),
        ("log_softmax", ["the outputs are those of a log-softmax"]),
        ("dropout", ["the outputs differ from call to call"]),
        ("features", ["8 x 4 x 4 an image, features and no logits", "128 outputs"]),
        ("tensor", []),
    ],
)
def test_what_would_be_silently_wrong_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str, words: list[str]
) -> None:
    data = np.load("d.npz")
    np.savez("classes.npz", x=data["images"], y=data["labels"][:, None])
    doubts = measured(capsys, f"{BASE} --model-args kind={kind}")["doubts"]
    assert [any(word in doubt for doubt in doubts) for word in words[:1]] == [True] * len(words[:1])
    assert bool(doubts) == bool(words)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_normalisation_of_bytes_is_told_and_one_of_numbers_is_not(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "to be divided by 255" in measured(capsys, f"{BASE} --mean 76 --std 96")["doubts"][0]
    assert measured(capsys, f"{BASE} --mean 0.3 --std 0.37")["doubts"] == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_all_forms_of_arrays_are_the_same_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = (np.load("d.npz")[name] for name in ("images", "labels"))
    one = measured(capsys, BASE)
    assert one["test_images"] == 60
    np.savez("a.npz", x_test=images, y_test=labels[:, None].astype(float), x_train=images[:3])
    np.savez("b.npz", X=images[:, 0, :, :, None].astype(np.float32), y=labels)
    np.savez("c.npz", data=images[:, 0].astype(np.int64), targets=labels)
    np.save("e.npy", images)
    for file in "abce":
        name = f"{file}.np{'y' if file == 'e' else 'z'}"
        found = measured(capsys, BASE.replace("d.npz", name))
        assert ratio(found) == pytest.approx(ratio(one), rel=1e-5), file
        assert found["test_error"] == (None if file == "e" else one["test_error"])


def test_the_test_error_is_limited_or_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured(capsys, f"{BASE} --test-images 20")["test_images"] == 20
    assert measured(capsys, f"{BASE} --test-images 0")["test_error"] is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_photos_of_mixed_sizes_in_a_data_sets_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            folder = here / "pets" / split / label
            folder.mkdir(parents=True)
            for index, shape in enumerate([(20, 30), (40, 24), (33, 33)]):
                Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{index}.png")
    assert relstab.main(["measure", *BASE.replace("d.npz", "pets").split()]) == 2
    assert "all must be alike; an image size and a crop make them so" in capsys.readouterr().err
    found = measured(capsys, BASE.replace("d.npz", "pets") + " --image-size 18 --crop 16")
    assert found["data"] == "test"
    assert found["preprocessing"] == "shorter side resized to 18 (bilinear), the 16 x 16 at the centre"


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_numbers_than_single_precision(here: Path, capsys: pytest.CaptureFixture[str], dtype: str) -> None:
    assert ratio(measured(capsys, f"{BASE} --dtype {dtype}")) == pytest.approx(ratio(measured(capsys, BASE)), rel=0.05)


def _trained() -> nn.Module:
    import some_nets  # type: ignore[import-not-found]

    torch.manual_seed(3)
    net: nn.Module = some_nets.Net()
    net.train()(torch.rand(32, 1, 16, 16))  # so that batch norm has statistics
    return net.eval()


def test_checkpoints_as_they_are_found(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(here))
    net = _trained()
    state = dict(net.state_dict())
    data = load_data("digits", image_size=16)
    right = measure_stability(net, data.test_images[:60].float() / 255, displacement=0.5, rng=0, resamples=0)
    old = OrderedDict((name, value) for name, value in state.items() if not name.endswith("num_batches_tracked"))
    forms: dict[str, Any] = {
        "old.pt": {"model_state_dict": old, "epoch": 3},
        "lightning.pt": {"state_dict": {f"model.{name}": value for name, value in state.items()}},
        "compiled.pt": {f"module._orig_mod.{name}": value for name, value in state.items()},
        "list.pt": [old],
    }
    for name, content in forms.items():
        torch.save(content, here / name)
    save_file(state, here / "plain.safetensors")
    command = "--model some_nets:Net --displacement 0.5 --data d.npz"
    for name in (*forms, "plain.safetensors"):
        assert ratio(measured(capsys, f"{command} --weights {name}")) == pytest.approx(right.relative.value, rel=1e-4)
        parallel = command.replace(":Net", ":parallel")
        assert ratio(measured(capsys, f"{parallel} --weights {name}")) == pytest.approx(right.relative.value, rel=1e-4)


def test_a_net_that_was_trained_is_not_taken_for_one_that_was_not(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may lack the count of batches."""
    monkeypatch.syspath_prepend(str(here))
    import some_nets

    net, fresh = _trained(), some_nets.Net()
    torch.save({k: v for k, v in net.state_dict().items() if "num_batches" not in k}, "old.pt")
    assert never_trained(fresh)
    load_weights(fresh, "old.pt")
    assert int(fresh.body[1].num_batches_tracked) == 0
    assert not never_trained(fresh)


def test_keys_that_do_not_fit_are_refused_or_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(here))
    net = _trained()
    torch.save({**net.state_dict(), "ema_decay": torch.tensor(0.9)}, "extra.pt")
    with pytest.raises(InputError, match="has ema_decay"):
        load_weights(_trained(), "extra.pt")
    with pytest.warns(UserWarning, match="has ema_decay; the rest is loaded"):
        load_weights(net, "extra.pt", strict=False)
    torch.save([net.state_dict()] * 2, "list.pt")
    with pytest.raises(InputError, match="holds a list of 2: a key of 0 to 1"):
        load_weights(net, "list.pt")
    load_weights(net, "list.pt", key="1")
    torch.save({"a": net.state_dict(), "b": net.state_dict()}, "two.pt")
    with pytest.raises(InputError, match=r"weights_key = c: must be one of those in two.pt: a, b"):
        load_weights(net, "two.pt", key="c")
    load_weights(net, "two.pt", key="b")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_how_many_classes_a_net_has(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said, or those of its weights, or of the labels; and more than there are of labels is told."""
    from empirical.nets.architectures import build

    save_file(build("lenet", 1, 16, 12, 0).state_dict(), "w.safetensors")
    base = "--displacement 0.5 --data d.npz --test-images 0 --model"
    words = "outputs and the data 10 classes"
    for arguments, outputs in [
        ("lenet", None), ("lenet --model-args classes=11", 11), ("lenet --weights w.safetensors", 12),
        ("some_nets:Net --model-args classes=13", 13),
    ]:  # fmt: skip
        doubts = [doubt for doubt in measured(capsys, f"{base} {arguments}")["doubts"] if words in doubt]
        assert [doubt.split()[3] for doubt in doubts] == ([] if outputs is None else [str(outputs)])
    np.save("alone.npy", np.load("d.npz")["images"])
    (here / "asking.py").write_text("def make(classes, channels): pass\n")
    for model, message in [
        ("lenet", "lenet needs to know how many: --model-args classes=10"),
        ("lenet --model-args depth=2", "model_args = depth: lenet takes classes"),
        ("asking:make", "asks for classes, which the data do not tell: --model-args classes=VALUE"),
    ]:
        assert relstab.main(f"measure --data alone.npy --model {model}".split()) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_file_is_measured_as_the_net_that_it_was_made_of(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(here))
    net = _trained()
    images = load_data("digits", image_size=16).test_images[:60].float() / 255
    right = measure_stability(net, images, displacement=0.5, rng=0, resamples=0).relative.value
    torch.jit.freeze(torch.jit.script(net.body)).save("body.pt")
    torch.jit.trace(net, images[:2]).save("net.pt")
    torch.export.save(torch.export.export(net, (images[:7],)), "net.pt2")  # for batches of seven alone
    files = ["net.pt", "net.pt2"]
    if _installed("onnxruntime") and _installed("onnxscript"):
        torch.onnx.export(net, (images[:7],), "net.onnx", dynamo=True)
        capsys.readouterr()  # what torch tells while it exports
        files.append("net.onnx")
    for file in files:
        found = measured(capsys, f"--model {file} --displacement 0.5 --data d.npz")
        assert ratio(found) == pytest.approx(right, rel=1e-3), file
    assert relstab.main(["measure", "--model", "net.pt2", "--displacement", "0.5", "--data", "d.npz", "--layers"]) == 2
    said = capsys.readouterr()
    assert "layers = net.pt2: has none to look into" in said.err
    assert said.out == ""  # before anything is measured
    assert relstab.main(["measure", "--model", "net.pt2", "--data", "d.npz", "--batch-norm", "clean"]) == 2
    assert "batch_norm = clean: must be running" in capsys.readouterr().err
    if "net.onnx" in files:
        assert relstab.main(["measure", "--model", "net.onnx", "--data", "d.npz", "--dtype", "float16"]) == 2
        assert "dtype = float16: must be float32, which the file computes with" in capsys.readouterr().err


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_the_preprocessing_of_torchvision_is_its_own() -> None:
    from torchvision.models import ResNet18_Weights

    found = published("torchvision:resnet18")
    theirs = ResNet18_Weights.IMAGENET1K_V1.transforms()
    picture = torch.randint(0, 256, (3, 300, 400), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = (found.framing(picture).float() / 255 - torch.tensor(found.mean).view(3, 1, 1)) / torch.tensor(
        found.std
    ).view(3, 1, 1)
    torch.testing.assert_close(ours, theirs(picture), rtol=0, atol=0.02)
    assert str(published("torchvision:resnet18").overridden(32, None, (), ()).framing) == (
        "shorter side resized to 32 (bilinear), the 32 x 32 at the centre"
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_nets_of_libraries(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made by their libraries with as many classes as the weights have, seen through their own preprocessing."""
    from torchvision.models import resnet18

    torch.manual_seed(0)
    net = resnet18(num_classes=10)
    net.train()(torch.rand(8, 3, 64, 64))
    save_file(net.state_dict(), "r.safetensors")
    common = "--data d.npz --images 12 --image-size 64 --test-images 0 --displacement 0.5"
    found = measured(capsys, f"--model torchvision:resnet18 --weights r.safetensors {common}")
    assert found["preprocessing"].endswith("mean 0.485 0.456 0.406, std 0.229 0.224 0.225")
    assert found["doubts"] == []
    if _installed("timm"):
        timm = measured(capsys, f"--model timm:resnet18 --weights r.safetensors {common}")
        assert "bicubic" in timm["preprocessing"]
        assert ratio(timm) == pytest.approx(ratio(found), rel=0.2)  # the same weights, another resizing


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_transformers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=4,
        num_labels=10,
    )  # fmt: skip
    torch.manual_seed(0)
    net = transformers.ViTForImageClassification(config).eval()
    net.save_pretrained("vit")
    (here / "vit" / "preprocessor_config.json").write_text(
        json.dumps({"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    )
    found = measured(capsys, "--model hf:vit --data d.npz --images 40 --displacement 0.5")
    images = load_data("digits", image_size=16).test_images[:40].float().expand(-1, 3, -1, -1) / 255

    def logits(x: Any) -> Any:
        return net((x - 0.5) / 0.25).logits

    right = measure_stability(logits, images, displacement=0.5, rng=0, resamples=0).relative.value
    assert ratio(found) == pytest.approx(right, rel=1e-4)
    assert "mean 0.5 0.5 0.5, std 0.25 0.25 0.25" in found["preprocessing"]
