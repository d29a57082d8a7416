"""Flow over prediction from the sample, with coarser clouds, and without sorting or frame: which of them are needed.

`python -m paper.scripts.cloud_resolution` follows seeds 0 and 1 at P = 4096 (d = 30, alpha = 1e-6, softplus hinge) to
q = 0.1 on clouds of every resolution of the table, four minutes on one core, and writes
`paper/data/cloud_resolution.csv`, whose flows are those of `paper/data/stripe_theory.csv`.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from paper.scripts.stripe_flow import DATA, STAGES
from theory import FlowConfig, Stripe, read_table
from theory.common.files import write_whole
from theory.common.terminal import Terminal
from theory.prediction.conditional import predict_sample
from theory.prediction.sample_flow import Resolution

TARGET = DATA / "cloud_resolution.csv"
RESOLUTIONS = {
    "whole cells, isotropic": Resolution(150, parts=1, directions=0),
    "whole cells": Resolution(100, parts=1),
    "isotropic": Resolution(100, directions=0),
    "50 cells": Resolution(50),
    "as it is": Resolution(100),
}
_SEEDS, _SIZE = range(2), 4096


def measured() -> pd.DataFrame:
    """ln (flow / prediction) of R_f for each resolution, seed and q, with the clouds and seconds of the prediction."""
    flows = read_table(DATA / "stripe_theory.csv")
    flows = flows[flows["train_size"] == _SIZE].set_index(["seed", "stage"])["relative_stability"]
    task, config = Stripe(30), FlowConfig(unfit_fractions=(0.9, 0.7, 0.5, 0.3, 0.1))
    rows = []
    for name, resolution in RESOLUTIONS.items():
        for seed in _SEEDS:
            start = time.process_time()
            with threadpool_limits(1, "blas"):
                found = predict_sample(task, config, _SIZE, seed=seed, neuron_seed=None, resolution=resolution)
            seconds = time.process_time() - start
            for stage, stability in zip(STAGES, found.relative_stability, strict=True):
                log = float(np.log(flows[seed, stage] / stability))
                rows.append({"clouds": name, "seed": seed, "stage": stage, "log_ratio": log, "number": found.cells,
                             "seconds": seconds})  # fmt: skip
    return pd.DataFrame(rows)


def table_rows(frame: pd.DataFrame) -> list[str]:
    """A row for each resolution: clouds, seconds, and the geometric mean of the ratio at each q with its scatter."""
    rows = []
    for name in RESOLUTIONS:
        part = frame[frame["clouds"] == name]
        logs = part.groupby("stage")["log_ratio"]
        cells = [f"{np.exp(logs.mean()[stage]):.3f} ({logs.std()[stage]:.3f})" for stage in STAGES]
        rows.append(f"| {name} | {part['number'].mean():.0f} | {part['seconds'].mean():.0f} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    frame = measured()
    text = frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    write_whole(TARGET, lambda aside: aside.write_text("# python -m paper.scripts.cloud_resolution\n" + text))
    terminal = Terminal()
    terminal.table(
        "flow / prediction of R_f, geometric means over 2 seeds (scatter of the logarithm)",
        ["clouds", "number", "s", *STAGES],
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table_rows(frame)],
    )


if __name__ == "__main__":
    main()
