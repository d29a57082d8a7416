"""The hinge's flow by steps that slide along the margin, beside Euler's: paper/data/hinge_steps.csv.

Stripe, d = 30, h = 1000, alpha = 1e-6, P = 2048, each seed by four ways in one process: both kinds of steps with the
usual bounds, and both with half of them, R_f at the same times, up to q = 0.1 of the first. `python -m
paper.scripts.hinge_steps [--seeds 6]` takes some four minutes a seed on a core, most of it by Euler's short steps; what
the table holds is not done again. `--table` prints what docs/results.md shows.

Times and not q: Euler's points go to and fro across the margin, so that their count fluctuates and passes a q early,
while points that slide count for their pull, the mean of that.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from theory import FlowConfig, Stripe
from theory.common.files import write_whole
from theory.flow.simulation import Flow
from theory.kernels import get_kernel
from theory.model.configuration import Integrator

TARGET = Path(__file__).parents[1] / "data" / "hinge_steps.csv"
_WAYS: dict[str, tuple[Integrator, float]] = {
    "sliding": ("sliding", 1.0),
    "sliding, half": ("sliding", 0.5),
    "Euler": ("euler", 1.0),
    "Euler, half": ("euler", 0.5),
}
_SIZE = 2048
_SHOWN = (0.9, 0.7, 0.5, 0.3, 0.1)


def measured(seed: int, way: str, times: list[float]) -> pd.DataFrame:
    """R_f when a time of the list is first reached, or, without a list, when a q is; and what that cost."""
    integrator, factor = _WAYS[way]
    config = FlowConfig(loss="hinge", integrator=integrator, weight_change=0.03 * factor, output_change=0.02 * factor)
    flow = Flow(Stripe(), _SIZE, config, seed)
    began = time.perf_counter()
    state, step = flow.steps(get_kernel("numba")(flow.x, flow.y, flow.baseline, config.scale, config.loss))
    rows: list[dict[str, float | str]] = []
    while len(rows) < len(_SHOWN):
        reached = state.time >= times[len(rows)] if times else state.field.unfit_fraction <= _SHOWN[len(rows)]
        if reached:
            seen = flow.observe(flow.network(state.parameters))
            rows.append({"q": _SHOWN[len(rows)], "time": state.time, "relative_stability": seen.relative_stability})
        else:
            state = step(state)
    cost = {"evaluations": flow.evaluations, "seconds": round(time.perf_counter() - began, 1)}
    return pd.DataFrame(rows).assign(seed=seed, steps=way, **cost)


def differences(frame: pd.DataFrame, way: str) -> pd.DataFrame:
    """ln R_f minus that of Euler's halved steps; a row a seed, a column a q at which the first way stood then."""
    logs = frame.assign(log=np.log(frame["relative_stability"]))
    mine, reference = (
        logs[logs["steps"] == name].pivot_table("log", "seed", "q") for name in (way, "Euler, half")
    )
    return mine - reference


def table_rows(frame: pd.DataFrame) -> list[str]:
    """What each way costs, and `differences` as mean and root mean square over seeds."""
    costs = frame.drop_duplicates(["seed", "steps"]).groupby("steps")[["evaluations", "seconds"]].mean()
    rows = []
    for way in _WAYS:
        cells = [""] * len(_SHOWN)
        if way != "Euler, half":
            found = differences(frame, way)
            cells = [f"{found[q].mean():+.3f}, {np.sqrt((found[q] ** 2).mean()):.3f}" for q in _SHOWN]
        rows.append(f"| {way} | {costs.evaluations[way]:.0f} | {costs.seconds[way]:.0f} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--table", action="store_true", help="print the table, compute nothing")
    given = parser.parse_args()
    frame = pd.read_csv(TARGET, comment="#") if TARGET.is_file() else pd.DataFrame(columns=["seed", "steps", "time"])
    for seed in [] if given.table else range(given.seeds):
        for way in _WAYS:
            done = frame[frame["seed"] == seed]
            if not (done["steps"] == way).any():
                times = done.loc[done["steps"] == next(iter(_WAYS)), "time"].tolist()
                with threadpool_limits(1, "blas"):  # as `simulate` does
                    found = measured(seed, way, times)
                frame = pd.concat([frame, found], ignore_index=True) if len(frame) else found
                text = "# python -m paper.scripts.hinge_steps\n" + frame.to_csv(index=False, float_format="%.6g")
                write_whole(TARGET, partial(Path.write_text, data=text))
                print(f"seed {seed}, {way}: {frame.iloc[-1].to_dict()}", flush=True)
    print("\n".join(table_rows(frame)))


if __name__ == "__main__":
    main()
