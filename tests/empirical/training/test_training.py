"""Configurations, one training run, and sweeps with their store."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import empirical.runs.sweeps  # noqa: E402
from empirical import Experiment, ImageConfig, RunStore, StripeConfig, SweepIncomplete, sweep, train  # noqa: E402
from empirical.training.config import config_hash  # noqa: E402
from theory import InputError, read_table  # noqa: E402

TINY = ImageConfig(image_size=16, train_size=32, epochs=2, min_steps=10, probe_size=50)
GRID = Experiment(TINY, (16, 32), (0, 1), ("lenet", "fully-connected"))


def timeless(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds")


def test_the_hash_names_the_configuration_and_nothing_else() -> None:
    """Stores made before stay readable: the hash of a known configuration is pinned."""
    assert config_hash(ImageConfig()) == "ab9a58006aa584f4"
    assert set(CHANGES) == {item.name for item in fields(ImageConfig)}
    hashes = {config_hash(replace(ImageConfig(), **{name: value})) for name, value in CHANGES.items()}
    assert len(hashes | {config_hash(ImageConfig())}) == len(fields(ImageConfig)) + 1
    assert config_hash(StripeConfig()) not in hashes


CHANGES = {
    "dataset": "mnist", "architecture": "resnet-small", "train_size": 7, "seed": 9, "image_size": 20, "epochs": 3,
    "min_steps": 4, "batch_size": 5, "learning_rate": 0.3, "momentum": 0.1, "weight_decay": 0.2, "cutoff": 4,
    "displacement": 0.7, "average": "median", "probe_size": 10, "probe_seed": 3, "optimizer": "adam",
    "augmentation": "none", "weights": "best", "held_out": 0.2, "records": 3, "precision": "bfloat16",
    "recipe": "fast",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ImageConfig, {"train_size": 0}), (ImageConfig, {"seed": -1}), (ImageConfig, {"image_size": 4}),
        (ImageConfig, {"learning_rate": 0.0}), (ImageConfig, {"momentum": 1.5}), (ImageConfig, {"cutoff": 1}),
        (ImageConfig, {"displacement": float("inf")}), (ImageConfig, {"average": "mode"}),
        (ImageConfig, {"optimizer": "lion"}), (ImageConfig, {"augmentation": "mixup"}),
        (ImageConfig, {"weights": "first"}), (ImageConfig, {"held_out": 0.0}), (ImageConfig, {"held_out": 0.6}),
        (ImageConfig, {"records": -1}), (ImageConfig, {"precision": "float16"}), (ImageConfig, {"weight_decay": -1}),
        (ImageConfig, {"train_size": 1, "weights": "best"}),
        (StripeConfig, {"dim": 1}), (StripeConfig, {"train_size": 0}), (StripeConfig, {"batch_size": 5000}),
        (StripeConfig, {"loss": "mse"}), (StripeConfig, {"scale": 0.0}), (StripeConfig, {"unfit_fractions": ()}),
        (StripeConfig, {"unfit_fractions": (0.1, 0.5)}), (StripeConfig, {"unfit_fractions": (1.0,)}),
        (StripeConfig, {"time_step": -1.0}),
    ],
)  # fmt: skip
def test_bad_configurations(kind: type, change: dict[str, object]) -> None:
    with pytest.raises(InputError) as error:
        kind(**change)
    assert str(error.value).startswith(next(iter(change)))


def test_a_run_is_a_function_of_its_configuration() -> None:
    state = torch.get_rng_state()
    one, two = train(TINY), train(TINY)
    other = train(replace(TINY, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.table["stage"].tolist() == ["initial", "trained"]
    pd.testing.assert_frame_equal(timeless(one.table), timeless(two.table), check_exact=True)
    assert not timeless(one.table).equals(timeless(other.table))
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))
    assert one.table["test_error"].notna().tolist() == [False, True]
    json.dumps(one.summary(), allow_nan=False)


@pytest.mark.slow
def test_training_learns() -> None:
    """The default recipe on digits, P = 512: test error below 0.25, where guessing has 0.9; training points fitted."""
    table = train(ImageConfig(image_size=16, train_size=512, probe_size=50)).table
    assert table["test_error"].iloc[-1] < 0.25
    assert table["train_error"].iloc[-1] < 0.05


def test_a_loss_that_is_not_finite_names_the_learning_rate() -> None:
    with pytest.raises(InputError, match=r"learning_rate = 1e\+20: the loss became (nan|inf) in epoch"):
        train(replace(TINY, learning_rate=1e20))


def test_more_points_than_there_are() -> None:
    with pytest.raises(InputError, match="train_size = 1298: digits has 1297 training images"):
        train(replace(TINY, train_size=1298))


def test_sweep_keeps_runs_and_does_not_do_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[tuple[int, int]] = []
    store = RunStore(tmp_path / "runs")
    first = sweep(GRID, store, progress=lambda done, total, config: reported.append((done, total)))
    assert reported == [(k, 8) for k in range(1, 9)]
    assert len(first) == 16
    folders = sorted((tmp_path / "runs").glob("[!.]*"))
    assert [f.name for f in folders] == sorted(config_hash(config) for config in GRID.configs())
    files = {
        "checksums.json", "config.json", "environment.json", "log.csv", "record.csv", "training.json",
        "weights.safetensors",
    }  # fmt: skip
    assert {f.name for f in folders[0].iterdir()} == files

    def never(*args: object) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr(empirical.runs.sweeps, "_run", never)
    again = sweep(GRID, tmp_path / "runs")
    pd.testing.assert_frame_equal(again, first, rtol=1e-6)


def test_a_sweep_that_fails_keeps_what_was_finished_and_nothing_half(tmp_path: Path) -> None:
    good, bad = Experiment(TINY, (16,), (0,)), Experiment(replace(TINY, learning_rate=1e20), (24,), (0,))
    told = "1 of 2 runs missing: digits, lenet, P = 24, seed 0: learning_rate"
    with pytest.raises(SweepIncomplete, match=told) as caught:
        sweep([good, bad], tmp_path)
    assert [path.name for path in tmp_path.glob("[!.]*")] == [config_hash(good.configs()[0])]
    assert set(caught.value.table["train_size"]) == {16}
    assert list(caught.value.failures) == bad.configs()


def test_a_sweep_is_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train_size = 5000: digits has 1297"):
        sweep(Experiment(TINY, (16, 5000)), tmp_path)
    with pytest.raises(InputError, match="architecture = vgg"):
        sweep(Experiment(TINY, (16,), (0,), ("lenet", "vgg")), tmp_path)
    with pytest.raises(InputError, match="executor = 0"):
        sweep(GRID, tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_table_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    one, two = sweep(GRID), sweep(GRID, tmp_path, 2)
    pd.testing.assert_frame_equal(timeless(one), timeless(two), rtol=1e-6)
    assert read_table(next(tmp_path.glob("[!.]*")) / "record.csv")["stage"].tolist() == ["initial", "trained"]


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="store = .*cannot be made a folder"):
        RunStore(tmp_path / "file")


def test_a_sweep_that_cannot_begin_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train_size"):
        sweep(replace(GRID, train_sizes=(10**6,)), tmp_path / "new" / "runs")
    with pytest.raises(InputError, match="device"):
        sweep(GRID, RunStore(tmp_path / "new" / "runs"), device="cdua")
    assert list(tmp_path.iterdir()) == []


def test_the_committed_table_came_from_the_committed_experiment() -> None:
    """Every configuration of the experiment file is a row of the table, and no other is."""
    folder = Path(__file__).parents[3] / "paper" / "data"
    for name in ("fashion_mnist", "fashion_mnist_batch8"):
        configs = [c for e in empirical.read_experiments(folder / f"{name}.toml") for c in e.configs()]
        table = read_table(folder / f"{name}.csv")
        keys = ["architecture", "train_size", "seed"]
        expected = {tuple(getattr(config, key) for key in keys) for config in configs}
        assert {tuple(row) for row in table[keys].itertuples(index=False)} == expected
        assert (table["stage"] == "trained").sum() == len(configs)
