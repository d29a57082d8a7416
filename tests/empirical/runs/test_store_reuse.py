"""A store used again: with other images, damaged, not readable, only readable, or shared with a sweep that failed."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from PIL import Image  # noqa: E402

import empirical.runs.sweeps  # noqa: E402
import theory.runs.store  # noqa: E402
from empirical import Experiment, ImageConfig, RunStore, StripeConfig, SweepIncomplete, sweep, train  # noqa: E402
from empirical.runs.store import Failure  # noqa: E402
from empirical.runs.sweeps import names_apart, require_distinct_rows  # noqa: E402
from empirical.runs.theory_runs import TheoryConfig  # noqa: E402
from empirical.training.config import config_hash  # noqa: E402
from empirical.training.run import RunOptions  # noqa: E402
from theory import InputError  # noqa: E402

TINY = ImageConfig(
    image_size=16, architecture="fc2", train_size=16, epochs=1, min_steps=0, batch_size=8, probe_size=20
)
GRID = Experiment(TINY, (16,), (0, 1))


def photos(folder: Path, seed: int) -> Path:
    """Images of two classes in `folder`/mine."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", 12), ("test", 12)):
        for name in ("a", "b"):
            (folder / "mine" / split / name).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "mine" / split / name / f"{k}.png")
    return folder


def test_a_run_on_other_images_of_that_name_is_not_taken(tmp_path: Path) -> None:
    one, other = photos(tmp_path / "one", 1), photos(tmp_path / "other", 2)
    grid = Experiment(replace(TINY, dataset="images:mine"), (16,), (0,))
    first = sweep(grid, tmp_path / "runs", data_folder=one)
    with pytest.raises(InputError, match=r"^data = images:mine: the store's run of P = 16, seed 0 was made on other"):
        sweep(grid, tmp_path / "runs", data_folder=other)
    pd.testing.assert_frame_equal(sweep(grid, tmp_path / "runs", data_folder=one), first, check_exact=True)


def test_a_checkpoint_from_other_images_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = photos(tmp_path / "one", 1), photos(tmp_path / "other", 2)
    config = replace(TINY, dataset="images:mine", epochs=3)
    state = tmp_path / "state"
    train(config, data_folder=one, checkpoint=state, checkpoint_seconds=0, keep_checkpoint=True)
    begun: list[int] = []
    found = train(config, data_folder=other, checkpoint=state, progress=lambda part: begun.append(round(3 * part)))
    assert begun == [1, 2, 3]
    expected = train(config, data_folder=other).table
    pd.testing.assert_frame_equal(
        found.table.drop(columns="seconds"), expected.drop(columns="seconds"), check_exact=True
    )


def test_one_record_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(Experiment(TINY, (16,), (0,)), tmp_path)
    unreadable = RunStore(tmp_path).path(TINY)
    digest = theory.runs.store._digest

    def refuse(file: Path) -> str:
        if file.parent == unreadable:
            raise PermissionError("no")
        return digest(file)

    with monkeypatch.context() as patch:
        patch.setattr(theory.runs.store, "_digest", refuse)
        with pytest.raises(SweepIncomplete, match=r"seed 0: it is kept, and cannot be read: no; finished") as caught:
            sweep(GRID, tmp_path)
    assert set(caught.value.table.seed) == {1}
    assert RunStore(tmp_path).failure(TINY) is None
    assert set(sweep(GRID, tmp_path).seed) == {0, 1}


def test_a_store_that_may_only_be_read_can_be_looked_at(tmp_path: Path) -> None:
    """`state` and `read` write nothing."""
    sweep(Experiment(TINY, (16,), (0,)), tmp_path / "runs")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    store = RunStore(tmp_path / "runs")
    waiting = replace(TINY, seed=1)
    assert (store.state(TINY), store.state(waiting)) == ("done", "waiting")
    assert store.read(TINY, aside=False) is not None
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: no store can be read only")
def test_a_sweep_on_a_store_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    sweep(Experiment(TINY, (16,), (0,)), tmp_path / "runs")
    (tmp_path / "runs").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert RunStore(tmp_path / "runs").read(TINY, aside=False) is not None
        with pytest.raises(InputError, match="store = .*: cannot be written to"):
            sweep(GRID, tmp_path / "runs")
    finally:
        (tmp_path / "runs").chmod(0o755)


@pytest.mark.parametrize("text", ["[]", "null", "{}", "{", '{"config.json": ""}'])
def test_checksums_that_are_none_put_the_run_aside(text: str, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(train(TINY))
    (store.path(TINY) / "checksums.json").write_text(text)
    assert store.read(TINY) is None
    assert len(list(tmp_path.glob(".damaged-*"))) == 1


def test_a_failure_file_that_is_none_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / ".failures").mkdir()
    (tmp_path / ".failures" / f"{config_hash(TINY)}.json").write_text("[]")
    assert RunStore(tmp_path).failure(TINY) is None


def test_what_a_kill_left_beside_a_finished_run_is_removed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(train(TINY))
    left = store.checkpoint(TINY), store.log(TINY)
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    sweep(Experiment(TINY, (16,), (0,)), store)
    assert not any(path.exists() for path in left)


def test_what_another_sweep_found_to_fail_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is written down after this sweep has looked and before it comes to that run."""
    store = RunStore(tmp_path)
    known = Failure("InputError", "learning_rate = 1e20: the loss became nan", 1, True)
    trained = empirical.runs.sweeps.run
    tried: list[int] = []

    def fails_meanwhile(config: ImageConfig, options: RunOptions) -> object:
        tried.append(config.seed)
        store.keep_failure(replace(TINY, seed=1), known)
        return trained(config, options)

    monkeypatch.setattr(empirical.runs.sweeps, "run", fails_meanwhile)
    with pytest.raises(SweepIncomplete) as caught:
        sweep(GRID, store)
    assert caught.value.failures == {replace(TINY, seed=1): known}
    assert tried == [0]
    assert len(sweep(GRID, store, retry_failed=True)) > len(caught.value.table)


@pytest.mark.parametrize(
    "pair",
    [
        (replace(TINY, image_size=None, displacement=0.3), replace(TINY, image_size=8, displacement=0.3)),
        (TheoryConfig(scale=math.inf, width=30), TheoryConfig(scale=math.inf, width=40)),
        (TINY, replace(TINY, epochs=2)),
    ],
)
def test_runs_with_the_same_rows_are_refused_before_they_run(
    pair: tuple[ImageConfig | TheoryConfig, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digits have 8 pixels, and the lazy limit has no width; control: 12 pixels are others."""
    monkeypatch.setattr(empirical.runs.sweeps, "run", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match="two differ only in settings that the curve table does not hold"):
        sweep([Experiment(config, (16,), (0,)) for config in pair], tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    require_distinct_rows([replace(TINY, image_size=None), replace(TINY, image_size=12)])


def test_runs_of_one_name_are_told_apart() -> None:
    one, two, other = StripeConfig(), StripeConfig(hidden_layers=2), StripeConfig(seed=1)
    found = names_apart([one, two, other])
    assert found[one] == "stripe, d = 30, P = 1024, seed 0, hidden_layers = 1"
    assert found[two] == "stripe, d = 30, P = 1024, seed 0, hidden_layers = 2"
    assert found[other] == "stripe, d = 30, P = 1024, seed 1"


def test_a_kernel_that_is_not_here_is_told_before_anything_runs(tmp_path: Path) -> None:
    try:
        import cupy  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="backend = cupy"):
            sweep(Experiment(TheoryConfig(backend="cupy"), (16,), (0,)), tmp_path / "runs")
        assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="neuron_seed = 3: must be None in the lazy limit"):
        TheoryConfig(scale=math.inf, neuron_seed=3)
    assert config_hash(TheoryConfig(neuron_seed=np.int64(3))) == config_hash(TheoryConfig(neuron_seed=3))


def test_images_that_differ_on_the_worker_s_machine_are_worth_another_try() -> None:
    options = empirical.runs.sweeps._Options(None, False, "cpu", 1, False, 60.0)
    with pytest.raises(RuntimeError, match="the images are not those of the machine that the sweep began on"):
        empirical.runs.sweeps._require_here(TINY, options, "0" * 16)


@pytest.mark.slow
def test_a_flow_does_not_depend_on_the_threads_of_the_matrix_library() -> None:
    """At the usual width two threads add up in another order: without a limit the last digits of R_f differ."""
    from threadpoolctl import threadpool_info, threadpool_limits

    grid = Experiment(TheoryConfig(unfit_fractions=(0.9,)), (512,), (0, 1, 2))
    tables = []
    for count in (1, 2):
        with threadpool_limits(count, "blas"):
            assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1, count}
            tables.append(sweep(grid).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
