"""The result of a flow: records at unfit fractions, and how the integration went."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from theory.model.network import Network
from theory.model.observables import Observables
from theory.model.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from theory.model.configuration import FlowConfig

__all__ = ["Record", "Trajectory"]


@dataclass(frozen=True, slots=True)
class Record:
    """The state when the unfit fraction first was at or below `target`.

    `unfit_fraction` is what it then was, `time` is in units of h, `step` counts accepted steps.
    """

    target: float
    unfit_fraction: float
    time: float
    step: int
    observables: Observables


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """One gradient flow: its configuration, its records in the order of `config.unfit_fractions`, its end.

    The arrays have one entry for each requested unfit fraction; NaN where the flow ended before it.
    `stop_reason` is ``reached`` (the last requested fraction), ``max_steps`` or ``stationary`` (the velocity
    vanished with points unfit); `network` is the net at the end, None in the lazy limit. `evaluations` of the
    field looked at `points_looked_at` points altogether; without skipping it were P times their number. `shortfall`
    says in words why records are missing, and how many; it is empty if none is.
    """

    task: Task
    train_size: int
    config: FlowConfig
    seed: int
    neuron_seed: int | None
    records: tuple[Record, ...]
    network: Network | None
    stop_reason: str
    steps: int
    rejected_steps: int
    evaluations: int
    points_looked_at: int
    seconds: float
    shortfall: str

    def _array(self, values: list[float]) -> np.ndarray:
        missing = len(self.config.unfit_fractions) - len(values)
        return np.array(values + [np.nan] * missing, dtype=float)

    @property
    def converged(self) -> bool:
        """Whether every requested unfit fraction was reached."""
        return self.stop_reason == "reached"

    @property
    def relative_stability(self) -> np.ndarray:
        """R_f in the limit of small noise."""
        return self._array([record.observables.relative_stability for record in self.records])

    @property
    def compression(self) -> np.ndarray:
        """Lambda at the records, see `Network.compression`."""
        return self._array([record.observables.compression for record in self.records])

    @property
    def test_error(self) -> np.ndarray:
        """eps_t, the fraction of fresh points misclassified."""
        return self._array([record.observables.test_error for record in self.records])

    @property
    def unfit_fraction(self) -> np.ndarray:
        """q, the fraction of training points with y F < 1, at the records (at or just below those asked for)."""
        return self._array([record.unfit_fraction for record in self.records])

    @property
    def time(self) -> np.ndarray:
        """Time of the flow, in units of h."""
        return self._array([record.time for record in self.records])

    @property
    def final(self) -> Record | None:
        """The last record; None if no requested fraction was reached."""
        return self.records[-1] if self.records else None

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the curve table: one for each record reached at which F was not constant, and one for each norm."""
        rows = []
        for record in self.records:
            seen = record.observables
            common = {
                "source": "theory",
                "task": self.task.name,
                "architecture": self.config.architecture,
                "variant": self.config.variant,
                "train_size": self.train_size,
                "seed": self.seed,
                "stage": f"q={record.target:g}",
                "average": "mean",
                "test_error": seen.test_error,
                "unfit_fraction": record.unfit_fraction,
                "compression": seen.compression,
            }
            if math.isfinite(seen.relative_stability):
                rows.append({**common, "relative_stability": seen.relative_stability})
            rows += [
                {
                    **common,
                    "displacement": finite.norm,
                    "diffeo_stability": finite.diffeo,
                    "noise_stability": finite.noise,
                    "relative_stability": finite.relative,
                }
                for finite in seen.finite_noise
                if math.isfinite(finite.relative)
            ]
        return rows

    def summary(self) -> dict[str, Any]:
        """JSON-ready: configuration, records, and how the integration ended."""
        return {
            "task": self.task.name,
            "train_size": self.train_size,
            "seed": self.seed,
            "neuron_seed": self.neuron_seed,
            "config": self.config.summary(),
            "records": [{**asdict(record), **asdict(record.observables)} for record in self.records],
            "stop_reason": self.stop_reason,
            "converged": self.converged,
            "steps": self.steps,
            "rejected_steps": self.rejected_steps,
            "evaluations": self.evaluations,
            "skipped": round(1 - self.points_looked_at / (self.evaluations * self.train_size), 4),
            "seconds": round(self.seconds, 3),
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """R_f against the unfit fraction, time running to the right; on new axes if none are given."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").add_subplot()
        ax.semilogy(self.unfit_fraction, self.relative_stability, "o-", label=f"P = {self.train_size}")
        ax.set(xlabel="unfit fraction q", ylabel="relative stability $R_f$", xlim=(1, 0))
        ax.legend()
        return ax

    def __repr__(self) -> str:
        end = "no record"
        if (last := self.final) is not None:
            end = f"q={last.unfit_fraction:.3g}: R_f={last.observables.relative_stability:.3g}"
        return f"Trajectory({self.task.name}, P={self.train_size}, seed={self.seed}, {end}, {self.stop_reason})"
