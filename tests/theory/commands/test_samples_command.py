"""`relstab theory predict --samples`, interfaces, and the exponents that commands print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import relstab
from theory import Cylinder, FlowConfig, Stripe, predict, read_table
from theory.commands.simulate import exponent_rows
from theory.commands.task_options import chosen_task

SMALL = "theory predict --samples --dim 5 --width 20 --cells 20 --unfit-fractions 0.9 --scale 1e-3 --test-size 200"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_what_predict_returns_of_each_sample(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"{SMALL} --train-sizes 60 120 --seeds 2 --seed 1 --informative-dim 2 --output table.csv"
    assert relstab.main(command.split()) == 0
    shown = capsys.readouterr().out
    assert "predicted from n seeds' own points" in shown
    assert "exponents over P, mean and 95 % over seeds" in shown
    table = read_table("table.csv")
    config = FlowConfig(width=20, scale=1e-3, unfit_fractions=(0.9,), test_size=200)
    for _, row in table.iterrows():
        own = predict(Cylinder(5, 2), config, data=int(row["train_size"]), seed=int(row["seed"]), cells=20)
        assert row["relative_stability"] == pytest.approx(own.relative_stability[0], rel=1e-6)
    assert len(table) == 4
    first = (here / "table.csv").read_text().splitlines()[0].removeprefix("# relstab ")
    assert relstab.main([*first.split(), "--output", "again.csv"]) == 0
    pd.testing.assert_frame_equal(read_table("again.csv"), table)


def test_interfaces_are_those_of_the_task(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(f"{SMALL} --train-sizes 60 --interfaces -0.6745 0.6745 --json".split()) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    config = FlowConfig(width=20, scale=1e-3, unfit_fractions=(0.9,), test_size=200)
    own = predict(Stripe(5, (-0.6745, 0.6745)), config, data=60, seed=0, cells=20)
    assert row["relative_stability"] == pytest.approx(own.relative_stability[0], rel=1e-6)
    assert row["task"] == "stripe-d5(-0.6745,0.6745)"
    usual = predict(Stripe(5), config, data=60, seed=0, cells=20)
    assert row["relative_stability"] != pytest.approx(usual.relative_stability[0], rel=1e-3)


def test_simulate_takes_interfaces_and_prints_exponents(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (
        "theory simulate --train-sizes 32 64 --dim 5 --width 20 --unfit-fractions 0.9 --scale 1e-2 --seeds 2 "
        "--test-size 200 --interfaces -1 1 --output table.csv"
    )
    assert relstab.main(command.split()) == 0
    assert "exponents over P" in capsys.readouterr().out
    assert set(read_table("table.csv")["task"]) == {"stripe-d5(-1,1)"}


def test_exponents_are_the_seeds_own_slopes() -> None:
    """Planted R_f = c P^-1 and c P^-1.2: -1.1, with the interval of two numbers; a seed without every P is left out."""
    rows = [
        {"seed": seed, "stage": "q=0.5", "train_size": size, "relative_stability": (seed + 1) * size**power}
        for seed, power in ((0, -1.0), (1, -1.2))
        for size in (100, 200, 800)
    ]
    table = pd.DataFrame([*rows, {**rows[0], "seed": 2, "relative_stability": 5.0}])
    table["displacement"] = np.nan
    ((q, count, span, exponent),) = exponent_rows(table)
    assert (q, count, span) == ("0.5", "2", "100 to 800")
    assert exponent.startswith("-1.1 ± 1.3")  # t(1) = 12.7 times 0.1
    assert exponent_rows(table[table["train_size"] == 100]) == []
    assert exponent_rows(table.assign(displacement=0.1)) == []  # noise of finite norm has its own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--informative-dim 2 --interfaces -1 1", "interfaces = (-1.0, 1.0): are those of a stripe: informative_dim"),
        ("--informative-dim 5", "informative_dim = 5: must be a whole number, at least 2 and at most 4"),
        ("--interfaces 1 -1", "interfaces = (1.0, -1.0): must ascend"),
        ("--plot p.png", "plot = p.png: is of the mean over samples: leave it out, or --samples"),
        ("--cells 0", "cells = 0: must be a whole number, at least 1"),
        ("--train-sizes 0", "data = 0: must be a whole number, at least 1"),
    ],
)
def test_refuses_in_one_line(
    here: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert relstab.main([*SMALL.split(), *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert not list(here.iterdir())


def test_without_samples_a_cylinder_is_predicted_in_the_mean(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "--dim 6 --informative-dim 2 --scale 0.1 --width 32 --sobol --cells 20 --unfit-fractions 0.9 --seeds 1"
    assert relstab.main(["theory", "predict", *given.split(), "--train-sizes", "100000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "cylinder-d6-2"
    (record,) = found["predictions"][0]["records"]
    assert 0 < record["relative_stability"][0] < 0.1
    assert chosen_task(5, 1, None) == Stripe(5)
