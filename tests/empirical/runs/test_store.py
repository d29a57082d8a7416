"""Sweeps with several workers, resumed and failing; the store of their runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import empirical.runs.sweeps  # noqa: E402
import theory.runs.store  # noqa: E402
from empirical import (  # noqa: E402
    Experiment,
    ImageConfig,
    RunStore,
    StripeConfig,
    SweepIncomplete,
    sweep,
    train,
)
from empirical.training.checkpoints import read_checkpoint  # noqa: E402
from empirical.training.config import config_hash, config_to_dict  # noqa: E402
from empirical.training.run import RunOptions  # noqa: E402
from theory import InputError, RayCluster  # noqa: E402

TINY = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=3, probe_size=20)


FILES = {
    "checksums.json", "config.json", "environment.json", "log.csv", "record.csv", "training.json",
    "weights.safetensors",
}  # fmt: skip


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_experiments_are_united_and_a_run_in_two_of_them_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table holds the union, in the order of the experiments, images and stripes alike."""
    done: list[object] = []
    original = empirical.runs.sweeps._run

    def counted(group: tuple[ImageConfig, ...], *rest: object) -> object:
        done.extend(group)
        return original(group, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(empirical.runs.sweeps, "_run", counted)
    stripe = StripeConfig(dim=3, width=20, unfit_fractions=(0.9,), probe_size=50)
    grids = [
        Experiment(TINY, (16, 32), (0,)),
        Experiment(replace(TINY, architecture="fully-connected"), (16,), (0, 1), ("lenet", "fully-connected")),
        Experiment(stripe, (8,), (0,)),
    ]
    table = sweep(iter(grids))
    expected = [config for grid in grids for config in grid.configs()]
    assert len(expected) == 7
    assert done == list(dict.fromkeys(expected))
    assert len(done) == 6
    rows = table.drop_duplicates(["task", "architecture", "train_size", "seed"])
    assert [(row.train_size, row.seed) for row in rows.itertuples()] == [(c.train_size, c.seed) for c in done]
    assert set(table.source) == {"images", "stripe-net"}


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after the first of three runs; the second call does the other two and reports all."""
    grid = Experiment(TINY, (16,), (0, 1, 2))

    class Stop(Exception):
        pass

    def stop(done: int, total: int, config: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        sweep(grid, tmp_path, progress=stop)
    first = grid.configs()[0]
    assert names(tmp_path) == {config_hash(first)}
    reported: list[tuple[int, int, object]] = []
    table = sweep(grid, tmp_path, progress=lambda *report: reported.append(report))
    assert reported == [(2, 3, grid.configs()[1]), (3, 3, grid.configs()[2])]
    assert list(table[table.stage == "trained"].seed) == [0, 1, 2]
    assert names(tmp_path) == {config_hash(config) for config in grid.configs()}


def test_a_stored_run_says_what_it_was(tmp_path: Path) -> None:
    sweep(Experiment(TINY, (16,), (3,)), tmp_path)
    config = replace(TINY, seed=3)
    folder = RunStore(tmp_path).path(config)
    assert json.loads((folder / "config.json").read_text()) == config_to_dict(config)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["relstab"] == version("relstab")
    assert RunStore(tmp_path).read(replace(TINY, seed=4)) is None


def test_a_run_that_cannot_be_written_leaves_nothing_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, digits: int) -> None:
        (Path(str(args[1])).parent / "half").write_text("a")
        raise OSError("disk full")

    monkeypatch.setattr(theory.runs.store, "write_table", full)
    with pytest.raises(SweepIncomplete, match=r"disk full \(tried 2 times\)"):
        sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    assert names(tmp_path) == set()
    assert not list(tmp_path.glob(".unfinished*"))


def test_of_two_that_finish_the_same_run_the_first_stays(tmp_path: Path) -> None:
    store, run = RunStore(tmp_path), train(TINY)
    store.write(run)
    record = store.path(TINY) / "record.csv"
    before = record.read_bytes(), record.stat().st_ino
    store.write(replace(run, table=run.table.assign(seconds=1.0)))
    assert (record.read_bytes(), record.stat().st_ino) == before
    assert names(tmp_path) == {config_hash(TINY)}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_put_back() -> None:
    sweep(Experiment(TINY, (16,), (0,)))
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_stored_number_of_threads_is_the_runs(tmp_path: Path) -> None:
    """A sweep trains on one thread, whatever the caller has."""
    sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    assert json.loads((RunStore(tmp_path).path(TINY) / "environment.json").read_text())["threads"] == "1"


@pytest.mark.slow
def test_two_workers_give_the_same_table_bit_for_bit(tmp_path: Path) -> None:
    """All columns but the wall time, whatever order the runs finish in, and as many threads as there are here."""
    grid = Experiment(TINY, (16, 64), (0, 1), ("lenet", "fully-connected"))
    one, two = sweep(grid, executor=1), sweep(grid, tmp_path, executor=2)
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"), check_exact=True)
    assert names(tmp_path) == {config_hash(config) for config in grid.configs()}


@pytest.mark.slow
def test_a_run_that_fails_in_a_worker_does_not_stop_the_others(tmp_path: Path) -> None:
    """It is tried once, since it would fail again, in this sweep and in the next; with retry_failed it is tried."""
    good = Experiment(TINY, (16,), (0, 1))
    bad = Experiment(replace(TINY, learning_rate=1e20, epochs=3), (24,), (0,))
    with pytest.raises(SweepIncomplete) as caught:
        sweep([bad, good], tmp_path, executor=2, retries=3)
    (failure,) = caught.value.failures.values()
    assert failure.message.startswith("learning_rate = 1e+20: the loss became")
    assert (failure.kind, failure.tries, failure.final) == ("InputError", 1, True)
    assert names(tmp_path) == {config_hash(config) for config in good.configs()}
    for path in tmp_path.glob("[!.]*"):
        assert names(path) == FILES
    again: list[int] = []
    with pytest.raises(SweepIncomplete):
        sweep([bad, good], tmp_path, progress=lambda *report: again.append(1))
    assert not again
    with pytest.raises(SweepIncomplete):
        sweep([bad, good], tmp_path, progress=lambda *report: again.append(1), retry_failed=True)
    assert len(again) == 1
    store = RunStore(tmp_path)
    assert [store.state(config) for config in (*bad.configs(), *good.configs())] == ["failed", "done", "done"]


@pytest.mark.parametrize("damage", ["record", "weights", "checksums", "gone"])
def test_a_damaged_run_is_put_aside_and_done_again(damage: str, tmp_path: Path) -> None:
    """One bit of any file, or a file missing; control: an undamaged one is read."""
    grid = Experiment(TINY, (16,), (0,))
    table = sweep(grid, tmp_path)
    store = RunStore(tmp_path)
    place = store.path(TINY)
    file = place / {"record": "record.csv", "weights": "weights.safetensors", "checksums": "checksums.json",
                    "gone": "environment.json"}[damage]  # fmt: skip
    assert store.read(TINY) is not None
    if damage == "gone":
        file.unlink()
    elif damage == "checksums":
        file.write_text(file.read_text()[:-20])
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    assert store.read(TINY) is None
    assert len(list(tmp_path.glob(f".damaged-{place.name}-*"))) == 1
    again = sweep(grid, tmp_path)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), table.drop(columns="seconds"), check_exact=True)
    assert names(place) == FILES


def test_a_run_without_its_weights_or_from_before_is_read(tmp_path: Path) -> None:
    """Weights may be deleted to save space, and are not trained anew for it; stores from before have no checksums."""
    sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    place = RunStore(tmp_path).path(TINY)
    written = (place / "record.csv").stat().st_mtime_ns
    (place / "weights.safetensors").unlink()
    sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    assert (place / "record.csv").stat().st_mtime_ns == written
    assert names(place) == FILES - {"weights.safetensors"}
    (place / "checksums.json").unlink()
    assert RunStore(tmp_path).read(TINY) is not None


def test_a_run_that_another_process_is_at_is_waited_for(tmp_path: Path) -> None:
    """Held here, in another thread's name: the sweep does the other run first, then waits, and finds it done."""
    grid = Experiment(TINY, (16,), (0, 1))
    held, other = grid.configs()
    store = RunStore(tmp_path)
    order: list[object] = []

    def told(done: int, total: int, config: object) -> None:
        order.append(config)
        if config == other:  # only now does the other process finish
            release.set()

    release, locked = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with store.lock(held, wait=False) as mine:
            assert mine
            locked.set()
            assert store.state(held) == "running"
            release.wait(60)
            store.write(replace(train(held), table=train(held).table.assign(seconds=123.0)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    locked.wait(60)
    table = sweep(grid, store, progress=told)
    thread.join()
    assert order == [other, held]
    assert set(table[(table.seed == 0) & (table.stage == "trained")].seconds) == {123.0}
    assert store.state(held) == "done"


def test_what_was_left_half_written_is_removed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    (tmp_path / f".unfinished-{config_hash(TINY)}-abc").mkdir()
    (tmp_path / ".unfinished-0123456789abcdef-abc").mkdir()  # another run's, which may be being written
    sweep(Experiment(TINY, (16,), (0,)), store)
    assert {path.name for path in tmp_path.glob(".unfinished*")} == {".unfinished-0123456789abcdef-abc"}


def test_a_store_is_one_place_wherever_a_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = RunStore("runs")
    monkeypatch.chdir("/")
    assert store.folder == tmp_path / "runs"


def test_the_checkpoint_stays_until_the_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the record is to be written: the second try goes on from the last epoch's checkpoint."""
    config = replace(TINY, epochs=4)
    original, begun = RunStore.write, []
    trained = empirical.runs.sweeps.run

    def full_at_first(store: RunStore, *rest: object) -> None:
        if len(begun) == 1:
            raise OSError("disk full")
        original(store, *rest)  # type: ignore[arg-type]

    def watched(config: ImageConfig, options: RunOptions) -> object:
        assert options.checkpoint is not None
        saved = read_checkpoint(options.checkpoint)
        begun.append(0 if saved is None else saved.facts["done"])
        return trained(config, options)

    monkeypatch.setattr(RunStore, "write", full_at_first)
    monkeypatch.setattr(empirical.runs.sweeps, "run", watched)
    table = sweep(Experiment(config, (16,), (0,)), tmp_path, checkpoint_seconds=0)
    assert begun == [0, 3]
    assert not RunStore(tmp_path).checkpoint(config).exists()
    alone = train(config).table
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), alone.drop(columns="seconds"), check_exact=True)


def test_a_run_that_cannot_be_read_is_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk's fault or missing rights: an error. An export leaves even a damaged run where it is."""
    sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    store = RunStore(tmp_path)

    def refuse(file: Path) -> str:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(theory.runs.store, "_digest", refuse)
        with pytest.raises(PermissionError):
            store.read(TINY)
    assert store.read(TINY) is not None
    (store.path(TINY) / "record.csv").write_text("")
    assert store.read(TINY, aside=False) is None
    assert store.path(TINY).is_dir()
    assert store.read(TINY) is None
    assert not store.path(TINY).is_dir()


def test_what_is_missing_on_a_worker_s_machine_is_worth_another_try() -> None:
    """There a bad input is none: the first process has looked at the same."""
    options = empirical.runs.sweeps._Options("/nowhere", False, "cpu", 1, False, 60.0)
    with pytest.raises(RuntimeError, match="data = /nowhere") as caught:
        empirical.runs.sweeps._require_here(replace(TINY, dataset="fashion-mnist", image_size=None), options, None)
    assert not isinstance(caught.value, InputError)


def test_unfit_fractions_that_were_not_reached_are_told_each_time(tmp_path: Path) -> None:
    config = StripeConfig(dim=3, width=20, train_size=8, unfit_fractions=(0.9, 0.0), max_steps=200, probe_size=50)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="stripe, d = 3, P = 8, seed 0: unfit fraction not reached: 0"):
            sweep(Experiment(config, (8,), (0,)), tmp_path)


def test_gpus_on_a_cluster_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gpus = 0\.0: must be above 0"):
        sweep(Experiment(TINY, (16,), (0,)), tmp_path, RayCluster(), device="cuda")
