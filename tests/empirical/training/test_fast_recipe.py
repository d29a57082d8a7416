"""The fast recipe: its schedule, reflections and alternating flips, Muon, the probed precision, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

import empirical.training.descent  # noqa: E402
import empirical.training.precision  # noqa: E402
import empirical.training.recipe  # noqa: E402
from empirical import Experiment, ImageConfig, RunStore, build, sweep, train  # noqa: E402
from empirical.runs.kinds import check  # noqa: E402
from empirical.training.config import config_hash  # noqa: E402
from empirical.training.descent import Descent  # noqa: E402
from empirical.training.precision import faster_precision  # noqa: E402
from empirical.training.recipe import cropped, recipe, reflected, triangle  # noqa: E402
from theory import InputError  # noqa: E402

FAST = ImageConfig(
    image_size=16, train_size=40, epochs=3, min_steps=0, batch_size=20, probe_size=20, displacement=0.5, recipe="fast",
    augmentation="crop-flip",
)  # fmt: skip
needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon: it came with 2.9")


def descent(config: ImageConfig, images: torch.Tensor) -> Descent:
    net = build(config.architecture, images.shape[1], images.shape[-1], 10, 0).to(memory_format=torch.channels_last)
    return Descent(config, net, images, torch.arange(len(images)) % 10, torch.Generator().manual_seed(1))


def test_the_rate_rises_for_a_fifth_of_the_steps_and_falls_to_zero() -> None:
    net = build("lenet", 1, 16, 10, 0)
    found = recipe(replace(FAST, epochs=50, learning_rate=0.5), net, 40)
    (optimizer,), (schedule,) = found.make(net)
    assert optimizer.defaults["nesterov"]
    rates = []
    for _ in range(found.steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, 0.5 * np.interp(np.arange(100), [0, 20, 100], [0.2, 1, 0]))
    assert schedule.get_last_lr() == pytest.approx([0, 0], abs=1e-12)
    assert [triangle(0, 1), triangle(1, 1)] == [0.2, 0]


def test_reflections_are_numpy_s() -> None:
    images = torch.randint(0, 256, (5, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    padded = reflected(images)
    np.testing.assert_array_equal(padded.numpy(), np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect"))
    row, column = torch.randint(0, 5, (2, 5), generator=torch.Generator().manual_seed(3))
    for place, found in enumerate(cropped(padded, 9, torch.Generator().manual_seed(3))):
        assert torch.equal(found, padded[place, :, row[place] : row[place] + 9, column[place] : column[place] + 9])


def test_every_image_is_flipped_in_every_other_epoch() -> None:
    """Images whose rows are flat in the middle and rise to one side: crops by two pixels do not hide which."""
    ramp = torch.arange(0, 240, 15, dtype=torch.uint8).expand(40, 1, 16, 16)
    found = descent(FAST, ramp)
    places = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    flipped = []
    for epoch in (1, 2, 3, 4):
        moved = found.batch(places, epoch)[:, 0]
        flipped.append(torch.empty(40, dtype=torch.bool).index_put((places,), moved[:, 8, 4] > moved[:, 8, 11]))
    assert torch.equal(flipped[0], flipped[2])
    assert torch.equal(flipped[1], flipped[3])
    assert torch.equal(flipped[0], ~flipped[1])
    assert 10 < int(flipped[0].sum()) < 30  # binomial(40, 1/2) is outside of it once in 500 seeds; this is one


def test_long_gradients_are_shortened() -> None:
    """A step of SGD at any loss changes the weights by at most the rate; the paper's recipe, the control, by more."""
    images = torch.full((40, 1, 16, 16), 255, dtype=torch.uint8)
    moved = []
    for config in (FAST, replace(FAST, recipe="paper")):
        config = replace(config, epochs=1, batch_size=40, learning_rate=0.5, weight_decay=0.0, momentum=0.0)
        one = descent(config, images)
        with torch.no_grad():
            list(one.model.parameters())[-2].mul_(100)
        before = torch.cat([p.detach().flatten() for p in one.model.parameters()])
        list(one.epochs(None))
        after = torch.cat([p.detach().flatten() for p in one.model.parameters()])
        moved.append(float((after - before).norm()))
    assert moved[0] == pytest.approx(0.5 * 0.2, rel=1e-4)  # the first step has a fifth of the peak
    assert moved[1] > 1


@needs_muon
def test_an_update_of_muon_is_that_of_the_matrix_in_either_memory_format() -> None:
    """Orthogonal to Newton-Schulz's few per cent, of the filters' mean norm 1, and the same for both layouts."""
    draw = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(2, 8, 4, 3, 3, generator=draw)
    from empirical.training.filter_descent import FilterMuon

    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        filters = nn.Parameter(start.clone().to(memory_format=layout))
        filters.grad = gradient.clone()
        optimizer = FilterMuon([filters], 0.1, 0.0)
        optimizer.step()
        optimizer.zero_grad()
        assert filters.grad is None
        ends.append(filters.detach().flatten(1))
    torch.testing.assert_close(ends[0], ends[1], atol=2e-3, rtol=0)  # the iteration is in bfloat16
    assert float(ends[0].norm()) == pytest.approx(8**0.5)
    before = start.flatten(1)
    update = ends[0] * (float((before * ends[0]).sum()) / float(ends[0].square().sum()))  # to first order
    moved = (before - update) / 0.1
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    overlap = float((moved * (left @ right)).sum() / (moved.norm() * 8**0.5))
    assert overlap > 0.9
    assert float((gradient.flatten(1) * (left @ right)).sum() / (gradient.norm() * 8**0.5)) < overlap
    with pytest.raises(ValueError, match="four dimensions"):
        FilterMuon([nn.Parameter(torch.ones(2, 2))], 0.1, 0.0)


def test_the_recipe_is_in_the_hash_and_old_hashes_are_as_they_were() -> None:
    assert config_hash(ImageConfig()) == "ab9a58006aa584f4"
    assert config_hash(ImageConfig(recipe="fast")) != config_hash(ImageConfig())
    assert (ImageConfig().variant, FAST.variant) == ("", "fast recipe")
    assert replace(FAST, augmentation="noise").variant == "fast recipe, trained on noise"


def test_a_checkpoint_of_other_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(40, 1, 16, 16, dtype=torch.uint8)
    saved = descent(FAST, images).state([], 0.0, 0.0, [], None)
    descent(FAST, images).restore(saved, "here")
    monkeypatch.setattr(empirical.training.recipe, "_UNNORMED", 0.04)
    with pytest.raises(InputError, match="checkpoint = here: was made by other numbers of the recipe"):
        descent(FAST, images).restore(saved, "here")


@needs_muon
def test_the_numbers_of_the_recipe_are_pinned() -> None:
    """A store knows the recipe by its name alone: other numbers need another name."""
    nets = ("lenet", "resnet-small", "airbench")
    found = [recipe(replace(FAST, architecture=name, batch_size=32), build(name, 1, 16, 10, 0), 128) for name in nets]
    assert [2 * one.learning_rate for one in found] == pytest.approx([0.08, 0.2, 0.12])
    assert [one.longest_gradient for one in found] == [1, 1, np.inf]
    assert {(one.momentum, one.weight_decay, one.label_smoothing) for one in found} == {(0.9, 5e-4, 0.2)}
    rates = [[group["lr"] / one.learning_rate for group in one.make(build(name, 1, 16, 10, 0))[0][-1].param_groups]
             for name, one in zip(nets, found, strict=True)]  # fmt: skip
    np.testing.assert_allclose(np.array(rates) / np.array(rates)[:, :1], [[1, 1], [1, 1], [1, 62.5]])


@needs_muon
def test_what_the_recipe_comes_to() -> None:
    net, normed = build("lenet", 1, 16, 10, 0), build("airbench", 1, 16, 10, 0)
    plain, muon = recipe(FAST, net, 40), recipe(replace(FAST, architecture="airbench"), normed, 40)
    assert (plain.optimizer, muon.optimizer) == ("sgd", "muon")
    assert plain.label_smoothing == 0.2
    four = recipe(replace(FAST, train_size=80, batch_size=80), net, 80)
    assert four.learning_rate == pytest.approx(2 * plain.learning_rate)
    first, second = muon.make(normed)[0]
    assert sum(map(len, (group["params"] for one in (first, second) for group in one.param_groups))) == len(
        list(normed.parameters())
    )
    auto = replace(FAST, augmentation="auto")
    assert [recipe(replace(auto, dataset=name), net, 40).augmented for name in ("fashion-mnist", "mnist")] == [
        True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "chosen"), [((1.0, 0.5), "bfloat16"), ((1.0, 0.95), "float32"), ((0.5, 1.0), "float32")]
)
def test_the_precision_is_that_of_the_shorter_step(times: tuple[float, float], chosen: str) -> None:
    seconds = dict(zip(("float32", "bfloat16"), times, strict=True))
    model, state = nn.Conv2d(1, 1, 1), torch.get_rng_state()
    found = faster_precision(model, torch.zeros(1), torch.zeros(1), lambda *given: seconds[given[-1]])
    assert found == chosen
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
@needs_muon
def test_the_chosen_precision_is_kept_with_the_run_and_by_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(empirical.training.descent, "faster_precision", lambda *given: "bfloat16")
    config = replace(FAST, architecture="airbench", precision="auto")
    sweep(Experiment(config, (40,), (0,)), tmp_path)
    kept = RunStore(tmp_path).training(config)
    assert kept is not None
    assert kept["recipe"]["precision"] == "bfloat16"
    assert kept["parameters"] == sum(one.numel() for one in build("airbench", 1, 16, 10, 0).parameters())
    assert kept["core_seconds"] > 0

    def stop(part: float) -> None:
        if part > 0.5:
            raise KeyboardInterrupt

    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        train(config, checkpoint=state, checkpoint_seconds=0, progress=stop)
    monkeypatch.setattr(empirical.training.descent, "faster_precision", lambda *given: "float32")
    resumed = train(config, checkpoint=state)
    assert resumed.recipe.precision == "bfloat16"
    first = resumed.model.net[0]  # has seen the images: four rows of a patch and their negatives, no longer orthogonal
    rows = first.weight[:4].flatten(1)
    assert float((rows @ rows.T - torch.eye(4)).abs().max()) > 1
    whole = json.loads((RunStore(tmp_path).path(config) / "training.json").read_text())
    assert whole == kept
    table = sweep(Experiment(config, (40,), (0,)), tmp_path)
    assert resumed.table.drop(columns="seconds").equals(table.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 41}, "batch_size = 41: must be at most 40 in the fast recipe"),
        ({"batch_size": 40, "weights": "best"}, "batch_size = 40: must be at most 36"),
        ({"optimizer": "adam"}, "optimizer = adam: must be auto, sgd or muon"),
        ({"optimizer": "muon", "recipe": "paper"}, "optimizer = muon: is of the fast recipe alone"),
    ],
)
def test_settings_that_do_not_go_together(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(FAST, **change)  # type: ignore[arg-type]


def test_a_net_without_convolutions_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="recipe = fast: is for nets with convolutions, and fc4 has none"):
        check(replace(FAST, architecture="fc4"))
    with pytest.raises(InputError, match="optimizer = muon: keeps the norm of filters.*lenet has none"):
        train(replace(FAST, architecture="lenet", optimizer="muon"))


def test_muon_where_torch_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(InputError, match="optimizer = muon: needs torch 2.9 or later, and this is .*: take sgd"):
        train(replace(FAST, architecture="airbench"))
    assert train(replace(FAST, architecture="airbench", optimizer="sgd")).recipe.optimizer == "sgd"


def test_bfloat16_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose products refuse bfloat16: one line, and auto takes float32."""

    def refuse(self: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such type here\nand a long trace")

    monkeypatch.setattr(nn.Conv2d, "forward", refuse)
    images = torch.zeros(40, 1, 16, 16, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"bfloat16: is not supported on cpu \(no such type here\)"):
        descent(replace(FAST, precision="bfloat16"), images)
    assert faster_precision(nn.Linear(1, 1), torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)) == "float32"
