"""Which law a series follows: all laws fitted, weighed by information criteria, and the best one tested."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compare.contrasts.comparison import nearest_theory, usable_theory
from compare.curves.series import series
from compare.curves.wording import WIDTH, format_estimate, skipped_lines, wrapped
from compare.fits.fitted_law import LawFit, LawParameter
from compare.fits.law_fits import beyond_theory, fit_rows, one_series
from compare.fits.laws import LAWS, LawName, TheoryCurve
from theory.common.errors import InputError, require_integer, require_real
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LawChoice", "LawChoices", "choose_law", "choose_laws"]

#: Laws whose AICc is worse by less than this are not told from the best (Burnham and Anderson 2002, section 2.6).
CLOSE = 2.0
#: Distinct P below which `choose_laws` leaves a series out: no law can then be fitted and tested.
LEAST_SIZES = 3
#: Why a series has no choice although laws can be fitted to it, see `LawChoice`.
TOO_FEW = "too few points to choose a law"
_SYMBOLS = {"amplitude": "A", "floor": "F", "break_size": "P_b", "scale": "a", "shift": "s"}


@dataclass(frozen=True, slots=True)
class LawChoice:
    """The laws fitted to one series, the best AICc first, and those left out, with the reason.

    The choice is by AICc: the laws are descriptions of a curve, none is expected to be exact, and the points are
    few; AICc then aims at the best prediction, and its correction keeps laws of four parameters from seven
    points. BIC, whose weights stand beside, aims at the true law among those listed and wants many points.

    A law whose AICc is infinite, N <= k + 2, is never chosen. There is a choice only where two laws or more have a
    finite one, the power law among them: else the law of fewest parameters would win whatever the points say. Nor
    is a law of the theory chosen that would be read mostly off the extension of its curve (`skipped` says so).
    """

    label: str
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
        return self.fits[0]

    @property
    def passes(self) -> bool | None:
        """Whether the chosen law passes its residual tests; None if there are none."""
        return self.chosen.goodness.passes

    def weights(self, criterion: str = "aicc") -> dict[LawName, float]:
        """exp(-difference / 2) of ``aicc``, ``aic`` or ``bic``, normalised to a sum of 1."""
        if criterion not in ("aicc", "aic", "bic"):
            raise InputError("criterion", criterion, "must be one of aicc, aic, bic")
        values = np.array([getattr(fit.goodness, criterion) for fit in self.fits])
        raw = np.exp(-(values - values.min()) / 2)
        return {fit.name: float(w) for fit, w in zip(self.fits, raw / raw.sum(), strict=True)}

    def close(self) -> tuple[LawName, ...]:
        """The laws, besides the chosen one, whose AICc is worse by less than 2."""
        best = self.chosen.goodness.aicc
        return tuple(fit.name for fit in self.fits[1:] if fit.goodness.aicc - best < CLOSE)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        aicc, bic = self.weights(), self.weights("bic")
        return {
            "label": self.label,
            "chosen": self.chosen.name,
            "close": list(self.close()),
            "passes": self.passes,
            "failures": self.chosen.goodness.failures(),
            "weights_aicc": aicc,
            "weights_bic": bic,
            "fits": [fit.summary() for fit in self.fits],
            "skipped": [{"law": name, "reason": reason} for name, reason in self.skipped],
            "verdict": self.verdict(),
        }

    def lines(self) -> list[str]:
        """A table of at most 79 columns: laws, AICc above the best, weight, tests, parameters."""
        lines = wrapped(self.label)
        weights, best = self.weights(), self.chosen.goodness.aicc
        lines.append(f"  {'law':<15}{'dAICc':>7}{'weight':>8}{'lack of fit':>13}{'along P':>9}  parameters")
        for fit in self.fits:
            good = fit.goodness
            behind = f"{good.aicc - best:.1f}" if math.isfinite(good.aicc) else "–"
            row = f"  {fit.name:<15}{behind:>7}{weights[fit.name]:>8.2f}"
            row += f"{_p(good.lack_of_fit):>13}{_p(good.hanging_together):>9}  "
            words = [parameter_words(parameter) for parameter in fit.parameters]
            if len(row) + len("  ".join(words)) <= WIDTH:
                lines.append(row + "  ".join(words))
            else:
                lines.append(row.rstrip())
                lines += wrapped("    " + ", ".join(words), indent="    ")
        if pivoted := [fit for fit in self.fits if fit.law.pivot_words]:
            names = " and ".join(fit.name for fit in pivoted)
            lines += wrapped(f"  A of {names} is at {pivoted[0].law.pivot_words}, the geometric mean of P")
        lines += [line for name, why in self.skipped for line in wrapped(f"  left out: {name}: {why}")]
        return lines + wrapped(f"  {self.verdict()}")

    def verdict(self) -> str:
        """One sentence: the law chosen, its rivals, what the data leave open, and whether its residuals pass."""
        fit = self.chosen
        words = ", ".join([*map(parameter_words, fit.parameters), *filter(None, [fit.law.pivot_words])])
        text = f"{fit.law.formula} ({words}; n={fit.n_points}, {fit.n_seeds} seed{'s' * (fit.n_seeds != 1)})"
        if self.close():
            text += f", not told from {' or '.join(self.close())}"
        if (open_ones := fit.unidentified()) and not (fit.goodness.n <= len(fit.parameters)):
            text += f"; not fixed by these points: {', '.join(_SYMBOLS.get(n, n) for n in open_ones)}"
        if self.passes is None:
            return text + "; no test of its residuals."
        return text + ("; residuals pass." if self.passes else f"; but {' and '.join(fit.goodness.failures())}.")

    def plot(self, ax: Axes | None = None) -> Axes:
        """The points with the chosen law; see `LawFit.plot`."""
        return self.chosen.plot(ax)

    def __repr__(self) -> str:
        return f"{self.label}: {self.verdict()}"


@dataclass(frozen=True, slots=True)
class LawChoices:
    """The choice for each series of a table, and the reason for each that has none."""

    choices: tuple[LawChoice, ...]
    skipped: tuple[tuple[str, str], ...]  # label, reason

    def __iter__(self) -> Iterator[LawChoice]:
        return iter(self.choices)

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, label: str) -> LawChoice:
        """The choice for the series `label`; KeyError if there is none."""
        for choice in self.choices:
            if choice.label == label:
                return choice
        raise KeyError(label)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "choices": [choice.summary() for choice in self.choices],
            "skipped": [{"label": label, "reason": reason} for label, reason in self.skipped],
        }

    def lines(self) -> list[str]:
        """The tables of all series, of at most 79 columns."""
        lines = [line for choice in self.choices for line in choice.lines()]
        return lines + skipped_lines("no law", self.skipped)


def choose_law(
    table: pd.DataFrame,
    theory: str | pd.DataFrame | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 0,
    rng: np.random.Generator | None = None,
) -> LawChoice:
    """Fit every law that the series has points enough for, and order them by AICc.

    `theory` as in `compare.fit_law`; without one the two laws of the theory are left out. `draws` is 0 as a
    rule: the bootstrap, of all intervals the least reliable, is then not made.

    Raises
    ------
    InputError
        As `compare.fit_law`, and if the series has too few distinct P for any law, or too few points to choose
        among laws: fewer than two, or not the power law, have a finite AICc.
    """
    require_integer("draws", draws, 0)
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    label, rows, curve = one_series(table, theory)
    return _choose(rows, label, curve, confidence, draws, rng or np.random.default_rng(0))


def choose_laws(
    table: pd.DataFrame,
    theory: str | pd.DataFrame | None = None,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> LawChoices:
    """`choose_law` for every series of `table` but those of fewer than three P, at stage "initial", or named as theory.

    `theory` is the label of one series of `table`, or a table of theory series of which each series gets the
    nearest (as in `contrast`: its own stage, else `stage`, else q=0.3) of those with two P or more. Without it the
    laws of the theory are left out. A series of too few points to choose is in `skipped`, with the reason `TOO_FEW`.

    Raises
    ------
    InputError
        If a table is no valid curve table, `theory` names no series, or none of its series has two P with R_f above 0.
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    groups = series(validate_table(table))
    if isinstance(theory, str):
        if theory not in groups:
            raise InputError("theory", theory, "must be the label of a series of the table")
        predicted = dict(zip([theory], usable_theory(groups.pop(theory)).values(), strict=True))
    else:
        predicted = {} if theory is None else usable_theory(theory)
    choices: list[LawChoice] = []
    skipped: list[tuple[str, str]] = []
    rng = np.random.default_rng(0)
    for label, rows in groups.items():
        key = rows.iloc[0]
        if key["stage"] == "initial":
            skipped.append((label, "at initialisation R_f does not depend on P"))
            continue
        if (count := rows["train_size"].nunique()) < LEAST_SIZES:
            skipped.append((label, f"{count} P, fewer than {LEAST_SIZES}, say nothing about the shape of a curve"))
            continue
        try:
            name = nearest_theory(key, predicted, stage) if predicted else None
            curve = None if name is None else TheoryCurve.of(predicted[name], name)
            choices.append(_choose(rows, label, curve, confidence, 0, rng))
        except InputError as error:
            skipped.append((label, TOO_FEW if error.allowed == TOO_FEW else str(error)))
    return LawChoices(tuple(choices), tuple(skipped))


def _choose(
    rows: pd.DataFrame,
    label: str,
    theory: TheoryCurve | None,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> LawChoice:
    fits: list[LawFit] = []
    skipped: list[tuple[LawName, str]] = []
    for name in LAWS:
        if theory is None and name.startswith("theory"):
            continue
        try:
            fits.append(fit_rows(rows, label, name, theory, confidence, draws, rng))
        except InputError as error:
            if error.parameter != "series":
                raise
            skipped.append((name, f"{error.value}: {error.allowed}"))
    if not fits:
        raise InputError(label, f"{rows['train_size'].nunique()} distinct P", "must have at least 3 for a law")
    told = [fit.name for fit in fits if math.isfinite(fit.goodness.aicc)]
    if len(told) < 2 or "power" not in told:
        raise InputError(label, f"{fits[0].n_points} points at {fits[0].n_sizes} P", TOO_FEW)
    skipped += [(fit.name, "reads mostly the extension of the theory's curve") for fit in fits if beyond_theory(fit)]
    fits = sorted(
        (fit for fit in fits if not beyond_theory(fit)), key=lambda fit: (fit.goodness.aicc, len(fit.parameters))
    )
    return LawChoice(label, tuple(fits), tuple(skipped))


def parameter_words(parameter: LawParameter) -> str:
    """``b = 0.16 ± 0.09``; a floor that may be 0 as ``F < 0.3``; ``s not fixed`` where both sides are open."""
    name, found = _SYMBOLS.get(parameter.name, parameter.name), parameter.profile
    if parameter.identified or math.isnan(found.low):
        return f"{name} = {format_estimate(parameter.estimate)}"
    open_below = not math.isfinite(found.low) or (parameter.name in _SYMBOLS and found.low <= 0)
    if open_below:
        return f"{name} < {found.high:.2g}" if math.isfinite(found.high) else f"{name} not fixed"
    return f"{name} > {found.low:.2g}"


def _p(value: float | None) -> str:
    return "" if value is None else ("<0.001" if value < 0.001 else f"{value:.3f}")
