"""The error beside R_f of nets on tasks made by rules: what is told, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compare import write_report
from compare.contrasts.error_falls import error_falls
from theory import curve_table

SIZES = (300, 600, 1200)


def planted(*, falls: bool = True, layer: str = "", variant: str = "", stability: float = 1.0) -> pd.DataFrame:
    """R_f = 1, 0.1, 0.01 at three P; the error falls from 0.6 to 0.06, or stays; four seeds that scatter by 3 %."""
    rng = np.random.default_rng(3)
    net = {"source": "hierarchy-net", "task": "srhm-v4-s0=2", "architecture": "cnn-h128", "stage": "trained"}
    return curve_table(
        {**net, "layer": layer, "variant": variant, "train_size": size, "seed": seed,
         "relative_stability": stability * 0.1**i * np.exp(0.03 * rng.normal()),
         "test_error": (0.6 / (1 + 4.5 * i) if falls else 0.6) * np.exp(0.03 * rng.normal())}
        for i, size in enumerate(SIZES) for seed in range(4)
    )  # fmt: skip


def test_both_fall() -> None:
    (fall,) = error_falls(planted())
    assert fall.together
    assert fall.stability[0].value / fall.stability[-1].value == pytest.approx(100, rel=0.1)
    assert fall.sentence() == (
        "hierarchy-net srhm-v4-s0=2 cnn-h128: the test error falls together with R_f, which falls by a factor of "
        f"{fall.stability[0].value / fall.stability[-1].value:.2g}."
    )
    assert [row[:2] for row in fall.rows()] == [(str(size), "4") for size in SIZES]
    assert max(map(len, fall.lines())) <= 79
    assert fall.summary()["points"][2]["train_size"] == 1200


def test_an_error_that_stays_is_not_said_to_fall() -> None:
    (fall,) = error_falls(planted(falls=False))
    assert not fall.together
    assert fall.sentence().endswith("do not both decrease significantly with P.")


def test_layers_changed_inputs_one_p_and_other_nets_are_left_out() -> None:
    assert error_falls(planted(layer="layer1")) == ()
    assert error_falls(planted(variant="trained on noise")) == ()
    assert error_falls(planted(stability=0.0)) == ()
    assert error_falls(planted().query("train_size == 300")) == ()
    assert error_falls(planted().assign(source="images")) == ()


def test_the_report_shows_them_unfolded(tmp_path: Path) -> None:
    page = write_report(planted(), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<details open><summary><h2>Where the error falls with R_f</h2></summary>" in page
    assert error_falls(planted())[0].sentence() in page
    assert "Where the error falls" not in write_report(
        planted().assign(source="images"), tmp_path / "images.html"
    ).read_text(encoding="utf-8")
