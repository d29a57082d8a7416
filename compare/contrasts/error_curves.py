"""Do all nets, at all P, lie on one curve of the test error against R_f, or against D_f, G_f, S_f?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from compare.curves.numbers import SYMBOLS, Summarised, format_interval, json_ready
from compare.fits.law_plot import new_axes
from theory.common.errors import InputError, require_integer, require_real
from theory.common.estimate import Estimate
from theory.common.table import validate_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ErrorCurves", "error_curves"]

MEASURES = ("relative_stability", "diffeo_stability", "noise_stability", "synonym_stability")
#: Of the curve that all nets would share: log eps_t as a polynomial of the logarithm of the measure.
_DEGREE = 3


@dataclass(frozen=True, slots=True)
class _Measure(Summarised):
    """One measure beside the error.

    `correlation` is Pearson's, of the logarithms. `spread` is the root mean square of log eps_t about one cubic of the
    measure's logarithm: nets within a factor exp(spread) of one curve. `offset` is the largest mean distance of one
    architecture from that curve.
    """

    name: str
    correlation: Estimate
    spread: Estimate
    offset: float
    _told = ("correlation", "spread", "offset")


@dataclass(frozen=True, slots=True)
class ErrorCurves:
    """log eps_t against the logarithms of R_f, D_f, G_f and S_f of trained nets: all P, tasks and nets together.

    Made by `error_curves`.

    Intervals are percentiles over resamples of whole seeds. `differences` are r of R_f less r of each other measure,
    |r| where that falls with the error; one that leaves out 0 says which goes with the error more closely. P is behind
    both, error and measure: the correlation says that they go together along training sets, not which makes which.

    Attributes
    ----------
    layer : whose stabilities; empty for the output
    measures : for each of R_f, D_f, G_f and S_f the correlation of logarithms, and how far nets lie from one curve
    differences : r of R_f less r of each other measure
    n, n_seeds : nets, and the seeds that are resampled
    left_out : nets without a positive error or measure
    points : the rows
    """

    layer: str
    measures: tuple[_Measure, ...]
    differences: dict[str, Estimate]
    n: int
    n_seeds: int
    left_out: int
    points: pd.DataFrame

    def __getitem__(self, name: str) -> _Measure:
        return next(one for one in self.measures if one.name == name)

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        told = json_ready(self, "n", "n_seeds", "left_out")
        measures = {one.name: one.summary() for one in self.measures}
        return {"layer": self.layer or "output", **told, "measures": measures, **json_ready(self, "differences")}

    def lines(self) -> list[str]:
        """For a terminal."""
        head = f"{self.layer or 'output'}: {self.n} nets, {self.n_seeds} seeds ({self.left_out} left out: error or"
        found = [head + " measure 0)"]
        for one in self.measures:
            found.append(
                f"  {SYMBOLS[one.name]}: r(log eps_t, log {SYMBOLS[one.name]}) = {format_interval(one.correlation)},"
                f" within a factor {math.exp(one.spread.value):.2f} of one curve"
            )
        for name, difference in self.differences.items():
            found.append(f"  r of R_f less |r| of {SYMBOLS[name]}: {format_interval(difference)}")
        return found

    def plot(self, ax: Axes | None = None, name: str = "relative_stability") -> Axes:
        """eps_t against one measure, a marker for each architecture.

        Parameters
        ----------
        ax : matplotlib axes to draw into; new ones if None
        """
        ax = new_axes() if ax is None else ax
        for marker, (net, own) in zip("osD^vPX" * 9, self.points.groupby("architecture"), strict=False):
            kept = own[(own[name] > 0) & (own["test_error"] > 0)]
            ax.loglog(kept[name], kept["test_error"], marker, label=str(net), alpha=0.6, markersize=4)
        ax.set_xlabel(f"${SYMBOLS[name]}$")
        ax.set_ylabel(r"$\epsilon_t$")
        ax.legend()
        return ax


def error_curves(
    table: pd.DataFrame,
    *,
    layer: str = "",
    confidence: float = 0.95,
    draws: int = 500,
    rng: np.random.Generator | None = None,
) -> ErrorCurves:
    """The test error beside R_f, D_f, G_f and S_f of the trained rows of a curve table, whatever P, task and net.

    Parameters
    ----------
    table : a curve table; its rows of stage ``trained``
    layer : whose stabilities; the error is that of the net. Empty for the output
    confidence : of the intervals
    draws, rng : of the bootstrap over seeds; `numpy.random.default_rng(0)` if None

    Raises
    ------
    InputError
        If fewer than ten rows hold a positive error and a positive value of each measure that the table has, or they
        are of fewer than two seeds.

    Examples
    --------
    >>> from compare import error_curves
    >>> from theory import curve_table
    >>> net = {"source": "hierarchy-net", "task": "srhm", "architecture": "cnn", "stage": "trained"}
    >>> table = curve_table(
    ...     {**net, "train_size": p, "seed": seed, "relative_stability": 4 / p * (1 + 0.3 * (seed == p // 100 % 3)),
    ...      "diffeo_stability": 1 / p * (1 + 0.3 * (seed == p // 200 % 3)), "noise_stability": 0.25 * (1 + seed / 9),
    ...      "test_error": 20 / p}
    ...     for p in (100, 200, 400, 800) for seed in range(3)
    ... )
    >>> bool(error_curves(table, draws=20)["relative_stability"].correlation.value > 0.9)
    True
    >>> found = error_curves(table, draws=20)
    >>> found.n, found.n_seeds, found.left_out
    (12, 3, 0)
    """
    require_real("confidence", confidence, above=0, maximum=1 - 1e-9)
    require_integer("draws", draws, 1)
    nets = _nets(validate_table(table), layer)
    names = [name for name in MEASURES if nets[name].notna().any()]
    kept = nets[(nets["test_error"] > 0) & (nets[names] > 0).all(axis=1)]
    seeds = sorted(set(kept["seed"]))
    if len(kept) < 10 or len(seeds) < 2:
        allowed = "must hold ten trained rows or more, of two seeds, with a positive error and measures"
        raise InputError("table", f"{len(kept)} rows of {len(seeds)} seeds, layer {layer or 'output'}", allowed)
    parts = [kept[kept["seed"] == seed] for seed in seeds]

    def statistic(indices: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn = [_statistics(pd.concat([parts[i] for i in which]), names) for which in np.atleast_2d(indices)]
        return np.array(drawn).T.reshape(-1, *indices.shape[:-1])

    bootstrap = stats.bootstrap(
        (np.arange(len(seeds)),), statistic, vectorized=True, method="percentile", n_resamples=draws,
        confidence_level=confidence, rng=rng or np.random.default_rng(0),
    )  # fmt: skip
    low_ends, high_ends = np.stack(bootstrap.confidence_interval)
    ends = zip(_statistics(kept, names), low_ends, high_ends, strict=True)
    estimates = [Estimate(value, float(low), float(high), len(seeds), confidence) for value, low, high in ends]
    correlations, spreads = estimates[: len(names)], estimates[len(names) : 2 * len(names)]
    measures = [
        _Measure(name, r, spread, _offset(kept, name))
        for name, r, spread in zip(names, correlations, spreads, strict=True)
    ]
    differences = dict(zip(names[1:], estimates[2 * len(names) :], strict=True))
    return ErrorCurves(layer, tuple(measures), differences, len(kept), len(seeds), len(nets) - len(kept), kept)


def _nets(valid: pd.DataFrame, layer: str) -> pd.DataFrame:
    """A row for each trained net: its error, and the measures of the layer."""
    trained = valid[valid["stage"] == "trained"]
    keys = ["source", "task", "architecture", "variant", "train_size", "seed"]
    own = trained[trained["layer"] == layer].drop(columns="test_error")
    errors = trained[(trained["layer"] == "") & trained["test_error"].notna()]
    return own.merge(errors[[*keys, "test_error"]], on=keys, validate="one_to_one")


def _statistics(rows: pd.DataFrame, names: Sequence[str]) -> list[float]:
    """r of each measure, the spread about one curve of each, and r of the first less |r| of the others."""
    error = np.log(rows["test_error"].to_numpy(dtype=float))
    logs = [np.log(rows[name].to_numpy(dtype=float)) for name in names]
    r = [float(np.corrcoef(error, x)[0, 1]) for x in logs]
    spreads = [float(np.sqrt(np.mean(_residuals(error, x) ** 2))) for x in logs]
    return [*r, *spreads, *(r[0] - abs(other) for other in r[1:])]


def _residuals(error: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of log eps_t about one cubic of x."""
    return error - np.polynomial.Polynomial.fit(x, error, _DEGREE)(x)


def _offset(rows: pd.DataFrame, name: str) -> float:
    """The largest mean residual of one architecture."""
    x = np.log(rows[name].to_numpy(dtype=float))
    residuals = pd.Series(_residuals(np.log(rows["test_error"].to_numpy(dtype=float)), x), index=rows["architecture"])
    return float(residuals.groupby(level=0).mean().abs().max())
