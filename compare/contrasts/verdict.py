"""The verdict: how far the simple model explains the measured curves, in sentences written from the numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compare.contrasts.comparison import FALLS, Comparison, Contrast
from compare.contrasts.correlations import EVERYWHERE, GAPS, LEVEL, Correlations
from compare.contrasts.scales import ABOVE, OUTSIDE, Scales
from compare.contrasts.strata import MEASURES
from compare.contrasts.swap_test import SwapTest
from compare.curves.wording import SYMBOLS, format_estimate, format_interval, listing, wrapped
from compare.fits.law_choice import CLOSE, TOO_FEW, LawChoices
from compare.fits.laws import LAWS, LawName
from compare.fits.power_law import PowerLawFit
from theory.common.estimate import Estimate

__all__ = ["Verdict", "write_verdict"]

#: Series that a sentence names one by one.
_NAMED = 4
#: A shifted theory that misses by less than this factor (root mean square over P) describes a curve.
NEAR = 1.5
_WORDS: dict[LawName, str] = {
    "power": "a power law",
    "theory-shifted": "the theory's own curve shifted in P",
    "theory-scaled": "the theory's curve shifted and scaled",
    "floor": "a power law with a floor",
    "broken": "a broken power law",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sentences, each with its numbers, errors and n; they change with the numbers."""

    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"sentences": list(self.sentences)}

    def lines(self) -> list[str]:
        """One sentence after another, in lines of at most 79 columns."""
        return [line for sentence in self.sentences for line in wrapped(sentence, indent="  ")]


def write_verdict(
    contrast: Contrast | None = None,
    laws: LawChoices | None = None,
    scales: Scales | None = None,
    correlations: Correlations | None = None,
) -> Verdict:
    """Up to eight sentences, from what is given: exponents side by side, how many agree with the theory's, the laws
    chosen, how near the theory's own curve comes, the effective scale of P, where the curves part, and whether
    R_f, D_f and G_f go with the test error."""
    sentences: list[str] = []
    if contrast is not None:
        sentences += _exponents(contrast)
    if laws is not None and (len(laws) or _too_few(laws)):
        sentences += _laws(laws)
    if scales is not None and (len(scales) or scales.without()):
        sentences += _scales(scales)
    if correlations is not None:
        sentences += _errors(correlations)
    return Verdict(tuple(sentences) or ("There is nothing to judge: no curve was fitted.",))


def _exponents(contrast: Contrast) -> list[str]:
    """How many series of each source fall as the theory does, and the exponents side by side."""
    if not contrast.comparisons:
        return ["No measured series could be compared with the theory."]
    sources: dict[str, list[Comparison]] = {}
    sides: dict[str, list[Comparison]] = {}
    for item in contrast.comparisons:
        source, task = [*item.measured.label.split(" "), ""][:2]
        sources.setdefault(source, []).append(item)
        sides.setdefault(f"{source} {task}".strip(), []).append(item)
    counts = [f"of {len(own)} {source} series {_relations(own)}" for source, own in sources.items()]
    used = {(item.theory.label, item.theory.x_range): item.theory for item in contrast.comparisons}
    laws = [_law(fit) for fit in used.values()]
    measured = [f"{where}: {_powers([item.measured for item in own])}" for where, own in sides.items()]
    second = f"Over the P compared the simple model gives {listing(laws, 2)}; "
    second += "measured exponents of R_f against P, over all P of each series, are, for "
    sentences = [f"{'; '.join(counts)}.", f"{second}{'; '.join(measured)}."]
    ratios = [item for item in contrast.comparisons if item.ratio and math.isfinite(item.ratio.estimate.error)]
    if ratios:
        named = [
            f"{format_estimate(item.ratio.estimate)} for {_short(item.measured.label)} (n={item.ratio.estimate.n})"
            for item in ratios
            if item.ratio
        ]
        sentences[1] = sentences[1][:-1] + "; where task and stage are the theory's, measured over predicted R_f is "
        sentences[1] += f"{listing(named, 4)}."
    return [sentences[0][0].upper() + sentences[0][1:], sentences[1]]


def _relations(items: Sequence[Comparison]) -> str:
    """``3 fall as the theory does over the same P (difference of exponents +0.1 ± 0.2, ...), 1 rises (...)``."""
    words = {
        "agrees with": ("falls as the theory does", "fall as the theory does"),
        "slower than": ("falls more slowly", "fall more slowly"),
        "steeper than": ("falls more steeply", "fall more steeply"),
        "not seen to fall beside": ("is not seen to fall", "are not seen to fall"),
        "rises beside": ("rises", "rise"),
        "cannot be told from": ("is too uncertain to tell", "are too uncertain to tell"),
    }
    parts = []
    for relation, (one, more) in words.items():
        own = [item for item in items if item.relation == relation]
        if not own:
            continue
        text = f"{len(own)} {one if len(own) == 1 else more}"
        if relation in FALLS:
            text += f" (difference of exponents {_span([item.difference for item in own], sign=True)})"
        else:
            bent = sum(item.measured.bent for item in own)
            text += f" (exponent{'s' * (len(own) > 1)} {_span([item.measured.exponent for item in own], sign=True)}"
            text += f", {bent} bent)" if bent else ")"
        parts.append(text)
    return _joined(parts)


def _law(fit: PowerLawFit) -> str:
    """The theory's law over a range: ``R_f ~ P^(-1.70 ± 0.06) over P = 64…1024 (n=48, 16 seeds; theory ...)``."""
    low, high = fit.x_range
    size = f"n={fit.n_points}, {_seeds(fit.n_seeds)}"
    return f"{fit.law()}{', bent,' * fit.bent} over P = {low:.0f}…{high:.0f} ({size}; {fit.label})"


def _powers(fits: Sequence[PowerLawFit]) -> str:
    """Each by its name up to four, else from the least to the largest with the median; bent ones are marked."""
    if len(fits) <= _NAMED:
        named = [f"{_short(fit.label).split(' ', 2)[-1]} {_power(fit)}" for fit in fits]
        return ", ".join(named)
    bent = sum(fit.bent for fit in fits)
    marked = f" ({bent} bent: average slopes)" if bent else ""
    return f"{len(fits)} series{marked} from {_span([fit.exponent for fit in fits])}"


def _span(values: Sequence[Estimate], sign: bool = False) -> str:
    """One value, or the least and the largest, with the median where there are more than two."""
    ordered = sorted(values, key=lambda value: value.value)
    ends = [format_estimate(value, sign=sign) for value in (ordered[0], ordered[-1])]
    if len(ordered) == 1:
        return ends[0]
    middle = f", median {statistics.median(value.value for value in ordered):{'+' if sign else ''}.2f}"
    return f"{ends[0]} to {ends[1]}{middle if len(ordered) > 2 else ''}"


def _laws(laws: LawChoices) -> list[str]:
    """Which law describes how many series, and how many of those laws pass their tests."""
    few = _too_few(laws)
    if not len(laws):
        return [f"On {few} series there are too few points to choose a law."]
    chosen: dict[LawName, list[str]] = {}
    for choice in laws:
        chosen.setdefault(choice.chosen.name, []).append(_short(choice.label))
    parts = [f"{_WORDS[name]} for {len(chosen[name])}" for name in LAWS if name in chosen]
    tested = [choice for choice in laws if choice.passes is not None]
    passing = sum(bool(choice.passes) for choice in tested)
    unsure = sum(bool(choice.close()) for choice in laws)
    text = f"Of the laws tried on {len(laws)} series, AICc chooses {_joined(parts)}"
    text += f"; in {unsure} another law is within {CLOSE:g} of it, and {passing} of {len(tested)} that could be tested"
    text += " pass their residual tests"
    tried = {choice.label: [*(fit.name for fit in choice), *(name for name, _ in choice.skipped)] for choice in laws}
    model = [choice for choice in laws if any(name.startswith("theory") for name in tried[choice.label])]
    if model:
        near = [
            _short(choice.label)
            for choice in model
            if any(
                fit.name.startswith("theory") and fit.goodness.aicc - choice.chosen.goodness.aicc < CLOSE
                for fit in choice
            )
        ]
        text += f"; the theory's own curve, shifted or scaled, is the best law or within {CLOSE:g} in AICc of it for"
        text += f" {len(near)} of {len(model)} series{f' ({listing(near, 2)})' if near else ''}"
    if few:
        text += f"; {few} further series {'has' if few == 1 else 'have'} too few points to choose a law"
    return [f"{text}."]


def _too_few(laws: LawChoices) -> int:
    return sum(reason == TOO_FEW for _, reason in laws.skipped)


def _scales(scales: Scales) -> list[str]:
    """How many times as many points a net needs, and where the curves part."""
    described = [scale for scale in scales if scale.miss < NEAR]
    missed = [scale for scale in scales if scale.miss >= NEAR]
    text = ""
    if described:
        values = [f"{format_interval(s.shifted['shift'].estimate)} for {_short(s.label)}" for s in described]
        text = f"Shifted in P, the theory describes {len(described)} of {len(scales)} series to a factor {NEAR:g}, "
        text += f"with an effective scale s (points needed over the theory's) of {listing(values, _NAMED)}"
    if missed:
        factors = [scale.miss for scale in missed]
        low, high = f"{min(factors):.2g}", f"{max(factors):.2g}"
        span = f"a factor {low}" if low == high else f"factors of {low} to {high}"
        values = [f"s = {format_interval(s.shifted['shift'].estimate)}, {_short(s.label)}" for s in missed]
        words = f"no shift in P lays {len(missed)} of {len(scales)} series on the theory: the best, "
        words += f"{listing(values, 1)}, {'leaves' if len(missed) == 1 else 'leave'} {span} (root mean square over P), "
        words += "so that an effective scale means little there"
        text = f"{text}; {words}" if text else words[0].upper() + words[1:]
    reasons = {ABOVE: "above the model's R_f at most of their P", OUTSIDE: "to be read mostly outside the model's P"}
    without = [f"{len(own)} {words}" for reason, words in reasons.items() if (own := scales.without(reason))]
    if without:
        count = len(scales.without())
        words = f"{count} {'further ' * bool(text)}series {'has' if count == 1 else 'have'} no s: {_joined(without)}"
        text = f"{text}; {words}" if text else words
    sentences = [text + "."]
    tested = [scale for scale in scales if scale.tested]
    if tested:
        parted = [s for s in tested if s.parting is not None]
        text = f"{len(parted)} of {len(tested)} series with intervals part from the shifted theory"
        if parted:
            places = [
                f"{_short(s.label)} at P = {s.parting.train_size} ({s.parting.side}, {s.parting.factor:.2g} times; "
                f"outside at {len(s.parting.outside)} of {s.parting.sizes} P)"
                for s in parted
                if s.parting is not None
            ]
            below = sum(s.parting is not None and s.parting.side == "below" for s in parted)
            text += f", {below} of them first below it, {len(parted) - below} above: {listing(places, 2)}"
        sentences.append(f"{text}.")
    return sentences


def _errors(correlations: Correlations) -> list[str]:
    """The pooled correlations and the tests between them: over all data sets together, where these share nets, else
    (or where a measure has no such block) of each data set."""
    wheres = correlations.wheres()
    if not wheres:
        return ["No data set has three nets or more: nothing can be said on R_f and the test error across nets."]
    if EVERYWHERE in wheres and not correlations.missing(EVERYWHERE):
        wheres = [EVERYWHERE]
    return [sentence for where in wheres for sentence in _errors_at(correlations, where)] + _largest(correlations)


def _errors_at(correlations: Correlations, where: str) -> list[str]:
    """The pooled correlations of one data set, or all, and the tests between them."""
    rows = [row for x in MEASURES for row in correlations.pick("pooled", x, where)]
    goes = [row for row in rows if row.p_pearson < LEVEL]
    not_seen = [row for row in rows if row.p_pearson >= LEVEL]
    numbers = "; ".join(
        f"log {SYMBOLS[row.x]}: r = {format_interval(row.pearson)}, p = {row.p_pearson:.2g}, "
        f"n = {row.n} nets at {row.strata} P"
        for row in rows
    )
    parts = []
    for verb, sign in (("rise", 1), ("fall", -1)):
        own = [SYMBOLS[row.x] for row in goes if sign * row.pearson.value > 0]
        if own:
            words = f"{_joined(own)} {verb}{'s' * (len(own) == 1)}"
            parts.append(f"{words} with it" if sign > 0 else f"{words} where it rises")
    if not_seen:
        verb = "is" if len(not_seen) == 1 else "are"
        parts.append(f"{_joined([SYMBOLS[row.x] for row in not_seen])} {verb} not seen to go with it")
    text = f"Across nets ({where}), of the logarithm of the test error {numbers}: {_joined(parts)}"
    if lacking := correlations.missing(where):
        text += f"; {_joined([SYMBOLS[x] for x in lacking])}: {GAPS}"
    sentences = [f"{text}."]
    tests = [test for right in MEASURES[1:] if (test := correlations.test(right, where)) is not None]
    if tests:
        words = "; ".join(test.verdict(LEVEL) for test in tests)
        sentences.append(f"{words[0].upper()}{words[1:]}.")
    return sentences


def _largest(correlations: Correlations) -> list[str]:
    """R_f against D_f at the largest P of each data set that all its nets share: where nets are trained best."""
    last: dict[str, SwapTest] = {}
    for test in correlations.tests:
        setting, at, _ = test.where.rpartition(", P = ")
        if at and test.right == "diffeo_stability":
            last[setting] = test  # tests come in the order of P
    parts = [
        f"{test.where}: r = {test.r_left:+.2f} with R_f, {test.r_right:+.2f} with D_f "
        f"(p of the difference {test.p_value:.2g}, n = {test.nets} nets)"
        for test in last.values()
    ]
    return [f"At the largest P alone, of log eps_t across nets: {'; '.join(parts)}."] if parts else []


def _power(fit: PowerLawFit) -> str:
    bent = ", bent" * fit.bent
    return f"{format_estimate(fit.exponent)}{bent} (n={fit.n_points}, {_seeds(fit.n_seeds)})"


def _short(label: str) -> str:
    """A label without the stage of nets trained to the end, as most are."""
    return label.replace(" trained", "")


def _seeds(count: int) -> str:
    return f"{count} seed" + "s" * (count != 1)


def _joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
