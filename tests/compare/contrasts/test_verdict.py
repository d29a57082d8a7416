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
    assert "the theory's curve describes 1 of 1 series" in words
    assert "does as well as any for 1 of 1 series" in words
    assert "0 of 1 series depart significantly from the shifted theory" in words


def test_a_flat_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: 0 * p + 0.3))
    assert "does not explain this curve: with P, R_f does not decrease significantly" in words
    assert "For 1 series the shift in P would lead outside the P of the theory." in words
    assert "shifted theory" not in words


def test_a_slow_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: 0.6 * (p / 64) ** -0.3))
    assert "R_f falls more slowly than the model predicts for all 1 nets trained on images" in words
    assert "the theory's curve describes 0 of 1 series" in words
    assert "does as well as any for 0 of 1 series" in words
    assert "1 of 1 series depart significantly from the shifted theory. 1 of them first fall below it" in words


@pytest.mark.slow
def test_a_steeper_measurement(theory: pd.DataFrame) -> None:
    words = str(verdict(theory, lambda p: saturating(p) ** 2))
    assert "falls more steeply than it predicts" in words
    assert "1 rise above it" in words


def test_the_test_error_is_judged(theory: pd.DataFrame) -> None:
    few = {"tasks": ("digits",), "sizes": (256, 1024, 4096), "seeds": 1}
    rng = np.random.default_rng(2)
    seen = verdict(theory, saturating, nets(rng, **few))
    assert "the test error rises with R_f (r = " in str(seen)
    assert "the test error has no significant correlation with D_f" in str(seen)
    assert all(len(line) <= 79 for line in seen.lines())
    json.dumps(seen.summary(), allow_nan=False)
    other = str(write_verdict(correlations=correlations(nets(rng, r=0.0, d=0.95, **few))))
    assert "the test error rises with D_f" in other
    unseen = str(write_verdict(correlations=correlations(nets(np.random.default_rng(5), r=0.0, d=0.0, **few))))
    assert "the test error has no significant correlation with R_f" in unseen
    two = str(write_verdict(correlations=correlations(nets(rng, names=NETS[:2], **few))))
    assert "cannot be compared across nets" in two


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
    assert "of 2 series. The theory's own curve" in words
    assert "1 series has too few points to choose a law." in words
    assert "the theory's curve describes 1 of 2 series" in words
    assert "For 1 series no shift in P can match the theory, whose largest R_f lies below theirs." in words
    assert "R_f rises for 1 of 3 nets trained on images." in words
    few = measured[measured["architecture"] == "fc4"]
    assert str(write_verdict(laws=choose_laws(few, theory))) == "1 series has too few points to choose a law."


NUMBER = re.compile(
    r"[-+]?\d[\d.]*(?:e[-+]\d+)?(?: ± \d[\d.]*| \[[^]]*\])?"  # a value with its error is one number
)


def numbers(sentence: str) -> list[str]:
    return NUMBER.findall(re.sub(r"[A-Za-z][\w=.-]*\d[\w.]*", "", sentence))  # names such as fc2 and q=0.3 are none


def test_no_sentence_holds_more_than_two_numbers(theory: pd.DataFrame) -> None:
    """Of a verdict on many curves of several sources; the counter itself sees three numbers where there are three."""
    measured = pd.concat(
        [
            planted(
                np.random.default_rng(shift), lambda p, s=shift: saturating(p / s), sigma=0.1, source=source,
                architecture=f"net{shift}",
            )
            for shift, source in ((2, "images"), (4, "images"), (1, "stripe-net"), (9, "published"))
        ]
    )  # fmt: skip
    error = nets(np.random.default_rng(2), tasks=("digits", "letters"), sizes=(256, 1024), seeds=1)
    words = write_verdict(
        contrast(theory, measured), choose_laws(measured, theory), effective_scales(theory, measured),
        correlations(error),
    )  # fmt: skip
    assert len(words.sentences) > 8
    assert [sentence for sentence in words.sentences if len(numbers(sentence)) > 2] == []
    assert numbers("of 27 series 14 fall (r = -0.5 ± 0.1) beside theory stripe-d30 q=0.3") == ["27", "14", "-0.5 ± 0.1"]


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
    assert "correlation across nets of log eps_t with" in printed
    assert len(found["laws"]["choices"]) == 3
    # R_f of these nets does not depend on P: the theory's curve cannot be laid on them.
    assert (len(found["scales"]["scales"]), len(found["scales"]["skipped"])) == (0, 3)
    assert found["correlations"]["correlations"]
    assert printed.startswith(found["conclusion"]["sentences"][0][:60])
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
