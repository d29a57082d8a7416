"""All sentences on what was found, written from the numbers: the answer, its table, and the verdict in detail.

No sentence holds more than two numbers (a value with its error is one).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from compare.contrasts.correlation import Correlation
from compare.contrasts.relations import Comparison, Relation
from compare.contrasts.scales import ABOVE, OUTSIDE, Scales
from compare.contrasts.strata import EVERYWHERE, GAPS, LEVEL
from compare.curves.numbers import (
    SYMBOLS,
    WIDTH,
    Summarised,
    format_estimate,
    format_interval,
    listing,
    skipped_lines,
    wrapped,
)  # fmt: skip
from compare.curves.series import SeriesKey
from compare.fits.law_choice import TOO_FEW, LawChoices
from compare.fits.laws import LAWS, LawName

__all__ = [
    "NOTE", "Relation", "Verdict", "answer_lines", "answer_sentence", "answer_table", "error_sentences",
    "write_verdict",
]  # fmt: skip


class Contrasted(Protocol):
    """Of a `Contrast`, what is written about."""

    @property
    def comparisons(self) -> Sequence[Comparison]: ...


class Correlated(Protocol):
    """Of `Correlations`, what is written about."""

    def wheres(self) -> list[str]: ...
    def missing(self, where: str) -> list[str]: ...
    def pooled(self, where: str) -> Sequence[Correlation]: ...


#: Whose curves those of a source are.
SOURCES = {
    "stripe-net": "nets trained on the model's own data", "images": "nets trained on images",
    "published": "published nets", "hierarchy-net": "nets trained on random hierarchies",
    "scale-net": "nets that detect a scale",
}  # fmt: skip
_FALLS = {
    Relation.SAME: "falls at the rate it predicts",
    Relation.SLOWER: "falls more slowly than it predicts",
    Relation.STEEPER: "falls more steeply than it predicts",
    Relation.NO_DECREASE: "does not decrease significantly",
    Relation.RISES: "rises",
}
_LAWS: dict[LawName, str] = {
    "power": "a power law",
    "theory-shifted": "the theory's own curve shifted in P",
    "theory-scaled": "the theory's own curve shifted in P and scaled",
    "floor": "a power law with a floor",
    "broken": "a broken power law",
}
NOTE = (
    "Exponents of R_f against P with 95 % intervals, over the P that both have. "
    "* marks a bent curve, whose exponent is an average slope."
)
#: A shifted theory that misses by less than this factor (root mean square over P) describes a curve.
NEAR = 1.5


def answer_sentence(items: Sequence[Comparison]) -> str:
    """How far the simple model explains the measured curves."""
    if not items:
        return "No measured curve could be compared with the simple model."
    counts = Counter(item.relation for item in items)
    told = [relation for relation in _FALLS if counts[relation]]
    if not told:
        return "The measured curves have too few points to tell whether the simple model explains them."
    told.sort(key=lambda relation: -counts[relation])
    how = " or ".join(_FALLS[relation] for relation in told)
    names = {1: ("does not explain this curve", "this curve"), 2: ("explains neither curve", "both curves")}
    none, every = names.get(len(items), (f"explains none of the {len(items)} curves", f"all {len(items)} curves"))
    same = [item for item in items if item.relation is Relation.SAME]
    if not same:
        return f"The simple model {none}: with P, R_f {how}."
    if len(same) == len(items):
        return f"The simple model explains {every}: with P, R_f falls at the rate it predicts{_values(items)}."
    sources, known = {item.key.source for item in same}, {item.key.source for item in items}
    which = ""
    if len(sources) == 1 and len(known) > 1:
        which = f", {'all ' * (len(same) > 1)}from {SOURCES.get(sources.pop(), 'one source')}"
    rate = "there R_f falls with P at the rate it predicts"
    return f"The simple model explains {len(same)} of {len(items)} curves{which}: {rate}."


def _values(items: Sequence[Comparison]) -> str:
    """Whether R_f itself is as predicted, where it can be compared."""
    known = [item.ratio for item in items if item.ratio and math.isfinite(item.ratio.estimate.error)]
    if not known:
        return ""
    if all(ratio.agrees for ratio in known):
        return " and has the value it predicts"
    return "" if any(ratio.agrees for ratio in known) else ", but does not have the value it predicts"


def answer_table(comparisons: Sequence[Comparison]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows: curve, its exponent, the theory's over the same P, measured over predicted R_f if there is any,
    and how the two compare."""
    ratios = any(item.ratio for item in comparisons)
    rows = []
    for item in comparisons:
        exponents = [format_estimate(fit.exponent) + " *" * fit.bent for fit in (item.compared, item.theory)]
        ratio = [item.ratio.words() if item.ratio else "–"] * ratios
        rows.append((item.key.short, *exponents, *ratio, item.relation.value))
    return ("curve", "R_f ~ P^", "theory ~ P^", *["R_f / theory"] * ratios, "decrease"), rows


def answer_lines(comparisons: Sequence[Comparison], skipped: Sequence[tuple[SeriesKey, str]]) -> list[str]:
    """The table of the answer and what was left out, in lines of at most 79 columns."""
    lines: list[str] = []
    if comparisons:
        (_, *heads), rows = answer_table(comparisons)
        room = WIDTH - 18 * (len(heads) - 1) - 23
        long = any(len(name) > room for name, *_ in rows)
        for name, *cells in [("curve", *heads), *rows]:
            numbers = "".join(f"{cell:<18}" for cell in cells[:-1]) + cells[-1]
            if long:
                lines += wrapped(name)
                name = ""
            lines.append(f"{name:<{max(room, 0)}}{numbers}")
        lines += ["", *wrapped(NOTE, indent="")]
    return lines + skipped_lines("not compared", skipped)


@dataclass(frozen=True, slots=True)
class Verdict(Summarised):
    """Sentences, the answer first; they change with the numbers. Made by `write_verdict`.

    Attributes
    ----------
    sentences : as they are printed

    Example
    -------
    >>> from compare import Verdict
    >>> verdict = Verdict(("R_f falls with P.", "The theory's falls faster."))
    >>> print(verdict)
    R_f falls with P. The theory's falls faster.
    >>> verdict.summary()
    {'sentences': ['R_f falls with P.', "The theory's falls faster."]}
    """

    sentences: tuple[str, ...]
    _told = ("sentences",)

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def lines(self) -> list[str]:
        """One sentence after another, in lines of at most 79 columns."""
        return [line for sentence in self.sentences for line in wrapped(sentence, indent="  ")]


def write_verdict(
    contrast: Contrasted | None = None,
    laws: LawChoices | None = None,
    scales: Scales | None = None,
    correlations: Correlated | None = None,
) -> Verdict:
    """Sentences on what is given: the answer, the curves by source, the laws chosen, the effective scale of P, where
    curves depart from the theory, and whether R_f, D_f and G_f go with the test error.

    Parameters
    ----------
    contrast : of `compare.contrast`
    laws : of `choose_laws`
    scales : of `effective_scales`
    correlations : of `compare.correlations`

    Example
    -------
    >>> from compare import effective_scales, write_verdict
    >>> from theory import curve_table
    >>> model = {"source": "theory", "task": "stripe-d30", "architecture": "relu", "stage": "q=0.3", "seed": 0}
    >>> net = {"source": "images", "task": "digits", "architecture": "mlp", "stage": "trained", "seed": 0}
    >>> sizes = (64, 128, 256, 512, 1024)
    >>> theory = curve_table({**model, "train_size": p, "relative_stability": 8 / (8 + p)} for p in (16, 32, *sizes))
    >>> measured = curve_table({**net, "train_size": p, "relative_stability": 24 / (24 + p)} for p in sizes)
    >>> for line in write_verdict(scales=effective_scales(theory, measured)).lines():
    ...     print(line)
    Shifted in P, the theory's curve describes 1 of 1 series.
    The net needs 3.0002 ± 0.0051 times as many training points as the theory.
    """
    sentences: list[str] = []
    if contrast is not None:
        sentences += [answer_sentence(contrast.comparisons), *_sources(contrast.comparisons)]
    if laws is not None:
        sentences += _laws(laws)
    if scales is not None:
        sentences += _scales(scales)
    if correlations is not None:
        sentences += error_sentences(correlations)
    return Verdict(tuple(sentences) or ("There is nothing to judge: no curve was fitted.",))


def _sources(items: Sequence[Comparison]) -> list[str]:
    """How the curves of each source fall, a sentence for each relation."""
    found = []
    for source in dict.fromkeys(item.key.source for item in items):
        own = [item for item in items if item.key.source == source]
        name = SOURCES.get(source, f"curves of source {source}")
        for relation, words in _FALLS.items():
            if count := sum(item.relation is relation for item in own):
                which = f"all {count}" if count == len(own) else f"{count} of {len(own)}"
                found.append(f"R_f {words.replace('it predicts', 'the model predicts')} for {which} {name}.")
    return found


def _laws(laws: LawChoices) -> list[str]:
    """Which law describes most series, whether the theory's own curve does as well, and how many laws fit at all."""
    few = sum(reason == TOO_FEW for _, reason in laws.skipped)
    lacking = [f"{few} series {'has' if few == 1 else 'have'} too few points to choose a law."] if few else []
    if not len(laws):
        return lacking
    counts = {name: sum(choice.chosen.name == name for choice in laws) for name in LAWS}
    best = max(counts, key=lambda name: counts[name])
    found = [f"The law that AICc prefers most often is {_LAWS[best]}, for {counts[best]} of {len(laws)} series."]
    tried = [choice for choice in laws if any(name.startswith("theory") for name in _tried(choice))]
    if tried:
        near = [c for c in tried if any(name.startswith("theory") for name in (c.chosen.name, *c.close()))]
        does = f"does as well as any for {len(near)} of {len(tried)} series"
        found.append(f"The theory's own curve, shifted or scaled, {does}.")
    tested = [choice for choice in laws if choice.passes is not None]
    if tested:
        passing = sum(bool(choice.passes) for choice in tested)
        found.append(f"The preferred law passes the test of lack of fit for {passing} of {len(tested)} series.")
    return found + lacking


def _tried(choice: Any) -> list[str]:
    return [*(fit.name for fit in choice.fits), *(name for name, _ in choice.skipped)]


def _scales(scales: Scales) -> list[str]:
    """How many times as many points a net needs, for how many series that is no question, and where curves depart."""
    found = []
    near = [scale for scale in scales if scale.miss < NEAR]
    if len(scales):
        found.append(f"Shifted in P, the theory's curve describes {len(near)} of {len(scales)} series.")
    values = sorted((scale.shifted["shift"].estimate for scale in near), key=lambda estimate: estimate.value)
    if len(values) == 1:
        found.append(f"The net needs {format_interval(values[0])} times as many training points as the theory.")
    elif values:
        ends = f"{values[0].value:.2g} to {values[-1].value:.2g}"
        found.append(f"These nets need {ends} times as many training points as the theory for the same R_f.")
    reasons = {
        ABOVE: "no shift in P can match the theory, whose largest R_f lies below theirs",
        OUTSIDE: "the shift in P would lead outside the P of the theory",
    }
    found += [f"For {len(own)} series {words}." for reason, words in reasons.items() if (own := scales.without(reason))]
    tested = [scale for scale in scales if scale.tested]
    if tested:
        parted = [scale.parting for scale in tested if scale.parting is not None]
        found.append(f"{len(parted)} of {len(tested)} series depart significantly from the shifted theory.")
        below = sum(parting.side == "below" for parting in parted)
        if parted:
            found.append(f"{below} of them first fall below it, {len(parted) - below} rise above it.")
    return found


def error_sentences(correlations: Correlated) -> list[str]:
    """How the test error goes with each measure across nets: over all data sets together where these share nets,
    else (or where a measure has no such block) on each data set."""
    wheres = correlations.wheres()
    if not wheres:
        return ["No data set has three nets or more: R_f and the test error cannot be compared across nets."]
    if EVERYWHERE in wheres and not correlations.missing(EVERYWHERE):
        wheres = [EVERYWHERE]
    found = []
    for where in wheres:
        data_sets = "all data sets together" if where == EVERYWHERE else where
        for row in correlations.pooled(where):
            numbers = f"(r = {format_interval(row.pearson)}, p = {row.p_pearson:.2g})"
            way = "rises" if row.pearson.value > 0 else "falls"
            way = way if row.p_pearson < LEVEL else "has no significant correlation"
            found.append(f"Across nets, on {data_sets}, the test error {way} with {SYMBOLS[row.x]} {numbers}.")
        if lacking := correlations.missing(where):
            found.append(f"On {data_sets}, {listing([SYMBOLS[x] for x in lacking])} cannot be judged: {GAPS}.")
    return found
