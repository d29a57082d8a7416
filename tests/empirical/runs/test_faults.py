"""Sweeps whose processes are killed: nothing is lost, nothing comes twice, and the table is that of a quiet one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical import Experiment, ImageConfig, sweep  # noqa: E402
from theory import read_table  # noqa: E402

ROOT = Path(__file__).parents[3]
TINY = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=60, probe_size=20)
GRID = Experiment(TINY, (16, 32), (0, 1, 2))
FILE = """
[[experiment]]
kind = "image"
image_size = 16
epochs = 1
min_steps = 60
probe_size = 20
train_sizes = [16, 32]
seeds = [0, 1, 2]
"""


@pytest.fixture(scope="module")
def quiet() -> pd.DataFrame:
    return sweep(GRID).drop(columns="seconds")


@pytest.mark.slow
def test_a_killed_worker_is_replaced(quiet: pd.DataFrame, tmp_path: Path) -> None:
    """Workers are killed at random moments while the sweep goes on: three of them."""
    rng = np.random.default_rng(0)
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while len(killed) < 3 and not over.wait(float(rng.uniform(1, 6))):
            children = [child.pid for child in active_children() if child.pid is not None]
            if children:
                killed.append(int(rng.choice(children)))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    table = sweep(GRID, tmp_path, 2, retries=5, checkpoint_seconds=0)
    over.set()
    killer.join()
    assert killed
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), quiet, check_exact=True)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_when_it_is_called_again(quiet: pd.DataFrame, tmp_path: Path) -> None:
    """The whole process is killed twice; two sweeps then share what is left at the same time."""
    (tmp_path / "e.toml").write_text(FILE)
    command = [sys.executable, "-m", "relstab", "sweep", "e.toml", "--workers", "2", "--output"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(output: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, output], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    for delay in (7.0, 10.0):
        first = start("killed.csv")
        time.sleep(delay)
        first.kill()
        first.wait()
    both = [start("one.csv"), start("two.csv")]
    assert [process.wait(200) for process in both] == [0, 0]
    one, two = (read_table(tmp_path / name) for name in ("one.csv", "two.csv"))
    pd.testing.assert_frame_equal(one, two)  # wall times, too: each run was done once
    columns = list(quiet.columns)
    pd.testing.assert_frame_equal(one[columns], quiet, check_exact=False, rtol=1e-6)
    assert len(list((tmp_path / "runs").glob("[!.]*"))) == 6
    assert not list((tmp_path / "runs").glob(".damaged*"))


def test_the_file_is_the_grid(tmp_path: Path) -> None:
    from empirical import read_experiments

    (tmp_path / "e.toml").write_text(FILE)
    (found,) = read_experiments(tmp_path / "e.toml")
    assert set(found.configs()) == set(replace(GRID, base=replace(TINY, train_size=found.base.train_size)).configs())
