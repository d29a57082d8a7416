"""The theory's gradient flow as a run of a sweep. No torch."""

from __future__ import annotations

import math
import time

from empirical.training.run import Run, RunOptions
from theory.common.errors import InputError
from theory.common.table import curve_table
from theory.kernels import get_kernel
from theory.runs.flow_config import TheoryConfig

__all__ = ["TheoryConfig", "check", "run"]


def check(config: TheoryConfig, options: RunOptions) -> None:
    """InputError if this machine has no such kernel."""
    get_kernel(config.backend)


def run(config: TheoryConfig, options: RunOptions) -> Run:
    """The trajectory's rows of the curve table.

    Raises
    ------
    InputError
        With ``unfit_fractions`` if it ended before the first of them.
    """
    from theory.flow.simulation import trajectories  # numba, which help of `relstab sweep` does without

    began = time.perf_counter()
    (trajectory,) = trajectories(
        config.task, config.train_size, config.flow, seeds=(config.seed,), neuron_seed=config.neuron_seed,
        backend=config.backend,
    )  # fmt: skip
    rows = trajectory.rows()
    if not rows:
        raise InputError("unfit_fractions", config.unfit_fractions, "the trajectory reached none of them")
    seconds = time.perf_counter() - began
    rows[-1]["seconds"] = seconds
    return Run(config, curve_table(rows), None, math.nan, seconds, shortfall=trajectory.shortfall)
