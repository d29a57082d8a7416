"""The scripts that write the manuscript's own tables, and those tables."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from theory import InputError, MaxEntropyEnsemble


def test_folded_fractions_are_those_of_the_table(paper: Path) -> None:
    """Drawn with another seed; each of 4 cells is off by 4.5 standard errors in 3e-5 of cases."""
    from paper.scripts.folding import SAMPLES, SIZE, fraction

    table = pd.read_csv(paper / "data" / "folding.csv", comment="#")
    table = table[table["place"] == "T_max"].set_index("cutoff")
    generator = torch.Generator().manual_seed(77)
    for cutoff in (2, 3, 5, 15):
        row = table.loc[cutoff]
        again = fraction(MaxEntropyEnsemble(SIZE, cutoff, float(row["temperature"])), generator)["folded_fraction"]
        p = (again + row["folded_fraction"]) / 2
        error = math.sqrt(2 * p * (1 - p) / SAMPLES)
        assert abs(again - row["folded_fraction"]) < 4.5 * error
        # Control: at twice the temperature the fraction is another.
        hot = fraction(MaxEntropyEnsemble(SIZE, cutoff, 2 * float(row["temperature"])), generator)["folded_fraction"]
        assert hot - row["folded_fraction"] > 4.5 * error


def test_the_folding_table_spans_the_paper_s_range(paper: Path) -> None:
    table = pd.read_csv(paper / "data" / "folding.csv", comment="#")
    for cutoff, rows in table[table["place"] == "grid"].groupby("cutoff"):
        low, high = MaxEntropyEnsemble(32, int(cutoff), 1.0).temperature_range
        assert rows["temperature"].min() < low
        assert rows["temperature"].max() > high
        fractions = rows.sort_values("temperature")["folded_fraction"]
        assert fractions.iloc[0] == 0
        assert fractions.iloc[-1] > 0.95


def test_operations_are_those_of_the_layers(paper: Path) -> None:
    from paper.scripts.full_scale import forward

    assert forward("fc2", "cifar10") == 2 * (3072 * 64 + 64 * 64 + 64 * 10)
    assert forward("fc4", "cifar10") - forward("fc2", "cifar10") == 2 * 2 * 64 * 64
    committed = pd.read_csv(paper / "data" / "full_scale.csv", comment="#")
    row = committed[(committed["architecture"] == "lenet") & (committed["dataset"] == "cifar10")].iloc[0]
    assert row["forward_flop"] == forward("lenet", "cifar10")


def test_the_displacement_s_runs_are_of_the_experiment(paper: Path) -> None:
    from paper.scripts.displacement import NETS, TASKS, chosen

    configs = chosen()
    assert len(configs) == len(NETS) * len(TASKS) * len({config.seed for config in configs})
    with pytest.raises(InputError, match="no run of image_curves.toml has them$"):
        chosen(nets=("resnet50",))


def test_a_missing_run_is_named(paper: Path, tmp_path: Path) -> None:
    from empirical.runs.store import RunStore
    from paper.scripts.displacement import chosen, nets_of

    with pytest.raises(InputError, match=r"lacks the run fc2 on fashion-mnist, P = 8192, seed 0, or its weights"):
        nets_of(chosen(nets=("fc2",))[0], RunStore(tmp_path / "runs"), tmp_path)


def test_a_net_and_its_start_come_back_from_a_store(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digits stand for the data sets: at one pixel R_f is the record's, and a wrong start is noticed."""
    from empirical import train
    from empirical.runs.store import RunStore
    from empirical.training.config import ImageConfig
    from paper.scripts import displacement

    config = ImageConfig(dataset="digits", architecture="lenet", train_size=64, image_size=16, epochs=1, min_steps=5)
    store = RunStore(tmp_path)
    store.write(train(config))
    monkeypatch.setattr(displacement, "DISPLACEMENTS", (0.5, 1.0))
    rows = pd.DataFrame(displacement.measure(config, store, tmp_path))
    assert list(rows["stage"]) == ["initial"] * 2 + ["trained"] * 2
    monkeypatch.setattr(displacement.np.random, "SeedSequence", lambda seed: _Other(seed))
    with pytest.raises(InputError, match="must be that of the record"):
        displacement.measure(config, store, tmp_path)


class _Other:
    """Seeds of another net."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def spawn(self, count: int) -> list[_Other]:
        return [_Other(self.seed + 1000 + i) for i in range(count)]

    def generate_state(self, count: int) -> list[int]:
        return [self.seed] * count
