"""Modules as users bring them: compiled, scripted, exported, with outputs of any kind, measured by several threads."""

from __future__ import annotations

import threading
import warnings

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from empirical import draw_probes, measure_layers, measure_probes  # noqa: E402
from empirical.nets.evaluation import evaluation  # noqa: E402
from theory import InputError  # noqa: E402

PROBES = draw_probes(torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)), cutoff=2, displacement=0.5)


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 5)).eval()


def values(model: nn.Module) -> dict[str, float]:
    return {one.name: one.stability.relative.value for one in measure_layers(model, PROBES, resamples=0)}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wrapped", "in place", "a part", "parallel"])
def test_layers_of_a_compiled_net_are_those_of_the_net(how: str) -> None:
    """Also where it has run compiled before; the control, hooks on it as it is, sees nothing."""
    right = values(convolutional())
    model: nn.Module = convolutional()
    if how == "wrapped":
        model = torch.compile(model, backend="eager")
    elif how == "in place":
        model.compile(backend="eager")
    elif how == "a part":
        model = nn.Sequential(*model[:4], torch.compile(model[4], backend="eager"))
    else:
        model = nn.DataParallel(model)
    with torch.no_grad():
        model(PROBES.clean[:2])
        model(PROBES.clean)
    found = values(model)
    assert list(found.values()) == pytest.approx(list(right.values()), rel=1e-5)
    assert list(found)[:4] == list(right)[:4]
    assert measure_probes(model, PROBES, resamples=0).relative.value == pytest.approx(right["4"], rel=1e-4)
    clean = measure_probes(model, PROBES, resamples=0, batch_norm="clean")
    expected = measure_probes(convolutional(), PROBES, resamples=0, batch_norm="clean")
    assert clean.relative.value == pytest.approx(expected.relative.value, rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("how", ["scripted", "traced", "frozen", "exported", "exported within"])
def test_modules_whose_layers_are_sealed(how: str) -> None:
    """Measured as the nets that they were made of; what would need their layers is refused."""
    right = measure_probes(convolutional(), PROBES, resamples=0).relative.value
    net = convolutional()
    made = {
        "scripted": lambda: torch.jit.script(net),
        "traced": lambda: torch.jit.trace(net, PROBES.clean),
        "frozen": lambda: torch.jit.freeze(torch.jit.script(net)),
        "exported": lambda: torch.export.export(net, (PROBES.clean,)).module(),
        "exported within": lambda: nn.Sequential(torch.export.export(net, (PROBES.clean,)).module(), nn.Identity()),
    }[how]()
    assert measure_probes(made, PROBES, resamples=0).relative.value == pytest.approx(right, rel=1e-4)
    with pytest.raises(InputError, match="layers that cannot be reached"):
        measure_layers(made, PROBES)
    with pytest.raises(InputError, match="batch_norm = clean: must be running"):
        measure_probes(made, PROBES, batch_norm="clean")
    with pytest.raises(InputError, match=r"model = ExportedProgram: .* program\.module\(\)"):
        measure_probes(torch.export.export(net, (PROBES.clean,)), PROBES)


class Net(nn.Module):
    """The modules in turn; of outputs that are no tensor, what is first in them."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            x = part(x)
            while not isinstance(x, torch.Tensor):
                x = next(iter(x.values() if isinstance(x, dict) else x))
        return x


class Plain(nn.Module):
    """A function as a module."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> object:
        return self.function(x)  # type: ignore[operator]


SAME = {
    "tuple": lambda x: (x, x[:1]),
    "a list in a dictionary": lambda x: {"out": [x, None], "hidden": None},
    "images on the second axis": lambda x: x.transpose(0, 1),
    "images last": lambda x: x.movedim(0, -1),
}


@pytest.mark.parametrize("form", SAME)
def test_outputs_of_any_form_are_measured_alike(form: str) -> None:
    """The same numbers, wherever they stand, have the same stability as they have as rows."""
    back = {"images on the second axis": lambda x: x.transpose(0, 1), "images last": lambda x: x.movedim(-1, 0)}
    inner = Net(
        nn.Flatten(), nn.Unflatten(1, (8, 32)), Plain(SAME[form]), Plain(back.get(form, lambda x: x)), nn.Flatten()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = values(inner)
    assert found["parts.2"] == pytest.approx(found["parts.1"], rel=1e-6)
    assert len(found) == 5


def test_a_net_that_works_in_place_leaves_its_images() -> None:
    """Else the second look at the same images would be one at others."""
    images = PROBES.clean.clone()
    right = Net(Plain(lambda x: x - 0.3), nn.ReLU(), nn.Flatten())
    net = Net(Plain(lambda x: x.sub_(0.3)), nn.ReLU(inplace=True), nn.Flatten())
    wanted, found = values(right), values(net)
    assert found["parts.2"] == wanted["parts.2"]
    assert found["parts.2"] == pytest.approx(measure_probes(net, PROBES, resamples=0).relative.value)
    assert torch.equal(PROBES.clean, images)
    net(images)  # the control
    assert not torch.equal(PROBES.clean, images)


@pytest.mark.parametrize("form", [lambda y: {"hidden": y[:, :1], "logits": y}, lambda y: (y, None), lambda y: [y]])
def test_logits_are_found_in_what_a_net_puts_out(form: object) -> None:
    net = convolutional()
    made = Plain(lambda x: form(net(x)))  # type: ignore[operator]
    right = measure_probes(net, PROBES, resamples=0).relative.value
    assert measure_probes(made, PROBES, resamples=0).relative.value == pytest.approx(right, rel=1e-6)


def test_complex_outputs_count_with_both_parts() -> None:
    """|f(tau x) - f(x)|^2 of a unitary transform is that of the images: R = 1 by the noise's norm."""
    net = Net(nn.Flatten(), Plain(lambda x: torch.fft.fft(x, norm="ortho")), Plain(lambda z: z.real))
    assert values(net)["parts.1"] == pytest.approx(1, rel=1e-4)
    with pytest.raises(InputError, match=r"model output = torch\.complex64: must be real"):
        measure_probes(lambda images: torch.fft.fft(images.flatten(1)), PROBES)


def test_attention_and_recurrent_nets() -> None:
    """A module that calls children of its own is a layer where they put out nothing of their own."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(16, 2, 32)  # tokens first
    net = Net(
        Plain(lambda x: x[:, 0].transpose(0, 1)), encoder, nn.LSTM(16, 7), Plain(lambda x: x.mean(0)), nn.Linear(7, 3)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = values(net)
    assert {"parts.1.self_attn", "parts.1.linear1", "parts.1.norm2", "parts.2", "parts.4"} <= set(found)
    assert "parts.1.self_attn.out_proj" not in found


def test_a_parametrised_layer_is_one() -> None:
    net = nn.Sequential(nn.Flatten(), parametrizations.weight_norm(nn.Linear(256, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(values(net)) == ["0", "1"]


def test_what_has_no_rows_is_told() -> None:
    net = Net(nn.Flatten(), Plain(lambda x: (x @ x.T) @ x), Plain(lambda x: x.sum() + 0 * x), nn.Linear(256, 3))
    net.parts.insert(1, Plain(lambda x: x))
    net.total = Plain(lambda x: x.sum())
    net.register_forward_hook(lambda module, inputs, output: output + 0 * module.total(output))
    with pytest.warns(UserWarning, match=r"layers left out: total \(no tensor with one row an image\)$"):
        found = values(net)
    assert len(found) == 5
    with pytest.raises(InputError, match=r"layers = total: must put out a tensor with one row an image, not \(\)"):
        measure_layers(net, PROBES, layers=["total"])
    with pytest.warns(UserWarning, match="the net has no modules"):
        assert values(nn.Flatten()) == {}


def test_threads_share_a_net_in_eval_mode() -> None:
    """One that is done first does not put the other's net back into train mode; after both it is."""
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 3))
    net[2].eval()
    inside, leave = threading.Event(), threading.Event()

    def short() -> None:
        with evaluation(net):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=short)
    thread.start()
    inside.wait(10)
    with evaluation(net):
        leave.set()
        thread.join()
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == [True, True, True, False]
