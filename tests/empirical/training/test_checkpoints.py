"""A run that is cut and goes on ends with the numbers of one that is not, to the bit; damaged files count as none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import empirical.training.images  # noqa: E402
from empirical import ImageConfig, Run, train  # noqa: E402
from empirical.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from theory import InputError  # noqa: E402

SMALL = ImageConfig(
    image_size=16, train_size=60, epochs=6, min_steps=0, batch_size=20, probe_size=20, displacement=0.5, records=3
)


class Cut(Exception):
    pass


def cut_after(epoch: int, config: ImageConfig, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with a checkpoint at every epoch, and stop in the one after `epoch`."""

    def stop(part: float) -> None:
        if part > (epoch + 0.5) / config.epochs:
            raise Cut

    with pytest.raises(Cut):
        train(config, checkpoint=path, checkpoint_seconds=0, progress=stop)
    assert path.is_file()


def same(one: Run, other: Run) -> None:
    pd.testing.assert_frame_equal(one.table.drop(columns="seconds"), other.table.drop(columns="seconds"),
                                  check_exact=True)  # fmt: skip
    for (name, value), theirs in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
        assert torch.equal(value, theirs), name
    assert (one.train_loss, one.epoch) == (other.train_loss, other.epoch)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "resnet-small", "augmentation": "crop-flip"},  # batch norm, momentum, random crops
        {"architecture": "fc2", "weights": "best", "held_out": 0.3},  # Adam, the best so far
        {"architecture": "resnet-small", "precision": "bfloat16"},
    ],
)
def test_to_the_bit(changes: dict[str, object], epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, **changes)  # type: ignore[arg-type]
    whole = train(config)
    path = tmp_path / "state"
    cut_after(epoch, config, path, monkeypatch)
    begun: list[int] = []
    resumed = train(config, checkpoint=path, progress=lambda part: begun.append(round(part * 6)))
    assert begun == list(range(epoch + 1, 7))  # it did not begin again
    same(whole, resumed)
    assert not path.exists()
    assert resumed.table["seconds"].iloc[-1] > 0


@pytest.mark.slow
def test_dropout_goes_on_with_its_own_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet draws dropout from torch's default generator, whose state is kept and put back."""
    config = replace(SMALL, architecture="alexnet", image_size=32, train_size=20, epochs=3, records=0)
    whole = train(config)
    cut_after(1, config, tmp_path / "state", monkeypatch)
    same(whole, train(config, checkpoint=tmp_path / "state"))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_counts_as_none(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    cut_after(3, SMALL, path, monkeypatch)
    content = bytearray(path.read_bytes())
    assert read_checkpoint(path) is not None
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-100]), "empty": b""}[damage])
    assert read_checkpoint(path) is None
    begun: list[int] = []
    run = train(SMALL, checkpoint=path, progress=lambda part: begun.append(round(part * 6)))
    assert begun == list(range(1, 7))
    same(train(SMALL), run)


def test_that_of_another_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_after(2, SMALL, tmp_path / "state", monkeypatch)
    with pytest.raises(InputError, match="checkpoint = .*is that of another configuration"):
        train(replace(SMALL, seed=5), checkpoint=tmp_path / "state")


def test_none_is_written_where_none_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(empirical.training.images, "write_checkpoint", never)
    train(replace(SMALL, epochs=2))
    train(replace(SMALL, epochs=2), checkpoint=tmp_path / "state")  # done within the minute
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = {"a/b": torch.arange(5), "a/c": torch.tensor(2.5, dtype=torch.float64), "d": torch.ones(2, 3)}
    facts = {"number": 0.1, "rows": [{"x": 1e-300, "y": None}], "text": "é"}
    write_checkpoint(tmp_path / "file", Checkpoint(tensors, facts))
    found = read_checkpoint(tmp_path / "file")
    assert found is not None
    assert found.facts == facts
    assert {name: value.tolist() for name, value in found.tensors.items()} == {
        name: value.tolist() for name, value in tensors.items()
    }
    assert set(found.part("a")) == {"b", "c"}
    assert read_checkpoint(tmp_path / "none") is None


def test_a_checkpoint_of_another_version_counts_as_none(tmp_path: Path) -> None:
    """Another revision, or a model whose parameters have other shapes; control: the same one is used."""
    from torch import nn

    from empirical.training.descent import usable

    model = nn.Linear(3, 2)
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    now = Checkpoint(tensors, {"revision": 4})
    assert usable(now, model, None) is now
    assert usable(Checkpoint(tensors, {"revision": 0}), model, None) is None
    assert usable(Checkpoint(tensors, {}), model, None) is None
    assert usable(now, nn.Linear(4, 2), None) is None
    assert usable(now, model, "other images") is None
    assert usable(None, model, None) is None
