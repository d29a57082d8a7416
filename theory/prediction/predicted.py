"""The result of a prediction: what the population and its linear response say at every unfit fraction and P."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from theory.common.errors import require_real
from theory.model.configuration import FlowConfig
from theory.model.tasks import Task
from theory.prediction.fixed_points import FixedPoint, fixed_points
from theory.prediction.quadrature import Cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LARGEST_SIZE", "PredictedRecord", "Prediction"]

#: Whole numbers beyond are not exact in tables.
LARGEST_SIZE = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class PredictedRecord:
    """The state when the unfit fraction first was at or below `target`.

    Attributes
    ----------
    target, unfit_fraction : q asked for, and q then
    time : in units of h
    step : accepted steps
    prefactor : P R_f, what the noise of the sample contributes
    floor : R_f as P -> infinity, what the perpendicular weights of the start contribute
    compression : Lambda at P = infinity, where only the start leaves perpendicular weights
    compression_prefactor : Lambda / sqrt(P) while the noise of the sample decides the perpendicular weights
    predictor : F at the cells' edges, shape (K + 1,)
    slope_variance : P <G^2> at the cells, shape (K,), of one irrelevant direction, from the noise
    start_slope_variance : |G|^2 at the cells, shape (K,), of all irrelevant directions, from the start
    """

    target: float
    unfit_fraction: float
    time: float
    step: int
    prefactor: float
    floor: float
    compression: float
    compression_prefactor: float
    predictor: np.ndarray
    slope_variance: np.ndarray
    start_slope_variance: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """R_f, Lambda, F and the test error, from one set of neurons and with no fitted parameter.

    Arrays along the records have one entry for each requested unfit fraction, NaN where the flow ended before it;
    arrays over records and train sizes have shape (records, len(train_sizes)).
    """

    task: Task
    config: FlowConfig
    train_sizes: tuple[int, ...]
    neuron_seed: int | None
    seed: int | None
    cells: Cells
    records: tuple[PredictedRecord, ...]
    stop_reason: str
    steps: int
    rejected_steps: int
    evaluations: int
    seconds: float

    def _array(self, name: str) -> np.ndarray:
        values = [getattr(record, name) for record in self.records]
        return np.array(values + [np.nan] * (len(self.config.unfit_fractions) - len(values)), dtype=float)

    @property
    def converged(self) -> bool:
        """Whether every requested unfit fraction was reached."""
        return self.stop_reason == "reached"

    @property
    def unfit_fraction(self) -> np.ndarray:
        """q at the records (at or just below those asked for)."""
        return self._array("unfit_fraction")

    @property
    def time(self) -> np.ndarray:
        """Time of the flow, in units of h."""
        return self._array("time")

    @property
    def prefactor(self) -> np.ndarray:
        """P R_f along the records, where the noise of the sample decides: R_f P above the floor."""
        return self._array("prefactor")

    @property
    def floor(self) -> np.ndarray:
        """R_f as P -> infinity along the records: what the start's perpendicular weights leave."""
        return self._array("floor")

    @property
    def compression(self) -> np.ndarray:
        """Lambda at P = infinity, along the records."""
        return self._array("compression")

    @property
    def compression_prefactor(self) -> np.ndarray:
        """Lambda / sqrt(P) while the noise of the sample decides, along the records."""
        return self._array("compression_prefactor")

    @property
    def relative_stability(self) -> np.ndarray:
        r"""R_f over records and train sizes.

        .. math::

            R_f = \frac{d}{d - d_\parallel} \, \frac{e}{1 + e}, \qquad
            e = \frac{d - d_\parallel}{d} \left(\frac{\text{prefactor}}{P} + \text{floor}\right)
        """
        return self.relative_stability_at(self.train_sizes)

    def relative_stability_at(self, train_sizes: Sequence[float]) -> np.ndarray:
        """R_f, with its floor and its saturation at d / (d - d_par), at P >= 1; shape (records, len(train_sizes))."""
        sizes = np.array([require_real("train_sizes", size, minimum=1) for size in train_sizes])
        share = (self.task.dim - self.task.informative_dim) / self.task.dim
        ratio = share * (self.prefactor[:, None] / sizes + self.floor[:, None])
        return ratio / (1 + ratio) / share

    @property
    def finite_compression(self) -> np.ndarray:
        r"""Lambda over records and train sizes, c being the compression prefactor.

        .. math:: \Lambda = \left(\Lambda_\infty^{-2} + \frac{1}{P c^2}\right)^{-1/2}
        """
        start = self.compression[:, None] ** -2
        return (start + 1 / (self.compression_prefactor[:, None] ** 2 * np.array(self.train_sizes, float))) ** -0.5

    @property
    def test_error(self) -> np.ndarray:
        r"""Fraction of fresh points misclassified, over records and train sizes.

        Given the sample, the second term of F is Gaussian with the variance s^2:

        .. math::

            F = F(x_1) + G \cdot x_\perp, \qquad
            s^2 = (d - d_\parallel) \langle G^2 \rangle + |G_{\text{start}}|^2, \qquad
            \epsilon_t = \int \rho(x) \, \Phi(-y F / s) \, dx

        The first term's own fluctuation, of the order of one irrelevant direction's against d - 1, is left out.
        """
        result = np.full((len(self.config.unfit_fractions), len(self.train_sizes)), np.nan)
        for i, record in enumerate(self.records):
            first, last = (self.cells.label * part for part in (record.predictor[:-1], record.predictor[1:]))
            for j, size in enumerate(self.train_sizes):
                noise = (self.task.dim - self.task.informative_dim) * record.slope_variance / size
                spread = np.sqrt(noise + record.start_slope_variance)
                result[i, j] = float(self.cells.mass @ _chance_negative(first, last, spread))
        return result

    @property
    def predictor(self) -> np.ndarray:
        """F(x_1) at `positions`, shape (records reached, K + 1)."""
        return np.array([record.predictor for record in self.records])

    @property
    def positions(self) -> np.ndarray:
        """x_1, or the radius of a cylinder's informative coordinates, at the cells' edges, shape (K + 1,)."""
        return self.cells.edges

    @property
    def fixed_points(self) -> tuple[FixedPoint, ...]:
        """The closed forms of the compressing regime, the fastest first."""
        return fixed_points(self.task)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the curve table, one for each record and P."""
        stability, compression, error = self.relative_stability, self.finite_compression, self.test_error
        return [
            {
                "source": "prediction",
                "task": self.task.name,
                "architecture": self.config.architecture,
                "variant": self.config.variant,
                "train_size": size,
                "seed": self.neuron_seed if self.seed is None else self.seed,
                "stage": f"q={record.target:g}",
                "average": "mean",
                "relative_stability": stability[i, j],
                "test_error": error[i, j],
                "unfit_fraction": record.unfit_fraction,
                "compression": compression[i, j],
            }
            for j, size in enumerate(self.train_sizes)
            for i, record in enumerate(self.records)
            if math.isfinite(stability[i, j])
        ]

    def summary(self) -> dict[str, Any]:
        """JSON-ready: configuration, predictions, closed forms, how the integration went; None if undefined."""
        stability, compression, error = self.relative_stability, self.finite_compression, self.test_error
        names = ("target", "unfit_fraction", "time", "step", "prefactor", "floor", "compression")
        return {
            "task": self.task.name,
            "train_sizes": list(self.train_sizes),
            "seed": self.seed,
            "neuron_seed": self.neuron_seed,
            "config": self.config.summary(),
            "records": [
                {
                    **{name: _known(getattr(record, name)) for name in names},
                    "compression_prefactor": _known(record.compression_prefactor),
                    "relative_stability": [_known(value) for value in stability[i]],
                    "finite_compression": [_known(value) for value in compression[i]],
                    "test_error": [_known(value) for value in error[i]],
                }
                for i, record in enumerate(self.records)
            ],
            "fixed_points": [asdict(point) for point in self.fixed_points],
            "cells": self.cells.count,
            "stop_reason": self.stop_reason,
            "converged": self.converged,
            "steps": self.steps,
            "rejected_steps": self.rejected_steps,
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """R_f against P, a line for each unfit fraction; on new axes if none are given."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").add_subplot()
        sizes = self.train_sizes or (10**2, 10**9)
        grid = np.geomspace(min(sizes), max(max(sizes), min(sizes) + 1), 200)
        for record, line in zip(self.records, self.relative_stability_at(list(grid)), strict=False):
            ax.loglog(grid, line, label=f"q = {record.target:g}")
        ax.set(xlabel="training-set size P", ylabel="relative stability $R_f$")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        end = "no record"
        if self.records:
            last = self.records[-1]
            end = f"q={last.target:g}: P R_f={last.prefactor:.3g}"
        return f"Prediction({self.task.name}, {end}, {self.stop_reason})"


def _known(value: float) -> float | None:
    """None for what is not defined, of a constant F say: JSON knows no NaN."""
    return float(value) if math.isfinite(value) else None


def _chance_negative(first: np.ndarray, last: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The chance that z + spread N(0, 1) < 0, averaged over z from `first` to `last`, elementwise.

    With I(u) = u Phi(u) + phi(u), whose derivative is Phi, it is spread (I(-first / spread) - I(-last / spread)) /
    (last - first).
    """
    scale = np.maximum(spread, 1e-12)
    start, end = -first / scale, -last / scale

    def integral(u: np.ndarray) -> np.ndarray:
        return u * ndtr(u) + np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)

    level = np.abs(end - start) < 1e-6
    run = np.where(level, 1.0, end - start)
    return np.where(level, ndtr((start + end) / 2), (integral(end) - integral(start)) / run)
