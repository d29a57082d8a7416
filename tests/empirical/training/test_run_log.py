"""A run's log: a line an epoch, whole at any time, the same after a run was cut; and the live view made of it."""

from __future__ import annotations

import io
import math
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from rich.console import Console  # noqa: E402

from empirical import Experiment, ImageConfig, RunStore, StripeConfig, SweepIncomplete, sweep, train  # noqa: E402
from empirical.commands.sweep_view import SweepView  # noqa: E402
from empirical.runs.sweeps import SweepState  # noqa: E402
from empirical.training.run_log import RunLog  # noqa: E402
from empirical.training.stripes import margin_loss  # noqa: E402

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
    # At the start F = 0, and every point has the loss l(0) = softplus(1 - 0), which is 1 to rounding.
    assert table.loss.iloc[0] == pytest.approx(float(margin_loss(config.loss, torch.zeros(1))))
    assert table.loss.iloc[-1] < 0.9 * table.loss.iloc[0]
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
    names, cells = (line.split() for line in text.splitlines()[-2:])
    assert names == ["data", "net", "P", "seed", "time", "at", "loss"]
    assert cells == ["digits", "lenet", "16", "0", "0", "s", "epoch", "3", "0.125"]
    assert view.left().startswith("about ")
    assert max(map(len, text.splitlines())) <= 80
    view(SweepState(7, 6, 1, ()))
    assert view.left() == "nothing"


def test_a_run_is_a_line_at_80_columns(tmp_path: Path) -> None:
    """The longest names and numbers that a sweep has had, and a folder of images, whose path alone is cut."""
    store = RunStore(tmp_path)
    image = ImageConfig("fashion-mnist", "fully-connected", train_size=60000, seed=15)
    folder = replace(image, dataset="images:/home/somebody/data/a-rather-long-name")
    stripe = StripeConfig(dim=100, train_size=131072, seed=15)
    RunLog(store.log(image)).add(epoch=1000, loss=1.234e-5, learning_rate=1e-12, seconds=1234.5)
    RunLog(store.log(stripe)).add(step=123456, loss=1.234e-5, unfit_fraction=1.234e-3, seconds=1234.5)
    view = SweepView(store)
    view(SweepState(3, 0, 0, (image, stripe)))
    view.since = dict.fromkeys((image, folder, stripe), time.monotonic() - 88 * 60)
    lines = [" ".join(line.split()) for line in _shown(view).splitlines()]
    assert lines[-3:] == [
        "data net P seed time at loss unfit",
        "fashion-mnist fully-connected 60000 15 88.0 min epoch 1000 1.23e-05",
        "stripe d = 100 131072 15 88.0 min step 123456 1.23e-05 0.00123",
    ]
    view.state = SweepState(3, 0, 0, (folder, stripe))
    lines = _shown(view).splitlines()[-3:]
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("images:")
    assert "… fully-connected" in lines[1]
    assert lines[2].startswith("stripe")


def test_a_stripe_net_that_has_just_begun_is_healthy(tmp_path: Path) -> None:
    """All rows of its log are numbers, the first too; control: a loss that is none is shown."""
    config = StripeConfig(dim=3, width=20, train_size=32, unfit_fractions=(0.5,), probe_size=50)
    store = RunStore(tmp_path)
    log = train(config, log=store.log(config)).log
    assert log.notna().all(axis=None)
    view = SweepView(store)
    for loss, shown in ((log.loss[0], "1"), (math.nan, "nan")):
        RunLog(store.log(config)).add(**{**log.loc[0].to_dict(), "loss": loss})
        view(SweepState(1, 0, 0, (config,)))
        assert _shown(view).splitlines()[-1].split()[-4:] == ["step", "0", shown, "1"]


def test_a_sweep_tells_what_runs(tmp_path: Path) -> None:
    states: list[SweepState] = []
    sweep(Experiment(TINY, (16,), (0, 1)), tmp_path, watch=states.append)
    assert [(state.done, len(state.running)) for state in states] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert {state.runs for state in states} == {2}
