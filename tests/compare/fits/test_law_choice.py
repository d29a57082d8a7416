"""The choice of a law: the planted one as a rule, never a law that the points are too few for."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from planted_curves import planted, saturating, theory_series

from compare import choose_law, choose_laws
from compare.fits.law_choice import TOO_FEW
from theory.common.errors import InputError

LONG = tuple(2**k for k in range(3, 18))


def test_a_planted_floor_is_chosen_and_passes() -> None:
    choice = choose_law(planted(np.random.default_rng(0), lambda p: 20 / p + 0.05, sigma=0.1))
    assert choice.chosen.name == "floor"
    assert choice.passes
    assert choice["power"].goodness.passes is False
    assert [fit.goodness.aicc for fit in choice] == sorted(fit.goodness.aicc for fit in choice)
    for criterion in ("aic", "aicc", "bic"):
        assert sum(choice.weights(criterion).values()) == pytest.approx(1)
    difference = choice["power"].goodness.aicc - choice.chosen.goodness.aicc
    weights = choice.weights()
    assert weights["power"] / weights["floor"] == pytest.approx(math.exp(-difference / 2))
    assert "it passes the test of lack of fit (p = " in choice.verdict()
    assert all(len(line) <= 79 for line in choice.lines())


def test_the_size_at_which_a_law_has_its_amplitude_is_printed() -> None:
    rng = np.random.default_rng(3)
    sizes = tuple(2**k for k in range(6, 17))  # the geometric mean is 2^11
    power = choose_law(planted(rng, lambda p: p**-0.5, sizes=sizes))
    assert power.chosen.name in ("power", "floor")
    assert ", P0 = 2048; n=" in power.verdict()
    assert ", P0 = 2048 over P = 64" in repr(power["power"])
    broken = choose_law(planted(rng, lambda p: 1 / np.sqrt(1 + (p / 1000) ** 2), sizes=sizes, sigma=0.01))
    assert "P0" not in broken.chosen.law.formula
    assert "P0" not in broken.verdict()
    for choice in (power, broken):
        told = r"  A of .*power.* is at P0 = 2048, the geometric mean of P"
        assert any(re.fullmatch(told, line) for line in choice.lines())
        assert all(len(line) <= 79 for line in choice.lines())


def test_what_cannot_be_told_is_said() -> None:
    rng = np.random.default_rng(1)
    few = choose_law(planted(rng, lambda p: 1 / p, sizes=(64, 128, 256, 512)))
    assert [fit.name for fit in few] == ["power", "floor"]
    assert [name for name, _ in few.skipped] == ["broken"]
    wavy = choose_law(planted(rng, lambda p: np.exp(np.sin(1.5 * np.log(p))) / p, sigma=0.05))
    assert wavy.passes is False
    assert "it does not fit (p = " in wavy.verdict()


@pytest.mark.slow
def test_every_series_is_judged_beside_the_theory() -> None:
    rng = np.random.default_rng(2)
    theory = theory_series(LONG)
    table = pd.concat(
        [
            planted(rng, lambda p: saturating(p / 4), sigma=0.1),
            planted(rng, lambda p: p**-0.3, sigma=0.1, architecture="fc2"),
            planted(rng, lambda p: 0 * p + 1, stage="initial"),
            planted(rng, lambda p: 1 / p, sizes=(64,), architecture="fc4"),
        ]
    )
    choices = choose_laws(table, theory)
    assert len(choices) == 2
    assert choices["images digits lenet trained"].chosen.name == "theory-shifted"
    assert choices["images digits fc2 trained"].chosen.name == "power"
    assert [str(key) for key, _ in choices.skipped] == ["images digits fc4 trained", "images digits lenet initial"]
    json.dumps(choices.summary(), allow_nan=False)
    assert all(len(line) <= 79 for line in choices.lines())
    without = choose_laws(table)
    assert {fit.name for fit in without["images digits fc2 trained"]} == {"power", "floor", "broken"}


@pytest.mark.slow
def test_a_choice_does_not_depend_on_the_order_of_rows() -> None:
    table = planted(np.random.default_rng(3), lambda p: 20 / p + 0.05)
    assert choose_law(table) == choose_law(table.sample(frac=1, random_state=1))


def test_bad_input_is_named() -> None:
    table = planted(np.random.default_rng(4), lambda p: 1 / p)
    with pytest.raises(InputError, match="criterion = cv"):
        choose_law(table).weights("cv")
    with pytest.raises(InputError, match="must have at least 3 for a law"):
        choose_law(planted(np.random.default_rng(4), lambda p: 1 / p, sizes=(64, 128)))
    with pytest.raises(KeyError):
        choose_law(table)["theory-shifted"]


@pytest.mark.slow
def test_how_often_the_planted_law_is_chosen() -> None:
    """Of 100 tables of four seeds: AICc prefers a law with more parameters to a true power law in less than a third."""
    rng = np.random.default_rng(5)
    chosen = {"power": 0, "floor": 0, "broken": 0}
    planted_floor = 0
    for _ in range(100):
        chosen[choose_law(planted(rng, lambda p: p**-0.5, sigma=0.2)).chosen.name] += 1
        planted_floor += choose_law(planted(rng, lambda p: 20 / p + 0.05, sigma=0.2)).chosen.name != "power"
    assert chosen["power"] > 67
    assert planted_floor > 95


def test_two_sizes_say_nothing_of_a_curve() -> None:
    """A series of two P is left out with the reason; one of four is not."""
    rng = np.random.default_rng(2)
    short, longer = (
        planted(rng, lambda p: 1 / p, sizes=sizes, architecture=net)
        for sizes, net in (((64, 128), "a"), ((64, 128, 256, 512), "b"))
    )
    found = choose_laws(pd.concat([short, longer], ignore_index=True))
    assert len(found) == 1
    ((key, reason),) = found.skipped
    assert key.architecture == "a"
    assert reason == "2 P, fewer than 3, say nothing about the shape of a curve"


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_rising_curve_is_never_the_theory_s_for_want_of_points(count: int) -> None:
    """One seed of 0.01 P^0.5: at 3 and 4 P only the law of fewest parameters has an AICc, if any; at 5 two have."""
    theory = theory_series(LONG)
    table = planted(np.random.default_rng(0), lambda p: 0.01 * p**0.5, seeds=1, sigma=0.0,
                    sizes=tuple(64 * 4**k for k in range(count)))  # fmt: skip
    found = choose_laws(table, theory)
    if count < 5:
        assert len(found) == 0
        assert [(str(key), why) for key, why in found.skipped] == [("images digits lenet trained", TOO_FEW)]
        with pytest.raises(InputError, match=f"{count} points at {count} P: {TOO_FEW}"):
            choose_law(table, theory)
    else:
        (choice,) = found
        assert choice.chosen.name == "power"
        assert all(math.isfinite(weight) for weight in choice.weights().values())
    words = " ".join([*found.lines(), json.dumps(found.summary(), allow_nan=False)])
    assert not re.search(r"\b(nan|inf)\b", words)


def test_a_theory_s_law_read_off_its_extension_is_not_chosen() -> None:
    """A flat net of R_f = 1: far below its first P the theory is as flat, which says nothing for it."""
    flat = planted(np.random.default_rng(6), lambda p: 0 * p + 1.0, sigma=0.05)
    choice = choose_law(flat, theory_series())
    assert not any(fit.name.startswith("theory") for fit in choice)
    assert [why for name, why in choice.skipped if name.startswith("theory")] == [
        "reads mostly the extension of the theory's curve"
    ] * 2


def test_the_theory_that_is_laid_beside_a_series_makes_a_curve() -> None:
    """The nearest q has one P only: the next is taken, as by `contrast` and `effective_scales`."""
    whole = theory_series(LONG).assign(stage="q=0.1")
    point = whole[whole["train_size"] == 64].assign(stage="q=0.3")
    table = planted(np.random.default_rng(7), lambda p: saturating(p / 3), sigma=0.05)
    (choice,) = choose_laws(table, pd.concat([whole, point], ignore_index=True))
    assert choice["theory-shifted"].theory == "theory stripe-d30 q=0.1"
    with pytest.raises(InputError, match="must hold one with two P or more"):
        choose_laws(table, point)
