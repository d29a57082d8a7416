"""Do R_f, D_f and G_f go with the test error? Correlations of logarithms across nets, with permutation tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from compare.contrasts.strata import EVERYWHERE, GAPS, MEASURES, Block, blocks, common, net_table, without_twins
from compare.contrasts.wording import error_sentences
from compare.curves.numbers import SYMBOLS, Summarised, json_ready, wrapped
from compare.curves.series import Curves
from compare.fits.jackknife import fisher_z, jackknife_correlation
from theory.common.errors import InputError, require_real
from theory.common.estimate import Estimate

__all__ = ["Correlation", "Correlations", "correlations"]

Kind = Literal["across nets", "pooled"]
Method = Literal["pearson", "spearman"]
#: Nets up to which all their orders are tried (8! = 40320), and orders drawn beyond.
_EVERY, _DRAWS = 8, 9999


@dataclass(frozen=True, slots=True)
class Correlation(Summarised):
    r"""Correlation of log eps_t with log x across nets, Pearson's and Spearman's; see `correlations`.

    .. math:: r = \mathrm{corr}_{\text{nets}}\left(\log \epsilon_t, \log x\right)

    - ``across nets``: at one P (`train_size`) of one data set, seeds averaged first; n nets. Interval: Fisher's z.
    - ``pooled``: the mean of these over the P of one data set, or of all; interval: jackknife over nets.

    p-values are exact: all n! ways to give the nets' test errors, over all P together, to other nets (beyond eight
    nets 9999 of them at random). The interval of Spearman's r is Bonett and Wright's, Psychometrika 65, 23 (2000),
    where it is Fisher's for Pearson's.

    Attributes
    ----------
    kind : ``across nets`` or ``pooled``
    where : the data set, or ``all data sets``
    x : ``relative_stability`` R_f, ``diffeo_stability`` D_f or ``noise_stability`` G_f
    train_size : P; None where it is pooled
    n : number of nets
    strata : number of P, over all data sets
    pearson, spearman : r with its interval, from -1 to 1
    p_pearson, p_spearman : two-sided p-values
    """

    kind: Kind
    where: str
    x: str
    train_size: int | None
    n: int
    strata: int
    pearson: Estimate
    spearman: Estimate
    p_pearson: float
    p_spearman: float
    _told = ("kind", "where", "x", "train_size", "n", "strata", "pearson", "spearman", "p_pearson", "p_spearman")


@dataclass(frozen=True, slots=True)
class Correlations:
    """All correlations of a table, and what was left out; see `correlations`.

    p-values stand each by itself: among twenty at one P each, one falls below 0.05 by chance. The claim is
    judged by the pooled ones.

    Attributes
    ----------
    rows : the correlations, by measure
    left_out : what was left out and why, in words
    """

    rows: tuple[Correlation, ...]
    left_out: tuple[str, ...]

    def pick(self, kind: Kind, x: str, where: str | None = None) -> tuple[Correlation, ...]:
        """The rows of one kind and column.

        Parameters
        ----------
        kind : ``across nets`` or ``pooled``
        x : ``relative_stability``, ``diffeo_stability`` or ``noise_stability``
        where : one data set; all if None
        """
        return tuple(row for row in self.rows if row.kind == kind and row.x == x and where in (None, row.where))

    def pooled(self, where: str) -> list[Correlation]:
        """The pooled rows of one data set, in the order of the measures.

        Parameters
        ----------
        where : the data set, or ``all data sets``
        """
        return [row for x in MEASURES for row in self.pick("pooled", x, where)]

    def wheres(self) -> list[str]:
        """The data sets that have pooled rows, and "all data sets" last if several share nets."""
        found = dict.fromkeys(row.where for row in self.rows if row.kind == "pooled")
        return sorted(found, key=lambda where: where == EVERYWHERE)

    def missing(self, where: str) -> list[str]:
        """Measures that stand in the table but have no pooled row there: gaps left no three nets at shared P.

        Parameters
        ----------
        where : the data set, or ``all data sets``
        """
        there = [x for x in MEASURES if any(row.x == x for row in self.rows)]
        return [x for x in there if not self.pick("pooled", x, where)]

    def table(self) -> pd.DataFrame:
        """One row for each correlation."""
        records = []
        for row in self.rows:
            record: dict[str, Any] = {
                name: getattr(row, name) for name in ("kind", "where", "x", "train_size", "n", "strata")
            }
            for method in ("pearson", "spearman"):
                found = getattr(row, method)
                record |= {method: found.value, f"{method}_low": found.low, f"{method}_high": found.high}
                record[f"p_{method}"] = getattr(row, f"p_{method}")
            records.append(record)
        return pd.DataFrame(records)

    def cells(self) -> list[tuple[str, ...]]:
        """Data set, P, nets, and for each measure r with its interval and p-value, as text; pooled ones last."""
        found = []
        order = {where: i for i, where in enumerate(self.wheres())}
        keys = {(row.kind == "pooled", order.get(row.where, 0), row.where, row.train_size or 0) for row in self.rows}
        for pooled, _, where, size in sorted(keys):
            own = {
                r.x: r for r in self.rows if (r.kind == "pooled", r.where, r.train_size or 0) == (pooled, where, size)
            }
            first = next(iter(own.values()))
            sizes = f"{first.strata} pooled" if pooled else str(size)
            found.append((where, sizes, str(first.n), *(_cell(own.get(x)) for x in MEASURES)))
        return found

    def lines(self) -> list[str]:
        """A table of at most 79 columns for each data set, the pooled rows last, and what was left out."""
        lines: list[str] = []
        last = ""
        for where, sizes, n, *cells in self.cells():
            if where != last:
                lines += wrapped(f"{where}: correlation across nets of log eps_t with")
                lines.append(f"{'P':>9}{'nets':>5}" + "".join(f"{'log ' + SYMBOLS[x]:>21}" for x in MEASURES))
            last = where
            r = [cell.partition(", p") for cell in cells]
            lines.append(f"{sizes:>9}{n:>5}" + "".join(f"{value:>21}" for value, _, _ in r))
            lines.append(" " * 14 + "".join(f"{mark[2:] + p:>21}" for _, mark, p in r))
        return lines + [line for words in self.left_out for line in wrapped(f"left out: {words}")]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"correlations": json_ready(self.rows), "left_out": list(self.left_out), "verdict": self.verdict()}

    def verdict(self) -> str:
        """Which of R_f, D_f and G_f go with the test error across nets, in words."""
        return " ".join(error_sentences(self))


def correlations(
    table: pd.DataFrame | Curves, *, confidence: float = 0.95, rng: np.random.Generator | None = None
) -> Correlations:
    r"""Correlations of log eps_t with log R_f, D_f and G_f across the trained nets of a curve table.

    .. math:: \bar r = \frac{1}{K} \sum_{k=1}^{K} \mathrm{corr}_{\text{nets}}\left(\log \epsilon_t, \log x\right)_k

    with k the P of one data set, or of all with the nets common to them; and r at each P by itself. They are what
    arXiv 2105.02468 claims of R_f and denies of D_f.

    Parameters
    ----------
    table : a curve table; its trained rows count whose test error and R_f are above 0
    confidence : of the intervals, between 0 and 1
    rng : draws permutations of more than eight nets, `numpy.random.default_rng(0)` if None; below, all are enumerated

    Raises
    ------
    InputError
        If the table is not valid or holds no trained row with a positive test error and R_f.

    Example
    -------
    >>> from compare import correlations
    >>> from theory import curve_table
    >>> net = {"source": "images", "task": "digits", "stage": "trained", "train_size": 1024, "seed": 0}
    >>> table = curve_table(
    ...     {**net, "architecture": name, "relative_stability": r, "test_error": 0.2 * r**0.5}
    ...     for name, r in (("mlp", 0.5), ("lenet", 0.1), ("vgg", 0.04), ("resnet", 0.02))
    ... )
    >>> [round(row.pearson.value, 6) for row in correlations(table).pooled("digits")]
    [1.0]
    >>> found = correlations(table)
    >>> found.wheres(), [row.x for row in found.pooled("digits")]
    (['digits'], ['relative_stability'])
    >>> found.table()[["kind", "x", "train_size", "n"]].shape
    (2, 4)
    >>> row = correlations(table).pick("across nets", "relative_stability")[0]
    >>> row.train_size, row.n, round(row.pearson.value, 6), round(row.p_pearson, 4)
    (1024, 4, 1.0, 0.0417)
    """
    confidence = require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    rng = rng or np.random.default_rng(0)
    valid = Curves.of(table).table
    nets = net_table(valid)
    if nets.empty:
        raise InputError("table", f"{len(valid)} rows", "must hold trained rows with a test error and R_f above 0")
    nets, twins = without_twins(nets)
    rows: list[Correlation] = []
    parts = {x: blocks(nets, ("test_error", x)) for x in MEASURES}
    for x in MEASURES:
        for setting, own in nets.groupby("setting", sort=True):
            rows += _at_each_size(str(setting), own, x, confidence, rng)
        rows += [_row("pooled", [part], part.setting, x, None, confidence, rng) for part in parts[x]]
        if len(parts[x]) > 1 and (shared := common(parts[x])):
            rows.append(_row("pooled", shared, EVERYWHERE, x, None, confidence, rng))
    return Correlations(tuple(rows), (*twins, *_gaps(nets, parts)))


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
    pearson, spearman = (pooled_interval(parts, x, confidence, method) for method in ("pearson", "spearman"))
    p_values = [permutation_probability(parts, x, rng, method) for method in ("pearson", "spearman")]
    strata = sum(len(part.train_sizes) for part in parts)
    return Correlation(kind, where, x, train_size, len(parts[0].nets), strata, pearson, spearman, *p_values)


def pooled_correlation(parts: Sequence[Block], column: str, method: Method = "pearson") -> float:
    """Mean over all strata of the correlation, across nets, of log eps_t with the logarithm of `column`."""
    values = [standardised(part, "test_error", method) * standardised(part, column, method) for part in parts]
    return float(np.concatenate([product.sum(axis=1) for product in values]).mean())


def pooled_interval(parts: Sequence[Block], column: str, confidence: float, method: Method = "pearson") -> Estimate:
    """The pooled correlation with the jackknife's interval over nets: Student's t of Fisher's z, n - 1 degrees.

    For a single stratum it is Fisher's own interval, z +- z_q / sqrt(n - 3), with Bonett and Wright's
    sqrt((1 + r^2/2) / (n - 3)) for ranks. No interval below four nets.
    """
    value, names = pooled_correlation(parts, column, method), parts[0].nets
    n = len(names)
    if n < 4:
        return Estimate(value, n=n, confidence=confidence)
    if sum(len(part.train_sizes) for part in parts) == 1:
        spread = math.sqrt((1 + (value**2 / 2 if method == "spearman" else 0)) / (n - 3))
        z, half = fisher_z(value), float(stats.norm.ppf((1 + confidence) / 2)) * spread
        return Estimate(value, math.tanh(z - half), math.tanh(z + half), n, confidence)
    without = [pooled_correlation([part.without(net) for part in parts], column, method) for net in names]
    return jackknife_correlation(value, without, confidence)


def permutation_probability(
    parts: Sequence[Block], column: str, rng: np.random.Generator, method: Method = "pearson"
) -> float:
    """Two-sided p-value of the pooled correlation: test errors go round among whole nets, over all P together.

    All blocks must have the same nets. Exact (all orders) up to eight nets, else 9999 draws.
    """
    nets = np.arange(len(parts[0].nets))
    # What net i's x and net j's error contribute if j's error goes to i, over all strata.
    pairs = [standardised(part, column, method).T @ standardised(part, "test_error", method) for part in parts]
    products = np.sum(pairs, axis=0)
    found = stats.permutation_test(
        (nets,),
        lambda order, axis: np.abs(np.sum(products[nets, order], axis=axis)),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=math.factorial(_EVERY) if nets.size <= _EVERY else _DRAWS,
        alternative="greater",
        rng=rng,
    )
    return float(found.pvalue)


def standardised(part: Block, column: str, method: Method = "pearson") -> np.ndarray:
    """Values or ranks, each stratum with mean 0 and sum of squares 1 (all 0 where all are equal)."""
    values = part.logs[column]
    return unit(stats.rankdata(values, axis=1) if method == "spearman" else values)


def unit(values: np.ndarray) -> np.ndarray:
    """Along the last axis, mean 0 and sum of squares 1 (all 0 where all are equal)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)


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
                words.append(
                    f"{setting}: {SYMBOLS[x]}: pooled without {', '.join(what)}, where not all nets are present"
                )
    return words


def _cell(row: Correlation | None) -> str:
    if row is None:
        return "–"
    r, p = row.pearson, "p < 0.001" if row.p_pearson < 0.001 else f"p = {row.p_pearson:.3f}"
    interval = f" [{r.low:+.2f}, {r.high:+.2f}]" if math.isfinite(r.error) else ""
    return f"{r.value:+.2f}{interval}, {p}"
