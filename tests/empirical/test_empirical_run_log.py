"""A run's log: a line an epoch, whole at any time, the same after a run was cut; and the live view made of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from rich.console import Console  # noqa: E402

from empirical import Experiment, ImageConfig, RunStore, StripeConfig, SweepIncomplete, sweep, train  # noqa: E402
from empirical.run_log import RunLog  # noqa: E402
from empirical.sweep_view import SweepView  # noqa: E402
from empirical.sweeps import SweepState  # noqa: E402

TINY = ImageConfig(image_size=16, train_size=16, epochs=5, min_steps=0, probe_size=20)


def test_rows_are_written_once_and_whole(tmp_path: Path) -> None:
    """What was there before, of a run that was cut, gives way to the rows that still count."""
    path = tmp_path / "sub" / "log.csv"
    log = RunLog(path)
    log.add(epoch=1, loss=0.5)
    log.add(epoch=2, loss=0.25)
    assert path.read_text() == "epoch,loss\n1,0.5\n"  # the second within the same second
    log.flush()
    log.flush()
    assert path.read_text() == "epoch,loss\n1,0.5\n2,0.25\n"
    again = RunLog(path, log.rows[:1])
    again.add(epoch=2, loss=0.125)
    assert path.read_text() == "epoch,loss\n1,0.5\n2,0.125\n"
    assert list(again.table().loss) == [0.5, 0.125]


def test_an_epoch_a_line(tmp_path: Path) -> None:
    run = train(TINY, log=tmp_path / "log.csv")
    table = pd.read_csv(tmp_path / "log.csv")
    assert list(table.epoch) == [1, 2, 3, 4, 5]
    assert list(table.columns) == ["epoch", "loss", "learning_rate", "seconds"]
    assert table.loss.iloc[-1] == pytest.approx(run.train_loss)
    assert table.seconds.is_monotonic_increasing
    assert table.learning_rate.is_monotonic_decreasing  # the cosine
    assert table.learning_rate.iloc[-1] == pytest.approx(0, abs=1e-12)


def test_a_cut_run_logs_every_epoch_once(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(part: float) -> None:
        if part > 0.5:
            raise Cut

    whole = train(TINY).log
    files = {"checkpoint": tmp_path / "state", "checkpoint_seconds": 0.0, "log": tmp_path / "log.csv"}
    with pytest.raises(Cut):
        train(TINY, progress=cut, **files)  # type: ignore[arg-type]
    log = train(TINY, **files).log  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(log.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), log)


def test_a_stripe_net_logs_ever_rarer_steps(tmp_path: Path) -> None:
    config = StripeConfig(dim=3, width=20, train_size=32, unfit_fractions=(0.5,), probe_size=50)
    run = train(config, log=tmp_path / "log.csv")
    table = pd.read_csv(tmp_path / "log.csv")
    assert list(table.columns) == ["step", "loss", "unfit_fraction", "seconds"]
    assert table.step.is_monotonic_increasing
    assert table.unfit_fraction.iloc[0] == 1
    assert len(table) < 0.5 * table.step.iloc[-1]
    assert len(run.log) == len(table)


def test_the_log_goes_into_the_store_and_that_of_a_failed_run_stays(tmp_path: Path) -> None:
    bad = replace(TINY, learning_rate=1e20, train_size=24)
    with pytest.raises(SweepIncomplete):
        sweep([Experiment(TINY, (16,), (0,)), Experiment(bad, (24,), (0,))], tmp_path)
    store = RunStore(tmp_path)
    assert len(pd.read_csv(store.path(TINY) / "log.csv")) == 5
    assert not store.log(TINY).exists()
    assert store.log(bad).exists()


def _shown(view: SweepView) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(view.render())
    return console.export_text()


def test_the_view_counts_and_reads_the_logs(tmp_path: Path) -> None:
    """Two done before, one running with a log, one failed, three to do; no line is over 80 columns."""
    store = RunStore(tmp_path)
    view = SweepView(store)
    assert "looking at the store" in _shown(view)
    view(SweepState(7, 2, 0, ()))
    assert view.left() == ""
    RunLog(store.log(TINY)).add(epoch=3, loss=0.125, learning_rate=0.1, seconds=1.0)
    view(SweepState(7, 3, 1, (TINY,)))
    text = _shown(view)
    counts = text.splitlines()[1].split()
    assert counts[:4] == ["3", "1", "1", "2"]
    assert "digits lenet" in text
    assert "P = 16, seed 0" in text
    assert "epoch 3, loss 0.125" in text
    assert view.left().startswith("about ")
    assert max(map(len, text.splitlines())) <= 80
    view(SweepState(7, 6, 1, ()))
    assert view.left() == "nothing"


def test_a_sweep_tells_what_runs(tmp_path: Path) -> None:
    states: list[SweepState] = []
    sweep(Experiment(TINY, (16,), (0, 1)), tmp_path, watch=states.append)
    assert [(state.done, len(state.running)) for state in states] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert {state.runs for state in states} == {2}
