"""Which law a series follows: all laws fitted, weighed by information criteria, and the best one tested."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.curves.nearest_theory import INITIAL, nearest_theory, usable_theory
from compare.curves.numbers import WIDTH, json_ready, skipped_lines, wrapped
from compare.curves.series import Curves, OfSeries, Results, SeriesKey
from compare.fits.fitted_law import LawFit
from compare.fits.law_fits import LawFitter, one_series
from compare.fits.laws import LAWS, SYMBOLS, LawName, TheoryCurve
from theory.common.errors import InputError, require_choice, require_real

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CLOSE", "LEAST_SIZES", "TOO_FEW", "LawChoice", "LawChoices", "choose_all", "choose_law", "choose_laws"]

#: Laws whose AICc is worse by less than this are not told from the best (Burnham and Anderson 2002, section 2.6).
CLOSE = 2.0
#: Distinct P below which `choose_laws` leaves a series out: no law can then be fitted and tested.
LEAST_SIZES = 3
#: Why a series has no choice although laws can be fitted to it, see `LawChoice`.
TOO_FEW = "too few points to choose a law"


@dataclass(frozen=True, slots=True)
class LawChoice(OfSeries):
    """The laws fitted to one series, the best AICc first, and those left out, with the reason; see `choose_law`.

    The choice is by AICc: the laws are descriptions of a curve, none is expected to be exact, and the points are
    few; AICc then aims at the best prediction, and its correction keeps laws of four parameters from seven
    points. BIC, whose weights stand beside, aims at the true law among those listed and wants many points.

    A law whose AICc is infinite, N <= k + 2, is never chosen. There is a choice only where two laws or more have a
    finite one, the power law among them: else the law of fewest parameters would win whatever the points say. Nor
    is a law of the theory chosen that would be read mostly off the extension of its curve (`skipped` says so).

    Iterates over the fits; `choice[law]` is the fit of one law. Source: Burnham and Anderson, *Model Selection and
    Multimodel Inference* (2002), sections 2.4 and 2.6.

    Attributes
    ----------
    key : what the series is of
    fits : the fits, the best AICc first
    skipped : pairs (law, reason)
    """

    fits: tuple[LawFit, ...]
    skipped: tuple[tuple[LawName, str], ...]

    def __iter__(self) -> Iterator[LawFit]:
        return iter(self.fits)

    def __getitem__(self, law: LawName) -> LawFit:
        """The fit of `law`; KeyError if it was not fitted."""
        for fit in self.fits:
            if fit.name == law:
                return fit
        raise KeyError(law)

    @property
    def chosen(self) -> LawFit:
        """The fit with the best AICc."""
        return self.fits[0]

    @property
    def passes(self) -> bool | None:
        """Whether the chosen law passes the test of lack of fit; None if it cannot be made."""
        return self.chosen.goodness.passes

    def weights(self, criterion: str = "aicc") -> dict[LawName, float]:
        r"""The weight of each law, exp(-difference / 2) of a criterion, normalised to a sum of 1.

        .. math:: w_i = \frac{e^{-\Delta_i / 2}}{\sum_j e^{-\Delta_j / 2}}

        Parameters
        ----------
        criterion : ``aicc``, ``aic`` or ``bic``

        Raises
        ------
        InputError
            If the criterion is none of these.
        """
        require_choice("criterion", criterion, ("aicc", "aic", "bic"))
        values = np.array([getattr(fit.goodness, criterion) for fit in self.fits])
        raw = np.exp(-(values - values.min()) / 2)
        return {fit.name: float(w) for fit, w in zip(self.fits, raw / raw.sum(), strict=True)}

    def behind(self, fit: LawFit) -> float:
        """By how much the AICc of a fit is worse than the best.

        Parameters
        ----------
        fit : one of the fits of this series
        """
        return fit.goodness.aicc - self.chosen.goodness.aicc

    def close(self) -> tuple[LawName, ...]:
        """The laws, besides the chosen one, whose AICc is worse by less than 2."""
        return tuple(fit.name for fit in self.fits[1:] if self.behind(fit) < CLOSE)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **json_ready(self, "label", "passes", "fits"),
            "chosen": self.chosen.name,
            "close": list(self.close()),
            "weights_aicc": self.weights(),
            "weights_bic": self.weights("bic"),
            "skipped": [{"law": name, "reason": reason} for name, reason in self.skipped],
            "verdict": self.verdict(),
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Law, AICc above the best, weight, lack of fit (p-value) and parameters of each fit, as text."""
        weights = self.weights()
        found: list[tuple[str, ...]] = []
        for fit in self.fits:
            lack, behind = fit.goodness.lack_of_fit, self.behind(fit)
            p = "–" if lack is None else "<0.001" if lack < 0.001 else f"{lack:.3f}"
            above = f"{behind:.1f}" if math.isfinite(behind) else "–"
            words = ", ".join(parameter.words() for parameter in fit.parameters)
            found.append((fit.name, above, f"{weights[fit.name]:.2f}", p, words))
        return found

    def lines(self) -> list[str]:
        """A table of at most 79 columns."""
        lines = [*wrapped(self.label), f"  {'law':<15}{'dAICc':>7}{'weight':>8}{'lack of fit':>13}  parameters"]
        for name, above, weight, lack, words in self.rows():
            row = f"  {name:<15}{above:>7}{weight:>8}{lack:>13}"
            fits_in = len(row) + 2 + len(words) <= WIDTH
            lines += [f"{row}  {words}"] if fits_in else [row, *wrapped(f"    {words}")]
        if pivoted := [fit for fit in self.fits if fit.law.pivot_words]:
            names = " and ".join(fit.name for fit in pivoted)
            lines += wrapped(f"  A of {names} is at {pivoted[0].law.pivot_words}, the geometric mean of P")
        lines += [line for name, why in self.skipped for line in wrapped(f"  left out: {name}: {why}")]
        return lines + wrapped(f"  {self.verdict()}")

    def verdict(self) -> str:
        """The law chosen, its rivals, what the data leave open, and whether it passes the test of lack of fit."""
        fit = self.chosen
        text = f"{fit.law.formula} ({fit.words()}; n={fit.n_points}, {fit.n_seeds} seed{'s' * (fit.n_seeds != 1)})"
        if self.close():
            text += f"; {' and '.join(self.close())} fit{'s' * (len(self.close()) == 1)} as well"
        if (open_ones := fit.unidentified()) and fit.goodness.n > len(fit.parameters):
            text += f"; these points do not fix {', '.join(SYMBOLS.get(n, n) for n in open_ones)}"
        if self.passes is None:
            return f"{text}; there are no replicates to test it against."
        lack = f"(p = {fit.goodness.lack_of_fit:.2g})"
        return (
            f"{text}; it passes the test of lack of fit {lack}." if self.passes else f"{text}; it does not fit {lack}."
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points with the chosen law; see `LawFit.plot`.

        Parameters
        ----------
        ax : where to draw; on a new figure if None
        """
        return self.chosen.plot(ax)

    def __repr__(self) -> str:
        return f"{self.label}: {self.verdict()}"


class LawChoices(Results[LawChoice]):
    """The choice for each series of a table, and the reason for each that has none; see `choose_laws`.

    Iterates over the choices; `choices[name]` finds one by its series' key or printed name.

    Attributes
    ----------
    found : the choices, in the order of the series
    skipped : pairs (key, reason)
    """

    __slots__ = ()
    _plural = "choices"

    def lines(self) -> list[str]:
        """The tables of all series, of at most 79 columns."""
        lines = [line for choice in self for line in choice.lines()]
        return lines + skipped_lines("no law", self.skipped)


def choose_law(
    table: pd.DataFrame | Curves, theory: str | pd.DataFrame | None = None, *, confidence: float = 0.95
) -> LawChoice:
    """Fit every law that the series has points enough for, and order them by AICc.

    The criteria are those of `Goodness`, the laws those of `fit_law`, and what may be chosen is said in `LawChoice`.
    Source: Burnham and Anderson, *Model Selection and Multimodel Inference* (2002).

    Parameters
    ----------
    table : a curve table that holds the series to fit
    theory : as in `fit_law`; without one the two laws of the theory are left out
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        As `fit_law`, and if the series has too few distinct P for any law, or too few points to choose
        among laws: fewer than two, or not the power law, have a finite AICc.

    Example
    -------
    >>> from compare import choose_law, load_reference
    >>> table = load_reference("mnist", "EfficientNet", 3, "bilinear").query("train_size < 50000")
    >>> choice = choose_law(table)
    >>> choice.chosen.law.formula, round(choice.chosen["b"].estimate.value, 2)
    ('A (P/P0)^-b', 0.24)
    >>> choice.chosen.name, choice.close(), choice.passes
    ('power', ('broken',), False)
    >>> sorted(choice.weights()) == sorted(fit.name for fit in choice), round(sum(choice.weights().values()), 9)
    (True, 1.0)
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    return _choose(*one_series(table, theory), LawFitter(confidence))


def choose_laws(
    table: pd.DataFrame | Curves,
    theory: str | pd.DataFrame | Curves | None = None,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> LawChoices:
    """`choose_law` for every series of a table but those of fewer than three P, at stage "initial", or named as theory.

    A series of too few points to choose is in `skipped` of the result, with the reason.

    Parameters
    ----------
    table : a curve table of any number of series
    theory : the label of one series of `table`, or a table of theory series of which each series gets the
        nearest (as in `contrast`: its own stage, else `stage`, else q=0.3) of those with two P or more. Without it the
        laws of the theory are left out
    stage : of the theory's series that is preferred where a series' own stage is not there
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If a table is no valid curve table, `theory` names no series, or none of its series has two P with R_f above 0.

    Example
    -------
    >>> from compare import choose_laws, load_reference
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> choices = choose_laws(measured, theory)
    >>> [choice.chosen.name for choice in choices]
    ['theory-shifted']
    >>> choose_laws(measured.head(2)).skipped[0][1]
    '2 P, fewer than 3, say nothing about the shape of a curve'
    >>> table = load_reference("mnist", "EfficientNet", 3, "bilinear").query("train_size < 50000")
    >>> choices = choose_laws(table)
    >>> len(choices), choices["published mnist EfficientNet (bilinear) trained"].chosen.name
    (1, 'power')
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    curves = Curves.of(table)
    predicted: Curves | None
    if isinstance(theory, str):
        named = curves.named(theory)
        predicted = curves.pick(lambda key: key == named)
        curves = curves.pick(lambda key: key != named)
    else:
        predicted = None if theory is None else Curves.of(theory, "theory")
    return choose_all(curves, predicted, stage, LawFitter(confidence))


def choose_all(curves: Curves, theory: Curves | None, stage: str | None, fitter: LawFitter) -> LawChoices:
    """`choose_laws` of parsed tables."""
    usable = None if theory is None else usable_theory(theory)
    choices: list[LawChoice] = []
    skipped: list[tuple[SeriesKey, str]] = []
    for key, rows in curves.parts.items():
        if key.stage == "initial":
            skipped.append((key, INITIAL))
            continue
        if (count := rows["train_size"].nunique()) < LEAST_SIZES:
            skipped.append((key, f"{count} P, fewer than {LEAST_SIZES}, say nothing about the shape of a curve"))
            continue
        try:
            curve = None
            if usable is not None:
                beside = nearest_theory(key, usable.parts, stage)
                curve = TheoryCurve.of(usable.parts[beside], str(beside))
            choices.append(_choose(key, rows, curve, fitter))
        except InputError as error:
            skipped.append((key, TOO_FEW if error.allowed == TOO_FEW else str(error)))
    return LawChoices(tuple(choices), tuple(skipped))


def _choose(key: SeriesKey, rows: pd.DataFrame, theory: TheoryCurve | None, fitter: LawFitter) -> LawChoice:
    fits: list[LawFit] = []
    skipped: list[tuple[LawName, str]] = []
    for name in LAWS:
        if theory is None and name.startswith("theory"):
            continue
        try:
            fits.append(fitter.fit(key, rows, name, theory))
        except InputError as error:
            if error.parameter != "series":
                raise
            skipped.append((name, f"{error.value}: {error.allowed}"))
    if not fits:
        raise InputError(str(key), f"{rows['train_size'].nunique()} distinct P", "must have at least 3 for a law")
    told = [fit.name for fit in fits if math.isfinite(fit.goodness.aicc)]
    if len(told) < 2 or "power" not in told:
        raise InputError(str(key), f"{fits[0].n_points} points at {fits[0].n_sizes} P", TOO_FEW)
    skipped += [(fit.name, "reads mostly the extension of the theory's curve") for fit in fits if fit.beyond_theory]
    kept = sorted(
        (fit for fit in fits if not fit.beyond_theory), key=lambda fit: (fit.goodness.aicc, len(fit.parameters))
    )
    return LawChoice(key, tuple(kept), tuple(skipped))
