"""Do R_f, D_f and G_f go with the test error? Correlations of logarithms across nets and along P, with tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.contrasts.strata import MEASURES, Block, blocks, common, net_table, without_twins
from compare.contrasts.swap_test import (
    SwapTest,
    permutation_probability,
    pooled_interval,
    swap_test,
)
from compare.curves.wording import SYMBOLS, format_interval, wrapped
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate, mean

__all__ = ["Correlation", "Correlations", "correlations"]

Kind = Literal["across nets", "along P", "pooled"]
#: P that a correlation along P needs, and seeds that its interval needs.
_LEAST_SIZES, _LEAST_SEEDS = 4, 3
LEVEL = 0.05
EVERYWHERE = "all data sets"
GAPS = "no three nets stand together, nothing pooled"


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation of log eps_t with log `x`: Pearson's and Spearman's, their intervals and p-values.

    - ``across nets``: at one P (`train_size`) of one data set, seeds averaged first; n nets. Interval: Fisher's z.
    - ``pooled``: the mean of these over the P of one data set, or of all; interval: jackknife over nets.
    - ``along P``: of one net (`net`); n training-set sizes. Both fall with P, so that it says little by itself;
      with three seeds or more, value and interval are those of the Fisher z of single seeds (mean, Student's t);
      with fewer, the value is that of the curve averaged over seeds, without interval. There is no p-value.

    p-values are exact: all n! ways to give the nets' test errors, over all P together, to other nets (beyond eight
    nets 9999 of them at random).
    """

    kind: Kind
    where: str
    x: str
    train_size: int | None
    net: str
    n: int
    strata: int
    pearson: Estimate
    spearman: Estimate
    p_pearson: float
    p_spearman: float

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "where": self.where,
            "x": self.x,
            "train_size": self.train_size,
            "net": self.net,
            "n": self.n,
            "strata": self.strata,
            "pearson": self.pearson.summary(),
            "spearman": self.spearman.summary(),
            "p_pearson": self.p_pearson if math.isfinite(self.p_pearson) else None,
            "p_spearman": self.p_spearman if math.isfinite(self.p_spearman) else None,
        }


@dataclass(frozen=True, slots=True)
class Correlations:
    """All correlations of a table, the tests between R_f and D_f or G_f, and what was left out.

    p-values stand each by itself: among twenty tests at one P each, one falls below 0.05 by chance. The claim is
    judged by the pooled tests.
    """

    rows: tuple[Correlation, ...]
    tests: tuple[SwapTest, ...]
    left_out: tuple[str, ...]

    def pick(self, kind: Kind, x: str, where: str | None = None) -> tuple[Correlation, ...]:
        """The rows of one kind and column, of one data set if `where` is given."""
        return tuple(
            row for row in self.rows if row.kind == kind and row.x == x and where in (None, row.where)
        )

    def test(self, right: str, where: str = EVERYWHERE) -> SwapTest | None:
        """The test of R_f against `right` over a whole data set, or all of them; None if it was not made."""
        for test in self.tests:
            if test.right == right and test.where == where:
                return test
        return None

    def wheres(self) -> list[str]:
        """The data sets that have pooled rows, and "all data sets" last if several share nets."""
        found = dict.fromkeys(row.where for row in self.rows if row.kind == "pooled")
        return sorted(found, key=lambda where: where == EVERYWHERE)

    def missing(self, where: str) -> list[str]:
        """Measures that stand in the table but have no pooled row there: gaps left no three nets at shared P."""
        there = [x for x in MEASURES if any(row.x == x for row in self.rows)]
        return [x for x in there if not self.pick("pooled", x, where)]

    def table(self) -> pd.DataFrame:
        """One row for each correlation."""
        return pd.DataFrame(
            [
                {
                    **{"kind": row.kind, "where": row.where, "x": row.x, "train_size": row.train_size},
                    **{"net": row.net, "n": row.n, "strata": row.strata, "pearson": row.pearson.value},
                    **{"pearson_low": row.pearson.low, "pearson_high": row.pearson.high},
                    **{"p_pearson": row.p_pearson, "spearman": row.spearman.value},
                    **{"spearman_low": row.spearman.low, "spearman_high": row.spearman.high},
                    "p_spearman": row.p_spearman,
                }
                for row in self.rows
            ]
        )

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "correlations": [row.summary() for row in self.rows],
            "tests": [test.summary() for test in self.tests],
            "left_out": list(self.left_out),
            "verdict": self.verdict(),
        }

    def lines(self) -> list[str]:
        """Tables of at most 79 columns: across nets by P, pooled, along P, and the tests."""
        lines: list[str] = []
        for where in dict.fromkeys(row.where for row in self.rows if row.kind == "across nets"):
            lines += wrapped(f"r of log eps_t across nets, {where} (exact p)")
            lines.append(f"  {'P':>7}{'n':>4}" + "".join(f"{'log ' + SYMBOLS[x]:>19}" for x in MEASURES))
            own = {x: {row.train_size: row for row in self.pick("across nets", x, where)} for x in MEASURES}
            for size in sorted({size for by_size in own.values() for size in by_size if size}):
                cells = [own[x].get(size) for x in MEASURES]
                n = max(cell.n for cell in cells if cell)
                lines.append(f"  {size:>7}{n:>4}" + "".join(f"{_cell(cell):>19}" for cell in cells))
        for row in self.rows:
            if row.kind == "pooled":
                words = f"pooled, {row.where}: r of log eps_t with log {SYMBOLS[row.x]} = "
                words += f"{format_interval(row.pearson)}, p = {row.p_pearson:.2g} "
                words += f"(ranks {row.spearman.value:.2f}, p = {row.p_spearman:.2g}; n = {row.n} nets, {row.strata} P)"
                lines += wrapped(words)
        for where in dict.fromkeys(row.where for row in self.rows if row.kind == "along P"):
            lines += wrapped(f"r of log eps_t along P of one net, {where}")
            lines.append(f"  {'net':<24}{'n':>4}" + "".join(f"{'log ' + SYMBOLS[x]:>16}" for x in MEASURES))
            nets = dict.fromkeys(row.net for row in self.rows if row.kind == "along P" and row.where == where)
            for net in nets:
                found = [next((r for r in self.pick("along P", x, where) if r.net == net), None) for x in MEASURES]
                n = max(row.n for row in found if row)
                text = "".join(f"{'' if row is None else f'{row.pearson.value:.2f}':>16}" for row in found)
                lines.append(f"  {net[:24]:<24}{n:>4}{text}")
        for test in self.tests:
            if " P = " not in test.where:
                lines += wrapped(f"{test.where}: {test.verdict()}")
        return lines + [line for words in self.left_out for line in wrapped(f"left out: {words}")]

    def verdict(self) -> str:
        """The claim "R_f goes with the test error, D_f does not" judged by the numbers, in words."""
        sentences = []
        for where in self.wheres():
            rows = [row for x in MEASURES for row in self.pick("pooled", x, where)]
            sizes = [f"{row.n} nets, {row.strata} P" for row in rows]
            alike = len(set(sizes)) == 1
            parts = []
            for row, size in zip(rows, sizes, strict=True):
                word = "goes" if row.p_pearson < LEVEL else "is not seen to go"
                numbers = f"r = {format_interval(row.pearson)}, p = {row.p_pearson:.2g}{'' if alike else f', {size}'}"
                parts.append(f"{SYMBOLS[row.x]} {word} with eps_t ({numbers})")
            head = f"Across {rows[0].n} nets, {where}, {rows[0].strata} P" if alike else f"Across nets, {where}"
            text = f"{head}: {', '.join(parts)}."
            if lacking := self.missing(where):
                text += f" {' and '.join(SYMBOLS[x] for x in lacking)}: {GAPS}."
            for right in MEASURES[1:]:
                test = self.test(right, where)
                if test is not None:
                    verdict = test.verdict(LEVEL)
                    text += f" {verdict[0].upper()}{verdict[1:]}."
            sentences.append(text)
        singles = [test for test in self.tests if " P = " in test.where and test.right == "diffeo_stability"]
        if singles:
            holds = [test.where for test in singles if test.p_value < LEVEL and test.difference.value > 0]
            against = [test.where for test in singles if test.p_value < LEVEL and test.difference.value < 0]
            text = f"P by P (p < {LEVEL:g} each, uncorrected), R_f goes with eps_t more closely than D_f at "
            text += f"{', '.join(holds) if holds else 'no P'} and less closely at {', '.join(against) or 'no P'}, of"
            sentences.append(f"{text} {len(singles)}.")
        return " ".join(sentences) or "No data set has three nets or more with a test error at one P."


def correlations(
    table: pd.DataFrame, *, confidence: float = 0.95, rng: np.random.Generator | None = None
) -> Correlations:
    """Correlations of log eps_t with log R_f, D_f and G_f of the trained nets of a curve table.

    The test of arXiv 2105.02468's claim ("R_f correlates with the test error, D_f does not") is `SwapTest`, made
    at each P, over each data set, and over all data sets with the nets common to them. `rng` is used with more
    than eight nets (`numpy.random.default_rng(0)` if None): below, all permutations are enumerated.

    Raises
    ------
    InputError
        If the table is not valid or holds no trained row with a positive test error and R_f.
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    rng = rng or np.random.default_rng(0)
    nets = net_table(table)
    if nets.empty:
        raise InputError("table", f"{len(table)} rows", "must hold trained rows with a test error and R_f above 0")
    nets, twins = without_twins(nets)
    rows: list[Correlation] = []
    for x in MEASURES:
        for setting, own in nets.groupby("setting", sort=True):
            rows += _at_each_size(str(setting), own, x, confidence, rng)
    parts = {x: blocks(nets, ("test_error", x)) for x in MEASURES}
    for x, found in parts.items():
        rows += [_row("pooled", [part], part.setting, x, None, confidence, rng) for part in found]
        if len(found) > 1 and (shared := common(found)):
            rows.append(_row("pooled", shared, EVERYWHERE, x, None, confidence, rng))
    for x in MEASURES:
        rows += _along(nets, x, confidence)
    tests: list[SwapTest] = []
    for right in MEASURES[1:]:
        both = blocks(nets, ("test_error", "relative_stability", right))
        for part in both:
            for i, size in enumerate(part.train_sizes):
                where = f"{part.setting}, P = {size}"
                tests.append(swap_test([part.at(i)], "relative_stability", right, where, confidence, rng))
            tests.append(swap_test([part], "relative_stability", right, part.setting, confidence, rng))
        if len(both) > 1 and (shared := common(both)):
            tests.append(swap_test(shared, "relative_stability", right, EVERYWHERE, confidence, rng))
    return Correlations(tuple(rows), tuple(tests), (*twins, *_gaps(nets, parts)))


def _at_each_size(
    setting: str, nets: pd.DataFrame, x: str, confidence: float, rng: np.random.Generator
) -> list[Correlation]:
    """One row for each P with three nets or more: all nets that are there, whatever is missing at other P."""
    rows = []
    means = nets.groupby(["train_size", "net"])[["test_error", x]].mean().dropna()
    for size, own in means.groupby(level="train_size", sort=True):
        names = tuple(str(net) for net in own.index.get_level_values("net"))
        if len(names) < 3:
            continue
        logs = {name: own[name].to_numpy(dtype=float)[None, :] for name in ("test_error", x)}
        part = Block(setting, (int(str(size)),), names, logs)
        rows.append(_row("across nets", [part], setting, x, part.train_sizes[0], confidence, rng))
    return rows


def _row(
    kind: Kind,
    parts: Sequence[Block],
    where: str,
    x: str,
    train_size: int | None,
    confidence: float,
    rng: np.random.Generator,
) -> Correlation:
    return Correlation(
        kind=kind,
        where=where,
        x=x,
        train_size=train_size,
        net="",
        n=len(parts[0].nets),
        strata=sum(len(part.train_sizes) for part in parts),
        pearson=pooled_interval(parts, x, confidence, "pearson"),
        spearman=pooled_interval(parts, x, confidence, "spearman"),
        p_pearson=permutation_probability(parts, x, rng, "pearson"),
        p_spearman=permutation_probability(parts, x, rng, "spearman"),
    )


def _along(nets: pd.DataFrame, x: str, confidence: float) -> list[Correlation]:
    """One row for each net of each data set with four P or more."""
    rows = []
    for (setting, net), own in nets.groupby(["setting", "net"], sort=True):
        means = own.groupby("train_size")[["test_error", x]].mean().dropna()
        if len(means) < _LEAST_SIZES or means.nunique().min() < 2:
            continue
        found = {}
        seeds = [
            seed
            for _, seed in own.dropna(subset=[x]).groupby("seed")
            if len(seed) >= _LEAST_SIZES and seed[["test_error", x]].nunique().min() > 1
        ]
        for method in ("pearson", "spearman"):
            if len(seeds) < _LEAST_SEEDS:
                value = _single(means["test_error"], means[x], method)
                found[method] = Estimate(value, n=len(means), confidence=confidence)
                continue
            z = mean([_fisher(seed["test_error"], seed[x], method) for seed in seeds], confidence)
            low, value, high = (math.tanh(end) for end in (z.low, z.value, z.high))
            found[method] = Estimate(value, low, high, len(means), confidence)
        rows.append(
            Correlation(
                kind="along P",
                where=str(setting),
                x=x,
                train_size=None,
                net=str(net),
                n=len(means),
                strata=1,
                pearson=found["pearson"],
                spearman=found["spearman"],
                p_pearson=math.nan,
                p_spearman=math.nan,
            )
        )
    return rows


def _single(a: pd.Series, b: pd.Series, method: str) -> float:
    x, y = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
    return float((stats.pearsonr(x, y) if method == "pearson" else stats.spearmanr(x, y)).statistic)


def _fisher(a: pd.Series, b: pd.Series, method: str) -> float:
    """Fisher's z. Ranks in full order stand half a step below 1 (of n values, steps are 12 / (n^3 - n)), not at it."""
    most = 1 - 1e-12 if method == "pearson" else 1 - 6 / (len(a) ** 3 - len(a))
    return math.atanh(max(-most, min(most, _single(a, b, method))))


def _gaps(nets: pd.DataFrame, parts: dict[str, list[Block]]) -> list[str]:
    """What pooling leaves out, so that all nets stand at all P."""
    words = []
    for x, found in parts.items():
        kept = {part.setting: part for part in found}
        for setting, own in nets.dropna(subset=[x]).groupby("setting", sort=True):
            part = kept.get(str(setting))
            if part is None:
                words.append(f"{setting}: {SYMBOLS[x]}: {GAPS}")
                continue
            sizes = sorted(set(own["train_size"]) - set(part.train_sizes))
            gone = sorted(set(own["net"]) - set(part.nets))
            if sizes or gone:
                what = [f"P = {', '.join(map(str, sizes))}"] * bool(sizes) + gone
                words.append(f"{setting}: {SYMBOLS[x]}: pooled without {', '.join(what)}: not all nets are there")
    return words


def _cell(row: Correlation | None) -> str:
    return "" if row is None else f"{row.pearson.value:+.2f} (p={row.p_pearson:.3f})"
