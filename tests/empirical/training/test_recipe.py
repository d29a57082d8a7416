"""The recipe: what the defaults come to, crops and flips, held-out parts, records along training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from scipy import stats  # noqa: E402
from torch import nn  # noqa: E402

import empirical.training.descent  # noqa: E402
from empirical import ImageConfig, build, crop_and_flip, load_data, train  # noqa: E402
from empirical.data.named_sets import training_subset  # noqa: E402
from empirical.nets.evaluation import classification_error  # noqa: E402
from empirical.training.recipe import perturbed, recipe  # noqa: E402
from theory import InputError  # noqa: E402

SMALL = ImageConfig(
    image_size=16, train_size=200, epochs=8, min_steps=0, batch_size=50, probe_size=40, displacement=0.5
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("architecture", "optimizer", "learning_rate", "momentum", "weight_decay"),
    [
        ("fc4", "adam", 1e-3, 0.0, 0.0),
        ("fully-connected", "adam", 1e-3, 0.0, 0.0),
        ("lenet", "sgd", 0.01, 0.9, 5e-4),
        ("resnet-small", "sgd", 0.1, 0.9, 5e-4),
        ("vit-small", "sgd", 0.01, 0.9, 5e-4),
    ],
)
def test_the_default_is_the_paper_s(
    architecture: str, optimizer: str, learning_rate: float, momentum: float, weight_decay: float
) -> None:
    config = ImageConfig(architecture=architecture)
    net = build(architecture, 3, 32, 10, 0)
    found = recipe(config, net, 1000)
    assert (found.optimizer, found.learning_rate) == (optimizer, learning_rate)
    assert (found.momentum, found.weight_decay) == (momentum, weight_decay)
    assert (found.epochs, found.batches, found.steps) == (250, 8, 2000)
    assert not found.augmented
    assert recipe(replace(config, dataset="cifar10"), net, 1000).augmented
    assert not recipe(replace(config, dataset="cifar10", augmentation="none"), net, 1000).augmented
    assert recipe(replace(config, augmentation="crop-flip"), net, 1000).augmented
    chosen = replace(config, optimizer="adam", learning_rate=0.5, weight_decay=0.25, min_steps=5000)
    assert recipe(chosen, net, 1000) == replace(
        found, optimizer="adam", learning_rate=0.5, weight_decay=0.25, momentum=0.0, epochs=625
    )


def test_weights_decay_and_biases_and_norms_do_not() -> None:
    """One step at a gradient of zero: weights shrink by lr * decay, all else stays; the rate ends at zero."""
    net = build("resnet-small", 1, 16, 10, 0)
    found = recipe(replace(SMALL, weight_decay=0.5, learning_rate=0.1), net, 200)
    before = {name: value.clone() for name, value in net.named_parameters()}
    (optimizer,), (schedule,) = found.make(net)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in net.named_parameters():
        factor = 1 - 0.1 * 0.5 if value.ndim > 1 else 1
        torch.testing.assert_close(value, before[name] * factor, msg=name)
    for _ in range(found.steps):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0, 0], abs=1e-12)


def test_every_point_once_an_epoch() -> None:
    found = recipe(SMALL, build("lenet", 1, 16, 10, 0), 121)
    batches = list(found.epoch(121, generator()))
    assert [len(batch) for batch in batches] == [41, 40, 40]  # no remainder of one, on which batch norm fails
    assert sorted(torch.cat(batches).tolist()) == list(range(121))
    assert not torch.equal(torch.cat(batches), torch.cat(list(found.epoch(121, generator(1)))))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_and_flips_are_those_of_a_plain_loop(dtype: torch.dtype, channels: int) -> None:
    """Image by image: padded by 4 black pixels, cut out at its own place, mirrored or not."""
    images = (torch.rand(40, channels, 12, 12, generator=generator(1)) * 255).to(dtype)
    found = crop_and_flip(images, generator(5))
    assert found.dtype == dtype
    source = generator(5)
    row, column = torch.randint(0, 9, (2, 40), generator=source)
    mirrored = torch.rand(40, generator=source) < 0.5
    for place, image in enumerate(images):
        padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
        cut = padded[:, row[place] : row[place] + 12, column[place] : column[place] + 12]
        np.testing.assert_array_equal(found[place].numpy(), cut[:, :, ::-1] if mirrored[place] else cut)


def test_crops_and_flips_have_the_law_they_should() -> None:
    """Places uniform on 9 x 9, mirrors fair, independent: chi-square over 162 outcomes of 8100 draws, level 0.001.

    Control: half as many mirrors fail.
    """
    image = torch.zeros(1, 1, 24, 24)
    image[0, 0, 11, 9] = 1  # off the middle, so that a mirrored one can be told: columns 5..13 and 10..18 overlap ...
    image[0, 0, 11, 10] = 2  # ... but the order of the two does not
    found = crop_and_flip(image.expand(8100, -1, -1, -1), generator(3))[:, 0].flatten(1)
    one, two = (found == 1).int().argmax(1), (found == 2).int().argmax(1)
    mirrored = two < one
    column = torch.where(mirrored, 23 - one % 24, one % 24) - 9
    outcome = ((one // 24 - 11 + 4) * 9 + column + 4) * 2 + mirrored
    counts = np.bincount(outcome.numpy(), minlength=162)
    assert len(counts) == 162
    assert stats.chisquare(counts).pvalue > 0.001
    rare = counts.reshape(81, 2) * np.array([1.5, 0.5])
    assert stats.chisquare(rare.ravel()).pvalue < 0.001


@pytest.mark.slow
def test_records_along_training() -> None:
    """Log-spaced epochs, with test errors; the training itself is the same as without."""
    run = train(replace(SMALL, records=3))
    assert run.table["stage"].tolist() == ["initial", "epoch=1", "epoch=2", "epoch=4", "trained"]
    assert run.table["test_error"].isna().tolist() == [True, False, False, False, False]
    plain = train(SMALL)
    assert plain.table.iloc[-1].drop("seconds").equals(run.table.iloc[-1].drop("seconds"))
    normed = train(replace(SMALL, records=3, architecture="resnet-small"))
    unrecorded = train(replace(SMALL, architecture="resnet-small"))
    assert unrecorded.table.iloc[-1].drop("seconds").equals(normed.table.iloc[-1].drop("seconds"))
    short = train(replace(SMALL, epochs=1, records=5))
    assert short.table["stage"].tolist() == ["initial", "trained"]


def test_the_best_epoch_is_that_of_the_held_out_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights kept have the least error there of all epochs; the held-out points are not trained on."""
    seen: set[bytes] = set()
    scores: list[float] = []
    original = empirical.training.descent.Descent._loss
    keep = empirical.training.descent.Descent._keep_the_best

    def spy(self, places, epoch):  # type: ignore[no-untyped-def]
        seen.update(image.numpy().tobytes() for image in self.images[places])
        return original(self, places, epoch)

    def note(self, epoch):  # type: ignore[no-untyped-def]
        if epoch > 4:  # the cosine would make the last epoch the best: spoil those after the fourth
            with torch.no_grad():
                list(self.model.parameters())[-2].zero_()
        keep(self, epoch)
        scores.append(classification_error(self.model, *self.held))

    monkeypatch.setattr(empirical.training.descent.Descent, "_loss", spy)
    monkeypatch.setattr(empirical.training.descent.Descent, "_keep_the_best", note)
    config = replace(SMALL, weights="best", held_out=0.25, epochs=6, architecture="resnet-small")
    run = train(config)
    data = load_data("digits", image_size=16)
    subset = int(np.random.SeedSequence(config.seed).spawn(3)[0].generate_state(1)[0])
    images, labels = training_subset(data, 200, subset)
    held = {image.numpy().tobytes() for image in images[:50]}
    assert not held & seen
    assert len(seen) == 150
    assert classification_error(run.model, images[:50], labels[:50]) == min(scores) < max(scores)
    assert run.epoch is not None
    assert scores[run.epoch - 1] == min(scores)
    assert run.epoch <= 4
    assert run.summary()["epoch"] == run.epoch
    assert run.summary()["recipe"]["learning_rate"] == 0.1


def test_adam_trains_the_fully_connected() -> None:
    run = train(replace(SMALL, architecture="fc2", epochs=30))
    assert run.recipe is not None
    assert run.recipe.optimizer == "adam"
    assert run.table["test_error"].iloc[-1] < 0.35


def test_bfloat16_training_is_close_to_single_precision_and_not_the_same() -> None:
    single, half = (
        train(replace(SMALL, architecture="resnet-small", precision=precision)) for precision in ("float32", "bfloat16")
    )
    assert next(half.model.parameters()).dtype == torch.float32
    errors = [run.table["test_error"].iloc[-1] for run in (single, half)]
    assert errors[0] == pytest.approx(errors[1], abs=0.1)
    assert single.train_loss != half.train_loss


def test_augmented_images_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        calls.append(len(images))
        return crop_and_flip(images, generator)

    monkeypatch.setattr(empirical.training.descent, "crop_and_flip", counted)
    plain = train(replace(SMALL, epochs=1))
    assert not calls
    other = train(replace(SMALL, epochs=1, augmentation="crop-flip"))
    assert calls == [50] * 4
    assert other.train_loss != plain.train_loss


def test_a_device_that_is_not_there() -> None:
    for device in ("cuda:99", "toaster"):
        with pytest.raises(InputError, match=f"device = {device}: is not here"):
            train(SMALL, device=device)


@pytest.mark.gpu
def test_training_on_a_card_agrees_with_the_cpu() -> None:
    """The same subsets, batches and probes; sums in another order: the last error within 5 points."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cpu, card = (train(SMALL, device=device) for device in ("cpu", "cuda"))
    first = [run.table["relative_stability"].iloc[0] for run in (cpu, card)]
    assert first[0] == pytest.approx(first[1], rel=1e-3)
    assert cpu.table["test_error"].iloc[-1] == pytest.approx(card.table["test_error"].iloc[-1], abs=0.05)


def test_nothing_of_the_normalisation_is_learnt() -> None:
    run = train(replace(SMALL, epochs=1))
    names = {name for name, _ in run.model.named_parameters()}
    assert all(name.startswith("net.") for name in names)
    assert isinstance(run.model.get_submodule("net"), nn.Module)


def test_training_noise_has_the_norm_of_the_deformations_that_training_would_make() -> None:
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    images[3] = 0.5  # a constant image, which no deformation moves
    noisy, deformed = (
        perturbed(images, kind, 3, 1.0, torch.Generator().manual_seed(1)) - images for kind in ("noise", "diffeo")
    )
    norms, expected = (difference.flatten(1).norm(dim=1) for difference in (noisy, deformed))
    moved = torch.arange(20) != 3
    torch.testing.assert_close(norms[moved], expected[moved], rtol=1e-4, atol=0)
    assert float(norms[3]) < 1e-3
    # The noise is not the deformation: they are nearly orthogonal.
    cosine = (noisy * deformed).flatten(1).sum(1) / (norms * expected)
    assert float(cosine[moved].abs().max()) < 0.3  # five standard deviations of 1 / 16


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", ["noise", "diffeo"])
def test_the_arms_of_the_intervention_are_told_apart_in_the_table(augmentation: str) -> None:
    few = replace(SMALL, train_size=64, epochs=4, augmentation=augmentation)
    first, again, plain = train(few), train(few), train(replace(few, augmentation="none"))
    assert set(first.table["variant"]) == {f"trained on {augmentation}"}
    assert set(plain.table["variant"]) == {""}
    assert first.table["relative_stability"].tolist() == again.table["relative_stability"].tolist()
    assert first.train_loss != plain.train_loss
    assert first.recipe is not None
    assert first.recipe.perturbation == augmentation
