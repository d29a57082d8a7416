"""The laws of R_f(P): planted ones are found, and their intervals hold the truth as often as they say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from planted_curves import SIZES, planted, saturating, theory_series
from scipy import stats

from compare import TheoryCurve, fit_law, fit_power_law, series
from compare.curves.seed_errors import seed_errors
from compare.fits.laws import LAWS, LawName, make_law
from theory.common.errors import InputError

LONG = tuple(2**k for k in range(3, 18))


def broken(train_size: np.ndarray) -> np.ndarray:
    w = np.log(train_size / 700)
    return np.exp(np.log(0.3) - 0.2 * w - 0.9 * 0.5 * np.logaddexp(0, w / 0.5))


PLANTED: dict[LawName, tuple[Callable[[np.ndarray], np.ndarray], dict[str, float]]] = {
    "power": (lambda p: 3 * (p / 500) ** -0.6, {"b": 0.6}),
    "floor": (lambda p: 0.5 * (p / 500) ** -0.9 + 0.1, {"b": 0.9, "floor": 0.1}),
    "broken": (broken, {"amplitude": 0.3, "b1": 0.2, "b2": 1.1, "break_size": 700.0}),
    "theory-shifted": (lambda p: saturating(p / 3), {"shift": 3.0}),
    "theory-scaled": (lambda p: 2 * saturating(p / 0.5), {"scale": 2.0, "shift": 0.5}),
}


@pytest.fixture(scope="module")
def long_theory() -> pd.DataFrame:
    return theory_series(LONG)


@pytest.mark.parametrize("name", LAWS)
def test_a_planted_law_without_noise_is_found(name: LawName, long_theory: pd.DataFrame) -> None:
    law, truth = PLANTED[name]
    table = planted(np.random.default_rng(0), law, sigma=0.0, seeds=1)
    fit = fit_law(table, name, theory=long_theory if name.startswith("theory") else None)
    for parameter, value in truth.items():
        assert fit[parameter].estimate.value == pytest.approx(value, rel=0.02)
    assert fit.predict(np.array(SIZES)) == pytest.approx(law(np.array(SIZES, dtype=float)), rel=0.01)
    assert (fit.n_points, fit.n_sizes, fit.n_seeds) == (8, 8, 1)
    assert fit.extended == 0


def test_weights_alone_do_not_move_a_balanced_power_law() -> None:
    """With no correlation along P, a law fitted to all points is the existing power-law fit."""
    table = planted(np.random.default_rng(1), PLANTED["power"][0], rho=0.0)
    errors = seed_errors(table, "x")
    fit, old = fit_law(table), fit_power_law(table)
    line = stats.linregress(np.log(table["train_size"]), np.log(table["relative_stability"]))
    # Only the weights of the estimated correlation make a difference.
    assert errors.correlation < 0.4
    assert fit["b"].estimate.value == pytest.approx(-old.exponent.value, abs=0.03)
    assert fit["b"].estimate.error == pytest.approx(stats.t.ppf(0.975, len(table) - 2) * line.stderr, rel=0.3)


@pytest.mark.parametrize("name", ["power", "floor", "broken"])
def test_the_profile_is_lmfits(name: LawName) -> None:
    """The same ends as lmfit.conf_interval, where that finds both."""
    from lmfit import Minimizer, Parameters, conf_interval

    law, _ = PLANTED[name]
    table = planted(np.random.default_rng(3), law, seeds=1, sigma=0.02, rho=0.0, sizes=LONG)
    fit = fit_law(table, name)
    data = seed_errors(table, "x")
    form = make_law(name, data.log_sizes, data.means)
    parameters = Parameters()
    for parameter, value in zip(form.parameters, fit.fitted, strict=True):
        parameters.add(parameter.name, value, min=parameter.low, max=parameter.high)
    names = [parameter.name for parameter in form.parameters]
    minimizer = Minimizer(
        lambda p: data.means - form.log_value(np.array([p[n].value for n in names]), data.log_sizes), parameters
    )
    ends = conf_interval(minimizer, minimizer.leastsq(), sigmas=[0.95])
    for parameter in form.parameters:
        (_, low), _, (_, high) = ends[parameter.name]
        found = fit[parameter.name].estimate
        # lmfit stops within half a thousandth of the value.
        assert found.low == pytest.approx(math.exp(low) if parameter.log else low, rel=4e-3)
        assert found.high == pytest.approx(math.exp(high) if parameter.log else high, rel=4e-3)


def test_open_sides_are_infinite_and_named() -> None:
    """A theory that is a pure power law fixes a s^b, but neither a nor s; a flat one fixes no s."""
    rng = np.random.default_rng(4)
    straight = planted(rng, lambda p: 5e-9 / p, seeds=1, sigma=0.0, source="theory", stage="q=0.3")
    fit = fit_law(planted(rng, lambda p: 2 / p), "theory-scaled", theory=straight)
    assert fit.unidentified() == ("scale", "shift")
    assert math.isinf(fit["shift"].estimate.high)
    assert fit["shift"].estimate.low == 0
    assert fit["shift"].summary()["open"] == ["below", "above"]
    flat = planted(rng, lambda p: 0 * p + 0.5, seeds=1, sigma=0.0, source="theory", stage="q=0.3")
    assert fit_law(planted(rng, lambda p: 0 * p + 0.5), "theory-shifted", theory=flat).unidentified() == ("shift",)
    json.dumps(fit.summary(), allow_nan=False)


def test_a_floor_that_may_be_zero_is_said_to_be() -> None:
    rng = np.random.default_rng(5)
    none = fit_law(planted(rng, PLANTED["power"][0], sigma=0.1), "floor")["floor"]
    there = fit_law(planted(rng, PLANTED["floor"][0], sigma=0.1), "floor")["floor"]
    assert none.estimate.low == 0
    assert not none.identified
    assert 0 < there.estimate.low < 0.1 < there.estimate.high
    assert there.identified


def test_the_theory_is_extended_along_its_ends_up_to_its_saturation_and_says_how_far() -> None:
    curve = TheoryCurve("t", tuple(np.log([100.0, 200.0, 800.0])), tuple(np.log([0.5, 0.25, 0.125])))
    at = np.exp(curve.log_at(np.log([1.0, 25.0, 80.0, 100.0, 200.0, 800.0, 3200.0])))
    assert at == pytest.approx([1.0, 1.0, 0.625, 0.5, 0.25, 0.125, 0.0625])
    assert curve.extended(np.log([100.0, 800.0])) == 0
    assert curve.extended(np.log([50.0, 200.0])) == pytest.approx(0.5)
    assert curve.extended(np.log([800.0, 1600.0])) == pytest.approx(1)
    inner = curve.log_at(np.log(np.geomspace(100, 800, 50)))
    assert (np.diff(inner) < 0).all()


@pytest.mark.parametrize(
    ("task", "saturation"),
    [("stripe-d30", 30 / 29), ("stripe-d2", 2.0), ("cylinder-d10-3", 10 / 7), ("digits", 1.0), ("stripe-d1", 1.0)],
)
def test_the_saturation_is_that_of_the_task(task: str, saturation: float) -> None:
    """d/(d - d_par), the R_f of an isotropic net; 1 where d cannot be read."""
    rows = planted(np.random.default_rng(0), lambda p: 32 / p, sigma=0.0, seeds=1, source="theory", task=task)
    curve = TheoryCurve.of(rows)
    assert np.exp(curve.log_at(np.log(np.array([1e-3, 1.0])))) == pytest.approx([saturation, saturation])
    assert math.exp(curve.log_top) == pytest.approx(saturation)


def test_below_its_first_point_the_theory_never_falls_below_its_first_value() -> None:
    """A first value above the saturation stays what it is, and a first pair that rises is not run down to nothing."""
    high = TheoryCurve("t", tuple(np.log([64.0, 128.0])), tuple(np.log([1.2, 1.1])))
    assert np.exp(high.log_at(np.log(np.array([1.0, 64.0])))) == pytest.approx([1.2, 1.2])
    rising = TheoryCurve("t", tuple(np.log([64.0, 128.0, 256.0])), tuple(np.log([0.8, 0.9, 0.1])))
    assert np.exp(rising.log_at(np.log(np.array([1.0, 32.0])))) == pytest.approx([0.8, 0.8])


@pytest.mark.slow
def test_seed_errors_find_the_planted_variance_and_correlation() -> None:
    """Over 40 tables of 4 seeds the mean estimates are within 4 standard errors of what was planted."""
    rng = np.random.default_rng(6)
    tables = [planted(rng, lambda p: 1 / p, sigma=0.3, rho=0.6) for _ in range(40)]
    found = [seed_errors(table, "x") for table in tables]
    for values, planted_value in (([f.variance for f in found], 0.09), ([f.correlation for f in found], 0.6)):
        error = np.std(values, ddof=1) / math.sqrt(40)
        assert abs(np.mean(values) - planted_value) < 4 * error
    # One table, or the variance at one P, is much less certain: what pooling is for.
    smallest = [table[table["train_size"] == table["train_size"].min()] for table in tables]
    single = [np.var(np.log(rows["relative_stability"]), ddof=1) for rows in smallest]
    assert np.std(single) > 1.5 * np.std([f.variance for f in found])


def test_missing_runs_are_taken_into_account() -> None:
    table = planted(np.random.default_rng(7), PLANTED["power"][0])
    holes = table[~((table["seed"] == 3) & (table["train_size"] > 500))]
    fit = fit_law(holes)
    assert fit.n_points == 27
    assert [item.value.n for item in fit.residuals] == [4, 4, 4, 3, 3, 3, 3, 3]
    assert fit["b"].estimate.low < 0.6 < fit["b"].estimate.high


def test_bad_input_is_named(long_theory: pd.DataFrame) -> None:
    table = planted(np.random.default_rng(9), PLANTED["power"][0], sizes=(64, 128, 256))
    with pytest.raises(InputError, match="series = 3 distinct P: must have at least 5 for the law broken"):
        fit_law(table, "broken")
    with pytest.raises(InputError, match="needs a series of the theory"):
        fit_law(table, "theory-scaled")
    with pytest.raises(InputError, match="must be the label of a series"):
        fit_law(table, "theory-scaled", theory="nothing")
    with pytest.raises(InputError, match="must hold one series to fit"):
        fit_law(pd.concat([table, long_theory]))
    with pytest.raises(InputError, match=r"must be positive \(.*P = 64, seed 0\)"):
        fit_law(table.assign(relative_stability=table["relative_stability"].where(table.index != 0, 0.0)))
    with pytest.raises(InputError, match="law = cubic"):
        fit_law(table, "cubic")  # type: ignore[arg-type]


def test_a_theory_can_be_named_by_its_label(long_theory: pd.DataFrame) -> None:
    table = planted(np.random.default_rng(10), PLANTED["theory-shifted"][0])
    (label,) = map(str, series(long_theory))
    named = fit_law(pd.concat([table, long_theory]), "theory-shifted", theory=label)
    assert named == fit_law(table, "theory-shifted", theory=long_theory)
    assert named.theory == label
    assert repr(named).startswith("R_f = R_th(P/s): shift = ")
    assert "(n=32, 4 seeds)" in repr(named)
    assert named.plot().get_xscale() == "log"


# Coverage. Of 200 intervals that hold the truth with probability 0.90 each, fewer than 167 do so once in 700 times; of
# intervals with halved errors (about 0.6), 167 or more do so less than once in 1e9.
REPLICAS, LEAST = 200, 167


def coverage(name: LawName, theory: pd.DataFrame, seed: int) -> dict[tuple[str, str], int]:
    """How many of 200 intervals hold each planted parameter, and how many with halved errors."""
    law, truth = PLANTED[name]
    rng = np.random.default_rng(seed)
    held: dict[tuple[str, str], int] = {}
    for _ in range(REPLICAS):
        table = planted(rng, law, seeds=4, sigma=0.25, rho=0.5)
        fit = fit_law(table, name, theory=theory if name.startswith("theory") else None)
        for parameter, value in truth.items():
            found = fit[parameter].estimate
            logs = parameter in ("shift", "scale")
            ends = (found.value, found.low, found.high)
            centre, low, high = (math.log(x) if logs and x > 0 else x for x in ends)
            wanted = math.log(value) if logs else value
            counts = {
                "whole": found.low <= value <= found.high,
                "halved": (low + centre) / 2 <= wanted <= (high + centre) / 2,
            }
            for kind, hit in counts.items():
                held[parameter, kind] = held.get((parameter, kind), 0) + bool(hit)
    return held


@pytest.mark.slow
@pytest.mark.parametrize("name", ["power", "floor", "theory-shifted", "theory-scaled"])
def test_intervals_hold_the_planted_parameters(name: LawName, long_theory: pd.DataFrame) -> None:
    held = coverage(name, long_theory, seed=20)
    for parameter in PLANTED[name][1]:
        # The correlation along P is estimated, too, which the profile does not know: 0.90 is all it is held to.
        assert held[parameter, "whole"] >= LEAST, (parameter, held)
        assert held[parameter, "halved"] < LEAST, (parameter, held)


@pytest.mark.slow
def test_without_the_correlation_along_p_the_profile_would_be_too_narrow() -> None:
    """The negative control of the pooled covariance: all points taken as independent."""
    rng = np.random.default_rng(21)
    logs = np.log(SIZES)
    truth = math.log(3) - 0.6 * (float(logs.mean()) - math.log(500))
    held = {"taken": 0, "left out": 0}
    for _ in range(REPLICAS):
        table = planted(rng, PLANTED["power"][0], seeds=4, sigma=0.25, rho=0.8)
        found = fit_law(table)["amplitude"].estimate
        held["taken"] += math.log(found.low) <= truth <= math.log(found.high)
        line = stats.linregress(np.log(table["train_size"]), np.log(table["relative_stability"]))
        missed = np.log(table["relative_stability"]) - line.intercept - line.slope * np.log(table["train_size"])
        half = stats.t.ppf(0.975, len(table) - 2) * math.sqrt(float((missed**2).sum()) / (len(table) - 2) / len(table))
        held["left out"] += abs(line.intercept + line.slope * float(logs.mean()) - truth) <= half
    assert held["taken"] >= 164, held  # rho near 1 is estimated too low: 0.82 is all the profile is held to
    assert held["left out"] < 164, held
