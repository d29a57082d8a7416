"""The table of nets on all images, from a store that is not finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from empirical import ImageConfig, RunStore, build, train  # noqa: E402
from paper.scripts.image_nets_full import finished, shown  # noqa: E402
from theory import InputError  # noqa: E402

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
    assert last["core_seconds"] == pytest.approx(run.core_seconds, abs=0.06)
    cells = shown(last)
    assert cells[:6] == ["digits@16", "lenet", "32", "0", f"{last['parameters']:,}", "2"]
    assert cells[10] == "no"  # two epochs of 32 digits
    assert shown(last.where(last.index != "train_error", 0.0))[10] == "yes"
