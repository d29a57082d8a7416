"""`relstab compare --correlations` says which of R_f, D_f and G_f the test error goes with most closely."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from planted_nets import NETS, nets

from compare.commands.compare import Compare
from theory import write_table


@pytest.mark.parametrize(("r", "d", "said"), [(0.97, 0.0, "R_f tracks the test error better than D_f"),
                                              (0.0, 0.97, "D_f tracks the test error better than R_f")])  # fmt: skip
def test_the_better_measure_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], r: float, d: float, said: str
) -> None:
    table = nets(np.random.default_rng(2), r=r, d=d, names=NETS, tasks=("digits",), sizes=(256, 1024, 4096))
    file = write_table(table, tmp_path / "nets.csv")
    found = Compare((file,), correlations=True).run()
    assert f"digits: {said}" in " ".join(capsys.readouterr().out.split())
    tests = {test["right"]: test for test in found["swap_tests"]}
    assert tests["diffeo_stability"]["p_value"] < 0.05
    assert said in tests["diffeo_stability"]["verdict"]
    json.dumps(found, allow_nan=False)
    assert "swap_tests" not in Compare((file,), json=True).run()
