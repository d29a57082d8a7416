"""The table of nets on all images, from a store that is not finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical import ImageConfig, RunStore, build, train  # noqa: E402
from paper.scripts.image_nets_full import finished, rows_of_runs, shown  # noqa: E402
from theory import InputError, write_table  # noqa: E402

TINY = ImageConfig(
    image_size=16, train_size=32, epochs=2, min_steps=0, batch_size=16, probe_size=20, displacement=0.5, recipe="fast"
)


def test_what_is_finished_is_told_with_its_cost(tmp_path: Path) -> None:
    store, other = RunStore(tmp_path), replace(TINY, seed=1)
    with pytest.raises(InputError, match="holds no finished run"):
        finished(store, [TINY, other])
    run = train(TINY)
    store.write(run)
    table = finished(store, [other, TINY])
    assert table["stage"].tolist() == ["initial", "trained"]
    last = table.iloc[-1]
    assert last["parameters"] == sum(one.numel() for one in build("lenet", 1, 16, 10, 0).parameters())
    assert (last["epochs"], last["precision"]) == (2, "float32")
    assert last["device"] == "cpu"
    assert last["core_seconds"] == pytest.approx(run.core_seconds, abs=0.06)
    cells = shown(last)
    assert cells[:6] == ["digits@16", "lenet", "32", "0", f"{last['parameters']:,}", "2"]
    assert cells[10] == "no"  # two epochs of 32 digits
    assert shown(last.where(last.index != "train_error", 0.0))[10] == "yes"


def test_rows_from_elsewhere_stay_where_the_store_has_no_such_run(tmp_path: Path) -> None:
    assert rows_of_runs(tmp_path / "none.csv") == {}
    store, other = RunStore(tmp_path / "elsewhere"), replace(TINY, seed=1)
    store.write(train(other))
    path = write_table(finished(store, [TINY, other]), tmp_path / "table.csv")
    here = RunStore(tmp_path / "here")
    here.write(train(TINY))
    both = finished(here, [TINY, other], rows_of_runs(path))
    assert both[["seed", "stage"]].to_numpy().tolist() == [
        [0, "initial"], [0, "trained"], [1, "initial"], [1, "trained"],
    ]  # fmt: skip
    # Written and read again, nothing changes; a run of other settings is not that run.
    path = write_table(both, path)
    again = finished(here, [TINY, other], rows_of_runs(path))
    assert write_table(again, tmp_path / "again.csv").read_text() == path.read_text()
    longer = replace(other, epochs=3)
    assert finished(here, [TINY, longer], rows_of_runs(path))["seed"].tolist() == [0, 0]
