"""The verdict changes with the numbers: planted tables that agree, are flat, are steeper; and the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_curves import planted, saturating
from planted_nets import NETS, nets

from compare import Verdict, choose_laws, contrast, correlations, effective_scales, write_verdict
from compare.commands.compare import Compare
from theory.common.errors import InputError
from theory.common.table import write_table


@pytest.fixture(scope="module")
def theory() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    key = {"source": "theory", "task": "stripe-d30", "architecture": "one-hidden", "stage": "q=0.3"}
    return planted(rng, saturating, seeds=8, sigma=0.1, sizes=tuple(2**k for k in range(6, 16)), **key)


def verdict(
    theory: pd.DataFrame, law: Callable[[np.ndarray], np.ndarray], error: pd.DataFrame | None = None
) -> Verdict:
    measured = planted(np.random.default_rng(1), law, sigma=0.1)
    return write_verdict(
        contrast(theory, measured),
        choose_laws(measured, theory),
        effective_scales(theory, measured),
        None if error is None else correlations(error),
    )


def test_a_measurement_that_agrees(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: saturating(p / 2)))
    assert "the theory describes 1 of 1 series" in words
    assert "best law or within 2 in AICc of it for 1 of 1 series" in words
    assert "0 of 1 series with intervals part from the shifted theory" in words


def test_a_flat_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: 0 * p + 0.3))
    assert "1 is not seen to fall (exponent +" in words
    assert "1 series has no s: 1 to be read mostly outside the model's P" in words
    assert "shifted theory" not in words


def test_a_slow_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: 0.6 * (p / 64) ** -0.3))
    assert "1 falls more slowly (difference of exponents" in words
    assert "No shift in P lays 1 of 1 series on the theory" in words
    assert "for 0 of 1 series" in words
    assert "1 of 1 series with intervals part from the shifted theory" in words
    assert "(below" in words


@pytest.mark.slow
def test_a_steeper_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: saturating(p) ** 2))
    assert "1 falls more steeply" in words
    assert "(above" in words


def test_the_test_error_is_judged(theory: pd.DataFrame) -> None:
    few = {"tasks": ("digits",), "sizes": (256, 1024, 4096), "seeds": 1}
    rng = np.random.default_rng(2)
    seen = verdict(theory, saturating, nets(rng, **few))
    assert re.search(r"R_f (and G_f )?rises? with it", str(seen))
    assert "R_f goes with the error more closely than D_f" in str(seen)
    assert len(seen.sentences) == 8
    assert seen.sentences[-1].count("with R_f") == 1  # the largest P of the one data set, not all P together
    for sentence in seen.sentences:
        assert any(character.isdigit() for character in sentence), sentence
    assert all(len(line) <= 79 for line in seen.lines())
    json.dumps(seen.summary(), allow_nan=False)
    both = {"sizes": few["sizes"], "seeds": 1}  # two data sets: one alone is told in three of four draws
    other = str(write_verdict(correlations=correlations(nets(rng, r=0.0, d=0.95, **both))))
    assert "D_f goes with the error more closely than R_f" in other
    unseen = str(write_verdict(correlations=correlations(nets(np.random.default_rng(5), r=0.0, d=0.0, **few))))
    assert "cannot be told" in unseen
    two = str(write_verdict(correlations=correlations(nets(rng, names=NETS[:2], **few))))
    assert "nothing can be said on R_f and the test error" in two


def test_series_without_a_choice_or_a_scale_are_counted_apart(theory: pd.DataFrame) -> None:
    """Nets above the model, and nets of three P and one seed, are in no count of laws or scales."""
    rng = np.random.default_rng(3)
    measured = pd.concat(
        [
            planted(rng, lambda p: saturating(p / 2), sigma=0.1),
            planted(rng, lambda p: 5 * (p / 64) ** -0.1, sigma=0.05, architecture="fc2"),
            planted(rng, lambda p: 0.01 * p**0.5, sigma=0.0, seeds=1, sizes=(64, 256, 1024), architecture="fc4"),
        ]
    )
    laws, scales = choose_laws(measured, theory), effective_scales(theory, measured)
    words = str(write_verdict(contrast(theory, measured), laws, scales))
    assert "Of the laws tried on 2 series" in words
    assert "1 further series has too few points to choose a law" in words
    assert "the theory describes 1 of 2 series" in words
    assert "1 above the model's R_f at most of their P" in words
    assert "1 rises (exponent +0.5" in words
    few = measured[measured["architecture"] == "fc4"]
    assert str(write_verdict(laws=choose_laws(few, theory))) == "On 1 series there are too few points to choose a law."
    above = measured[measured["architecture"] == "fc2"]
    alone = str(write_verdict(scales=effective_scales(theory, above)))
    assert alone == "1 series has no s: 1 above the model's R_f at most of their P."


def test_bent_exponents_and_the_range_compared_are_said(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: saturating(p / 2)))
    assert ", bent, over P = 64…8192 (n=64, 8 seeds; theory stripe-d30 q=0.3)" in words
    assert re.search(r"lenet -\S+ ± \S+, bent \(n=32, 4 seeds\)", words)


def test_nothing_to_judge() -> None:
    assert "nothing to judge" in str(write_verdict())


@pytest.mark.slow
def test_the_command_prints_and_returns_them(
    theory: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    table = nets(np.random.default_rng(4), names=NETS[:3], tasks=("digits",), seeds=1,
                 sizes=(64, 256, 1024, 4096, 16384))  # fmt: skip
    files = (write_table(theory, tmp_path / "theory.csv"), write_table(table, tmp_path / "nets.csv"))
    found = Compare(files=files, laws=True, correlations=True).run()
    printed = capsys.readouterr().out
    assert all(len(line) <= 79 for line in printed.splitlines())
    assert "weight" in printed
    assert "r of log eps_t across nets" in printed
    assert len(found["laws"]["choices"]) == 3
    # R_f of these nets does not depend on P: the theory's curve cannot be laid on them.
    assert (len(found["scales"]["scales"]), len(found["scales"]["skipped"])) == (0, 3)
    assert "3 series have no s" in " ".join(found["conclusion"]["sentences"])
    assert found["correlations"]["tests"]
    flowing = " ".join(printed.split())
    assert all(" ".join(sentence.split()) in flowing for sentence in found["conclusion"]["sentences"])
    json.dumps(found, allow_nan=False)


def test_the_command_without_them_is_as_before(theory: pd.DataFrame, tmp_path: Path) -> None:
    path = write_table(theory, tmp_path / "theory.csv")
    found = Compare(files=(path,), json=True).run()
    assert not {"laws", "scales", "correlations", "conclusion"} & set(found)
    alone = Compare(files=(path,), json=True, laws=True).run()
    assert [choice["label"] for choice in alone["laws"]["choices"]] == ["theory stripe-d30 q=0.3"]
    assert "scales" not in alone
    with pytest.raises(InputError, match="must hold trained rows with a test error"):
        Compare(files=(path,), json=True, correlations=True).run()
