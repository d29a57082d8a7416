"""Sentences that turn on numbers turn with them; numbers print with their errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from theory import Estimate, curve_table

SIZES = (128, 256, 512, 1024, 2048, 4096)


def planted(slopes: dict[str, float], scatter: float = 0.05, start: float = 1.0) -> pd.DataFrame:
    """Nets on FashionMNIST whose R_f is 5 (P / 128)^slope, with seeds that scatter, and R_f before training."""
    rng = np.random.default_rng(1)
    rows = []
    for net, slope in slopes.items():
        for size in SIZES:
            for seed in range(4):
                row = {"source": "images", "task": "fashion-mnist", "architecture": net, "train_size": size,
                       "seed": seed}  # fmt: skip
                value = 5 * (size / 128) ** slope * np.exp(scatter * rng.normal())
                rows.append({**row, "stage": "initial", "relative_stability": start})
                rows.append({**row, "stage": "trained", "relative_stability": value, "test_error": 0.2})
    return curve_table(rows)


def test_the_verdict_follows_the_slopes(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compare import fit_power_law
    from paper.figures.stripe import flow_table
    from paper.numbers import images

    monkeypatch.setattr(images, "NETS", {"fc2": "fc2", "lenet": "LeNet", "vgg-small": "VGG-6"})

    def said(slopes: dict[str, float]) -> str:
        return images.verdict(images.comparisons(planted(slopes), "fashion-mnist"))

    flow = flow_table().query("stage == 'q=0.3' and train_size in @SIZES")
    mixed = said({"fc2": -0.2, "lenet": fit_power_law(flow).exponent.value, "vgg-small": -2.2})
    assert "at the theory's rate within the intervals for LeNet;" in mixed
    assert "more slowly than in the theory for fc2;" in mixed
    assert mixed.endswith("more steeply than in the theory for VGG-6.")
    flat = said({"fc2": 0.0, "lenet": 0.3, "vgg-small": -0.3})
    assert "does not decrease significantly with $P$, as it does in the theory, for fc2;" in flat
    assert flat.endswith("rises with $P$ for LeNet.")
    alike = said({"fc2": -0.2, "lenet": -0.3, "vgg-small": -0.1})
    assert alike == "$R_f$ falls with $P$ more slowly than in the theory for all 3 nets."


def test_above_and_below_the_start(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from paper.numbers import images

    monkeypatch.setattr(images, "NETS", {"fc2": "fc2", "lenet": "LeNet"})
    table = planted({"fc2": -1.2, "lenet": -0.1})
    expected = "below its value before training for fc2; above its value before training for LeNet"
    assert images.below_start(table, "fashion-mnist") == expected
    between = planted({"fc2": 0.0, "lenet": 0.0}, scatter=0.5, start=5.0)
    assert images.below_start(between, "fashion-mnist") == "not to be told from that value for all 2 nets"


def test_the_law_that_made_the_points_is_named(paper: Path) -> None:
    from compare.fits.law_choice import choose_law
    from paper.figures.stripe import flow_table
    from paper.numbers.laws import law_sentence, theory_sentence

    flow = flow_table()
    flow = flow[flow["stage"] == "q=0.3"]
    choices = {"fc2": choose_law(planted({"fc2": -0.5}).query("stage == 'trained'"), flow)}
    assert law_sentence(choices).startswith("a power for fc2")
    assert theory_sentence(choices) == "the theory's curve has support for no net, shifted alone or scaled as well"
    shifted = flow.query("train_size >= 512").assign(
        source="images", task="fashion-mnist", architecture="fc2", stage="trained",
        train_size=lambda rows: rows["train_size"] * 2,
    )  # fmt: skip
    assert "the theory's curve, shifted in $P$, for fc2" in theory_sentence({"fc2": choose_law(shifted, flow)})


def test_the_answer_says_why_a_curve_has_no_scale(paper: Path) -> None:
    """Column s: a number with its interval for the flow's own curve shifted by 2, the reason for nets above it."""
    from paper.figures.stripe import flow_table
    from paper.scripts.answer import _scale

    flow = flow_table()
    flow = flow[flow["stage"] == "q=0.3"]
    key = {"source": "images", "task": "fashion-mnist", "architecture": "fc2", "stage": "trained"}
    shifted = flow[flow["train_size"] >= 512].assign(train_size=lambda rows: rows["train_size"] * 2, **key)
    assert float(_scale(flow, shifted).split(" ")[0]) == pytest.approx(2, rel=0.05)
    trained = planted({"fc2": -0.1}).query("stage == 'trained'")
    assert _scale(flow, trained) == "none: above the model"
    lower = trained.assign(relative_stability=trained["relative_stability"] / 6)
    assert _scale(flow, lower) == "none: outside the model's P"


def test_numbers_carry_their_errors(paper: Path) -> None:
    from paper.numbers.formats import full, names, percent, short, signed, span

    estimate = Estimate(-1.02, -1.05, -0.99, 12)
    assert short(estimate) == "\u22121.020\u00a0±\u00a00.030"
    assert full(estimate) == "\u22121.020\u00a0±\u00a00.030 (n\u00a0=\u00a012)"
    assert signed("batch-norm -3") == "batch-norm \u22123"
    assert percent(0.541, 0.51, 0.5717) == "54.1\u00a0% [51, 57.2]"
    assert span([3, 1, 2]) == "1 to 3"
    assert names(["a"]) == "a"
    assert names(["a", "b", "c"]) == "a, b and c"
