"""The theory's flow as a run of a sweep: the same rows as `theory.curve`, from a file, kept in the store."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from old_stores import unpack

from empirical.runs.experiments import Experiment, read_experiments
from empirical.runs.theory_runs import TheoryConfig
from empirical.training.config import config_hash, config_to_dict
from theory import Cylinder, FlowConfig, InputError, Stripe, curve

SMALL: dict[str, Any] = {"width": 30, "unfit_fractions": (0.9, 0.5), "test_size": 500}
FILE = """
[[experiment]]
kind = "theory"
dim = 5
width = 30
unfit_fractions = [0.9, 0.5]
noise_norms = [0.1]
test_size = 500
train_sizes = [16, 32]
seeds = [0, 1]
"""


def test_a_file_says_what_the_flow_is(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(FILE)
    (experiment,) = read_experiments(tmp_path / "e.toml")
    assert len(experiment.configs()) == 4
    first = experiment.configs()[0]
    assert isinstance(first, TheoryConfig)
    assert first.flow == FlowConfig(**SMALL, noise_norms=(0.1,))
    assert first.task == Stripe(5)
    assert TheoryConfig(dim=5, informative_dim=2).task == Cylinder(5, 2)


def test_equal_flows_have_equal_hashes() -> None:
    assert config_hash(TheoryConfig(scale=1)) == config_hash(TheoryConfig(scale=1.0))
    assert config_hash(TheoryConfig()) != config_hash(TheoryConfig(neuron_seed=0))
    lazy = config_to_dict(TheoryConfig(scale=math.inf))
    assert json.loads(json.dumps(lazy, allow_nan=False))["scale"] == "inf"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "cubic"}, "loss = cubic"),
        ({"train_size": 0}, "train_size = 0"),
        ({"dim": 1}, "dim = 1"),
        ({"informative_dim": 40}, "informative_dim = 40"),
        ({"backend": "fortran"}, "backend = fortran"),
        ({"neuron_seed": -1}, "neuron_seed = -1"),
    ],
)
def test_what_is_not_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TheoryConfig(**given)


def test_a_sweep_gives_the_rows_of_the_curve(tmp_path: Path) -> None:
    """Bit for bit but for the order and the seconds, fresh and read back; the store has no weights of it."""
    pytest.importorskip("torch", reason="torch is not installed")
    from empirical import RunStore, sweep

    grid = Experiment(TheoryConfig(dim=5, **SMALL), (16, 32), (0, 1))
    expected = curve(Stripe(5), (16, 32), (0, 1), FlowConfig(**SMALL))
    for _ in range(2):
        table = sweep(grid, tmp_path).drop(columns="seconds")
        table = table.sort_values(["train_size", "seed"], kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(table, expected.drop(columns="seconds"), check_exact=True)
    files = {path.name for path in RunStore(tmp_path).path(grid.configs()[0]).iterdir()}
    assert files == {"checksums.json", "config.json", "environment.json", "record.csv"}


def test_curves_and_sweeps_have_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What either has kept the other does not compute again, to the bit; what it does not know it does."""
    pytest.importorskip("torch", reason="torch is not installed")
    import empirical.runs.theory_runs
    import theory.runs.curves
    from empirical import RunStore, sweep

    grid = Experiment(TheoryConfig(dim=5, **SMALL), (16, 32), (0, 1))
    settings = FlowConfig(**SMALL)
    expected = curve(Stripe(5), (16, 32), (0, 1), settings, store=tmp_path / "curve")
    swept = sweep(grid, tmp_path / "sweep")
    with monkeypatch.context() as patch:
        never = lambda *_, **__: pytest.fail("computed again")  # noqa: E731
        patch.setattr(theory.runs.curves, "trajectories", never)
        patch.setattr(empirical.runs.theory_runs, "run", never)
        table = sweep(grid, tmp_path / "curve").sort_values(["train_size", "seed"], kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(table.drop(columns="seconds"), expected.drop(columns="seconds"), check_exact=True)
        read = curve(Stripe(5), (16, 32), (0, 1), settings, store=tmp_path / "sweep")
        pd.testing.assert_frame_equal(read, expected, check_exact=True)
        assert len(swept) == len(read)
    curve(Stripe(5, (-0.3, 1.0)), (16,), (0,), settings, store=tmp_path / "sweep")
    assert len(list((tmp_path / "sweep").glob("[!.]*"))) == 5
    assert {RunStore(tmp_path / "curve").state(config) for config in grid.configs()} == {"done"}


def test_runs_kept_before_are_read(tmp_path: Path) -> None:
    """As stores were written before: by their hashes, and to the digit. Control: another seed waits."""
    pytest.importorskip("torch", reason="torch is not installed")
    from empirical import RunStore, StripeConfig

    store = RunStore(unpack("runs", tmp_path))
    flow = TheoryConfig(dim=5, train_size=16, width=20, test_size=100, unfit_fractions=(0.9, 0.5))
    net = StripeConfig(dim=3, train_size=8, width=20, unfit_fractions=(0.9,), probe_size=50)
    assert [store.state(config) for config in (flow, net, replace(net, seed=1))] == ["done", "done", "waiting"]
    rows = store.read(flow)
    assert rows is not None
    assert rows["relative_stability"].tolist() == [1.2298319375777529, 1.1624309264389203]
    assert store.read(net) is not None
