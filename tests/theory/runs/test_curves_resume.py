"""Curves that were cut off go on where they stopped, and nothing that is kept is taken for something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from old_stores import unpack

from theory import Cylinder, FlowConfig, InputError, Stripe, curve, simulate
from theory.flow import simulation as flow
from theory.runs import curves

CONFIG = FlowConfig(width=50, test_size=500, unfit_fractions=(0.9, 0.5))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(P, seed) of every trajectory that this process computes from here on."""
    done: list[tuple[int, int]] = []
    original = curves.trajectories

    def trajectories(task, train_size, config, *, seeds, **options):  # type: ignore[no-untyped-def]
        done.extend((train_size, seed) for seed in seeds)
        return original(task, train_size, config, seeds=seeds, **options)

    monkeypatch.setattr(curves, "trajectories", trajectories)
    return done


def test_what_is_kept_is_not_computed_again(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    expected = curve(Stripe(5), [32, 64], [0, 1], CONFIG)
    computed.clear()
    curve(Stripe(5), [32], [1], CONFIG, store=tmp_path)
    parts: list[float] = []
    table = curve(Stripe(5), [32, 64], [0, 1], CONFIG, store=tmp_path, progress=lambda part, done: parts.append(part))
    assert sorted(computed) == [(32, 0), (32, 1), (64, 0), (64, 1)]
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert len(parts) == 4
    assert parts == sorted(parts)
    assert parts[-1] == 1
    again = curve(Stripe(5), [32, 64], [0, 1], CONFIG, store=tmp_path)
    assert len(computed) == 4
    pd.testing.assert_frame_equal(again, expected, check_exact=True)


@pytest.mark.parametrize(
    ("task", "options", "config"),
    [
        (Stripe(6), {}, CONFIG),
        (Stripe(5, (-0.3, 1.0)), {}, CONFIG),
        (Stripe(5), {"neuron_seed": 3}, CONFIG),
        (Stripe(5), {"backend": "numpy"}, CONFIG),
        (Stripe(5), {}, replace(CONFIG, loss="hinge")),
        (Stripe(5), {}, replace(CONFIG, unfit_fractions=(0.9, 0.4))),
    ],
)
def test_other_settings_share_nothing(
    task: Stripe, options: dict[str, object], config: FlowConfig, tmp_path: Path, computed: list[tuple[int, int]]
) -> None:
    curve(Stripe(5), [32], [0], CONFIG, store=tmp_path)
    curve(task, [32], [0], config, store=tmp_path, **options)  # type: ignore[arg-type]
    assert len(computed) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "checksums"])
def test_a_damaged_run_is_put_aside_and_computed_again(
    damage: str, tmp_path: Path, computed: list[tuple[int, int]]
) -> None:
    expected = curve(Stripe(5), [32], [0], CONFIG, store=tmp_path)
    (kept,) = tmp_path.glob("[!.]*")
    record = kept / ("checksums.json" if damage == "checksums" else "record.csv")
    text = record.read_text()
    if damage == "gone":
        record.unlink()
    else:
        record.write_text("" if damage == "empty" else text[: len(text) // 2])
    table = curve(Stripe(5), [32], [0], CONFIG, store=tmp_path)
    assert len(computed) == 2
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert len(list(tmp_path.glob(".damaged-*"))) == 1
    curve(Stripe(5), [32], [0], CONFIG, store=tmp_path)
    assert len(computed) == 2


OLD = FlowConfig(width=20, test_size=100, unfit_fractions=(0.9, 0.5))
CUT = FlowConfig(width=20, test_size=100, max_steps=400, unfit_fractions=(0.9, 0.0))


def test_trajectories_kept_before_are_read(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    """Files as they were written when each was one: taken, and what they lack is told."""
    store = unpack("curves", tmp_path)
    stripe = curve(Stripe(5), [16], [0], OLD, store=store)
    other = curve(Stripe(5, (-0.3, 1.0)), [16], [0], OLD, neuron_seed=3, backend="numpy", store=store)
    with pytest.warns(RuntimeWarning, match=r"P = 16, seed 1: max_steps after 439 evaluations; 1 of 2 records are"):
        curve(Cylinder(5, 2), [16], [1], CUT, store=store)
    assert not computed
    pd.testing.assert_frame_equal(stripe, curve(Stripe(5), [16], [0], OLD), rtol=1e-4)
    again = curve(Stripe(5, (-0.3, 1.0)), [16], [0], OLD, neuron_seed=3, backend="numpy")
    pd.testing.assert_frame_equal(other, again, rtol=1e-4)
    computed.clear()
    curve(Stripe(5), [16], [0], replace(OLD, width=21), store=store)
    assert computed == [(16, 0)]


@pytest.mark.parametrize("damage", ["truncated", "empty", "no object", "no rows", "other settings", "other seed"])
def test_a_damaged_file_from_before_is_computed_again(
    damage: str, tmp_path: Path, computed: list[tuple[int, int]]
) -> None:
    store = unpack("curves", tmp_path)
    expected = curve(Stripe(5), [16], [0], OLD, store=store)
    (kept,) = (path for path in store.glob("*/P16-seed0.json") if '"auto",\n  "config"' in path.read_text())
    text = kept.read_text()
    content = json.loads(text)
    if damage == "other settings":
        content["settings"]["config"]["width"] = 51
    content["seed"] += damage == "other seed"
    if damage == "no rows":
        content["rows"] = [1]
    damaged = {"truncated": text[: len(text) // 2], "empty": "", "no object": "null"}
    kept.write_text(damaged.get(damage, json.dumps(content)))
    with pytest.warns(RuntimeWarning, match=r"P16-seed0.json in the store is computed again"):
        table = curve(Stripe(5), [16], [0], OLD, store=store)
    assert computed == [(16, 0)]
    pd.testing.assert_frame_equal(table, expected, rtol=1e-4)


def test_a_curve_without_records_is_kept_and_refused_each_time(
    tmp_path: Path, computed: list[tuple[int, int]]
) -> None:
    for _ in range(2):
        with (
            pytest.warns(RuntimeWarning, match="2 of 2 records are missing"),
            pytest.raises(InputError, match="no trajectory reached any of them"),
        ):
            curve(Stripe(5), [16], [0], replace(CUT, max_steps=5), store=tmp_path)
    assert len(computed) == 1


def test_two_curves_on_one_store_share_the_work(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    """At the same time: each trajectory is done by one of them, and both have the whole table."""
    tables: list[pd.DataFrame] = []

    def draw() -> None:
        tables.append(curve(Stripe(5), [32, 64], range(4), CONFIG, store=tmp_path))

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == [(size, seed) for size in (32, 64) for seed in range(4)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_trajectory_that_gave_up_warns_each_time(tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    config = FlowConfig(width=50, test_size=100, max_steps=400, unfit_fractions=(0.9, 0.0))
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match=r"P = 64, seed 0: max_steps .* 1 of 2 records are missing"):
            table = curve(Stripe(5), [64], [0], config, store=tmp_path)
        assert table["stage"].tolist() == ["q=0.9"]
    assert len(computed) == 1


def test_one_seed_that_fails_loses_none_of_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds in one group: those that end are kept although one leaves the range of float32."""
    original = flow.Flow.run

    def run(self, field):  # type: ignore[no-untyped-def]
        if self.seed == 1:
            raise InputError("scale", 1.0, "the flow left the range")
        return original(self, field)

    monkeypatch.setattr(flow.Flow, "run", run)
    monkeypatch.setattr(curves, "_grouped", lambda runs, most: [tuple(runs)])
    with pytest.raises(InputError, match="left the range"):
        curve(Stripe(5), [32], [0, 1, 2], CONFIG, store=tmp_path)
    assert sorted(json.loads(path.read_text())["seed"] for path in tmp_path.glob("[!.]*/config.json")) == [0, 2]


def test_numpy_integers_are_integers(tmp_path: Path) -> None:
    table = curve(Stripe(5), np.array([32]), np.arange(1), CONFIG, neuron_seed=np.int64(3), store=tmp_path)
    assert len(table) == 2
    json.dumps(simulate(Stripe(5), np.int64(32), CONFIG, seed=np.int64(0), neuron_seed=np.int64(3)).summary())
    with pytest.raises(InputError, match=r"neuron_seed = -1: must be"):
        curve(Stripe(5), [32], [0], CONFIG, neuron_seed=-1)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=r"store = .*: cannot be made a folder"):
        curve(Stripe(5), [32], [0], CONFIG, store=file)


_SCRIPT = """
from theory import FlowConfig, Stripe, curve
if __name__ == "__main__":
    config = FlowConfig(width=50, test_size=500, unfit_fractions=(0.9, 0.5))
    curve(Stripe(5), [32, 64, 128, 256], range(8), config, workers={workers}, store={store!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_kill_the_same_call_goes_on(workers: int, tmp_path: Path, computed: list[tuple[int, int]]) -> None:
    """kill -9 of the process and its workers once a few of 32 trajectories are there; then the rest, and only it."""
    script = tmp_path / "run.py"
    script.write_text(_SCRIPT.format(workers=workers, store=str(tmp_path / "store")))
    environment = {**os.environ, "PYTHONPATH": str(Path(curves.__file__).parents[2]), "NUMBA_NUM_THREADS": "1"}
    run = subprocess.Popen([sys.executable, str(script)], env=environment, start_new_session=True)
    store = tmp_path / "store"
    try:
        until = time.monotonic() + 120
        while len(list(store.glob("[!.]*/record.csv"))) < 3 and run.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    kept = len(list(store.glob("[!.]*/record.csv")))
    assert 3 <= kept < 32
    config = FlowConfig(width=50, test_size=500, unfit_fractions=(0.9, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = curve(Stripe(5), [32, 64, 128, 256], range(8), config, store=store)
    assert len(computed) == 32 - kept
    pd.testing.assert_frame_equal(table, curve(Stripe(5), [32, 64, 128, 256], range(8), config), check_exact=True)
