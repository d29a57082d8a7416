"""`relstab theory predict` as users meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import relstab
from theory import FlowConfig, Stripe, predict, read_table

SMALL = "theory predict --dim 6 --width 30 --cells 80 --unfit-fractions 0.9 0.5"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_what_predict_returns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(f"{SMALL} --train-sizes 10000 1000000 --seeds 2 --seed 3 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    for seed, one in zip((3, 4), found, strict=True):
        expected = predict(
            Stripe(6), FlowConfig(width=30, unfit_fractions=(0.9, 0.5)), (10**4, 10**6), seed=seed, cells=80
        )
        assert [record["prefactor"] for record in one["records"]] == expected.prefactor.tolist()
        assert one["records"][1]["relative_stability"] == expected.relative_stability[1].tolist()
        assert one["seed"] == seed


@pytest.mark.slow
def test_tables_files_and_workers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for workers in (1, 2):
        name = f"table{workers}.csv"
        command = f"{SMALL} --seeds 2 --workers {workers} --output {name} --plot picture{workers}.png"
        assert relstab.main(command.split()) == 0
        shown = capsys.readouterr().out
        assert "at finite P, to leading order in 1/P" in shown
        assert "closed form: where neurons condense" in shown
        outputs.append((here / name).read_text())
    assert outputs[0] == outputs[1]
    expected = "# relstab theory predict --dim 6 --seeds 2 --width 30 --unfit-fractions 0.9 0.5 --cells 80"
    assert outputs[0].splitlines()[0] == expected
    assert len(read_table("table1.csv")) == 2 * 2 * 3
    assert (here / "picture1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_warnings_come_from_workers_in_one_line_each(here: Path) -> None:
    command = [sys.executable, "-m", "relstab", *SMALL.split(), "--scale", "100", "--seeds", "2", "--workers", "2"]
    root = str(Path(relstab.__file__).parent)
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": root}, timeout=200
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("prediction: ")]  # no progress
    assert sorted(line.split(": ")[:3] for line in lines) == [["relstab", "warning", f"seed {k}"] for k in (0, 1)]


@pytest.mark.filterwarnings("ignore:seed 0. prediction at scale 1000")
def test_scales_beyond_single_precision_and_q_of_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(f"{SMALL} --scale 1000 --json".split()) == 0
    first = "theory predict --dim 6 --width 30 --cells 91 --unfit-fractions 1.0 0.9 --json"
    assert relstab.main(first.split(" ")) == 0
    assert "NaN" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--cells 3", "cells = 3: must be a whole number, at least 20"),
        ("--train-size 0", "train_sizes = 0: must be a whole number, at least 1"),
        ("--train-size 100000000000000000000", "train_sizes = 100000000000000000000: must be a whole number"),
        ("--seeds 0", "seeds = 0: must be a whole number, at least 1"),
        ("--plot picture.txt", "plot = picture.txt: must end in .png, .svg or .pdf"),
        ("--output table.txt", "output = table.txt: must end in .csv or .parquet"),
        ("--scale inf", "scale = inf: must be finite"),
        ("--loss square", "loss = square: must be one of hinge, softhinge, squaredhinge"),
        ("--dim 1", "dim = 1: must be a whole number, at least 2"),
        ("--workers 0", "workers = 0: must be a whole number, at least 1"),
    ],
)
def test_refuses_in_one_line(
    here: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert relstab.main(["theory", "predict", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not list(here.iterdir())
