"""The contrast: measured curves beside the theory's, exponent by exponent, over the same P."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from compare.contrasts.ratio import LEAST_PAIRS, measured_over_theory
from compare.contrasts.relations import Comparison, Relation
from compare.contrasts.wording import answer_lines, answer_sentence
from compare.curves.nearest_theory import INITIAL, nearest_theory, require_stage
from compare.curves.numbers import json_ready, listing
from compare.curves.series import Curves, SeriesKey, reasons
from compare.fits.power_law import Fits, PowerLawFit, fit_all, fit_series
from theory.common.errors import InputError
from theory.common.estimate import Estimate, mean

__all__ = ["Comparison", "Contrast", "contrast", "contrast_fits", "fits_table"]

#: P that measurement and theory must share for both to be fitted to just these.
_LEAST_SHARED = 3


@dataclass(frozen=True, slots=True)
class Contrast:
    """Fits of the theory over all its P, comparisons of measured series with it, and what could not be compared.

    Each interval stands at its own confidence: among twenty comparisons at 95 %, one falls outside by chance. Made by
    `contrast`.

    Attributes
    ----------
    theory : fits of the theory's series
    comparisons : one for each measured series that could be compared
    skipped : pairs (key, reason)
    """

    theory: tuple[PowerLawFit, ...]
    comparisons: tuple[Comparison, ...]
    skipped: tuple[tuple[SeriesKey, str], ...]

    def related(self, relation: Relation) -> list[Comparison]:
        """The comparisons of one relation to the theory.

        Parameters
        ----------
        relation : one of `Relation`
        """
        return [item for item in self.comparisons if item.relation is relation]

    def verdict(self) -> str:
        """One sentence: how far the simple model explains the measured curves."""
        return answer_sentence(self.comparisons)

    def lines(self) -> list[str]:
        """The table of the comparisons, and what was skipped, in lines of at most 79 columns."""
        return answer_lines(self.comparisons, self.skipped)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        told = json_ready(self, "theory", "comparisons")
        return {**told, "skipped": reasons(self.skipped), "verdict": self.verdict()}

    def table(self) -> pd.DataFrame:
        """One row a series: its fit; the range compared, the theory's exponent over it, the difference, the ratio."""
        return fits_table(self.theory, self.comparisons)


def fits_table(fits: tuple[PowerLawFit, ...], comparisons: tuple[Comparison, ...] = ()) -> pd.DataFrame:
    """`Contrast.table`; of fits alone the same columns, with nothing to compare."""
    rows = [_row(fit) for fit in fits]
    for item in comparisons:
        compared = {
            "theory": item.theory.label,
            "compared_P_min": item.compared.x_range[0],
            "compared_P_max": item.compared.x_range[1],
            "compared_exponent": item.compared.exponent.value,
            "theory_exponent": item.theory.exponent.value,
            "relation": item.relation.value,
        }
        ratio = item.ratio.estimate if item.ratio else Estimate(math.nan)
        rows.append(
            {**_row(item.measured), **compared, **_ends("difference", item.difference), **_ends("ratio", ratio)}
        )
    columns = (
        "series n_points n_seeds P_min P_max exponent exponent_low exponent_high interval_method bent theory "
        "compared_P_min compared_P_max compared_exponent theory_exponent relation difference difference_low "
        "difference_high ratio ratio_low ratio_high"
    )
    return pd.DataFrame(rows, columns=columns.split(" "))


def _row(fit: PowerLawFit) -> dict[str, Any]:
    size = {"series": fit.label, "n_points": fit.n_points, "n_seeds": fit.n_seeds}
    size |= {"P_min": fit.x_range[0], "P_max": fit.x_range[1]}
    return {**size, **_ends("exponent", fit.exponent), "interval_method": fit.interval_method, "bent": fit.bent}


def _ends(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def contrast(
    theory_table: pd.DataFrame | Curves,
    measured_table: pd.DataFrame | Curves,
    *,
    stage: str | None = None,
    confidence: float = 0.95,
) -> Contrast:
    """Fit each series of both curve tables and lay each measured one beside a series of the theory, over the same P.

    Both are fitted by R_f ~ P^b, see `fit_power_law`; b = -1 at large P for the simple model of arXiv 2105.02468,
    section 5. The theory's series is one at the measured series' own stage if there is one, else at `stage`
    (default q=0.3), else at the theory's last stage; among several, one on the same task, then of the same
    variant, the usual one, of the same architecture. Series at stage "initial" are not compared: they do not
    depend on P.

    Parameters
    ----------
    theory_table, measured_table : curve tables of any number of series
    stage : of the theory's series that is preferred where a series' own stage is not there
    confidence : of the intervals, between 0 and 1

    Raises
    ------
    InputError
        If a table is no valid curve table, the theory's is empty or none of its series can be fitted, or
        no series of the theory has the given `stage`.

    Example
    -------
    >>> from compare import Relation, contrast
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> print(contrast(theory, measured).verdict())
    The simple model explains this curve: with P, R_f falls at the rate it predicts.
    >>> comparison = contrast(theory, measured).comparisons[0]
    >>> comparison.sizes, comparison.relation.value, comparison.difference_method
    ('64…1024', 'same', 'independent errors')
    >>> comparison.difference.value > 0
    True
    >>> found = contrast(theory, measured)
    >>> len(found.theory), len(found.related(Relation.SLOWER)), found.skipped
    (1, 0, ())
    >>> list(found.table().columns[:4])
    ['series', 'n_points', 'n_seeds', 'P_min']
    """
    predicted, measured = Curves.of(theory_table, "theory"), Curves.of(measured_table, "measured")
    if not predicted.parts:
        raise InputError("theory", "empty", "must hold rows to compare with")
    require_stage(predicted, stage)
    fits, measured_fits = fit_all(predicted, confidence=confidence), fit_all(measured, confidence=confidence)
    return contrast_fits(predicted, measured, fits, measured_fits, stage, confidence)


def contrast_fits(
    theory: Curves, measured: Curves, fits: Fits, measured_fits: Fits, stage: str | None, confidence: float = 0.95
) -> Contrast:
    """`contrast` of parsed tables whose series have been fitted over all their P."""
    if not len(fits):
        raise InputError("theory", listing([f"{key} ({why})" for key, why in fits.skipped]), "cannot be fitted")
    skipped = [*fits.skipped, *measured_fits.skipped]
    ranges = _Ranges(confidence)
    comparisons: list[Comparison] = []
    for fit in measured_fits:
        if fit.key.stage == "initial":
            skipped.append((fit.key, INITIAL))
            continue
        beside = fits[nearest_theory(fit.key, [one.key for one in fits], stage)]
        ours, theirs = measured.parts[fit.key], theory.parts[beside.key]
        same = all(getattr(fit.key, name) == getattr(beside.key, name) for name in ("task", "variant", "stage"))
        ratio = measured_over_theory(ours, theirs, confidence) if same else None
        ours, theirs = _same_sizes(ours, theirs)
        try:
            compared, reference = ranges.fit(fit, ours), ranges.fit(beside, theirs)
        except InputError:
            skipped.append((fit.key, f"too few P in the range that it shares with {beside.label}"))
            continue
        difference, method = _difference(compared, reference, _pairs(ours, theirs) if same else [])
        comparisons.append(Comparison(fit, compared, reference, difference, method, ratio))
    return Contrast(fits.found, tuple(comparisons), tuple(skipped))


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Fits over some of the P of a series, each made once however many series are compared over these P."""

    confidence: float
    _known: dict[tuple[SeriesKey, tuple[int, ...]], PowerLawFit] = field(default_factory=dict)

    def fit(self, whole: PowerLawFit, rows: pd.DataFrame) -> PowerLawFit:
        if len(rows) == whole.n_points:
            return whole
        asked = whole.key, tuple(sorted(set(rows["train_size"])))
        if asked not in self._known:
            self._known[asked] = fit_series(whole.key, rows, confidence=self.confidence)
        return self._known[asked]


def _same_sizes(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows at the P that both have, if these are three or more and half of ours within the range of both, else
    all rows within that range."""
    sizes = [rows["train_size"] for rows in (ours, theirs)]
    shared = set(sizes[0]) & set(sizes[1])
    kept = [own.between(max(map(min, sizes)), min(map(max, sizes))) for own in sizes]
    if len(shared) >= max(_LEAST_SHARED, sizes[0][kept[0]].nunique() / 2):
        kept = [own.isin(shared) for own in sizes]
    return ours[kept[0]], theirs[kept[1]]


def _pairs(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[int]:
    """The seeds that both have at the same P."""
    first, second = (
        {int(str(seed)): set(own["train_size"]) for seed, own in rows.groupby("seed")} for rows in (ours, theirs)
    )
    return [seed for seed, own in first.items() if second.get(seed) == own]


def _difference(measured: PowerLawFit, theory: PowerLawFit, pairs: list[int]) -> tuple[Estimate, str]:
    """measured exponent - theory's exponent and how its interval came; `pairs` are seeds that draw the same data."""
    ours, theirs = dict(measured.seed_exponents), dict(theory.seed_exponents)
    differences = [ours[seed] - theirs[seed] for seed in pairs if seed in ours and seed in theirs]
    if len(differences) >= LEAST_PAIRS:
        return mean(differences, measured.exponent.confidence), "paired seeds"
    value = measured.exponent.value - theory.exponent.value
    error = math.hypot(measured.exponent.error, theory.exponent.error)
    n = min(measured.exponent.n, theory.exponent.n)
    return Estimate(value, value - error, value + error, n, measured.exponent.confidence), "independent errors"
