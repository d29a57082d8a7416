"""Do R_f, D_f and G_f go with the test error? Correlations of logarithms across nets, with permutation tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compare.contrasts.correlation import Correlation, Kind, permutation_probability, pooled_interval
from compare.contrasts.strata import EVERYWHERE, GAPS, MEASURES, Block, blocks, common, net_table, without_twins
from compare.contrasts.wording import error_sentences
from compare.curves.numbers import SYMBOLS, json_ready, wrapped
from compare.curves.series import Curves
from theory.common.errors import InputError, require_real

__all__ = ["Correlation", "Correlations", "correlations"]


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
