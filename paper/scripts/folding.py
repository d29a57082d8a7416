"""Which fields fold: the measured fraction over temperature and cutoff at n = 32, beside the paper's range of T.

`python -m paper.scripts.folding` writes `paper/data/folding.csv`; a minute on one core.
For the manuscript's phase diagram.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from empirical.diffeo.fields import folded, sample_coefficients
from theory import MaxEntropyEnsemble
from theory.common.files import write_whole

HERE = Path(__file__).parents[1]
TARGET = HERE / "data" / "folding.csv"
SIZE, SAMPLES, SEED = 32, 1000, 0
CUTOFFS = (2, 3, 4, 5, 7, 10, 15, 20)
TEMPERATURES = tuple(float(f"{value:.4g}") for value in np.geomspace(3e-5, 0.3, 25))


def fraction(ensemble: MaxEntropyEnsemble, generator: torch.Generator) -> dict[str, float]:
    """The folded fraction of `SAMPLES` fields, with Wilson's interval at 95 %."""
    count = int(folded(sample_coefficients(ensemble, SAMPLES, generator, torch.float64), ensemble.size).sum())
    interval = stats.binomtest(count, SAMPLES).proportion_ci(method="wilson")
    return {
        "folded_fraction": count / SAMPLES, "folded_fraction_low": float(interval.low),
        "folded_fraction_high": float(interval.high),
    }  # fmt: skip


def measure() -> pd.DataFrame:
    """A row for each c with each T of the grid, with T_max, and with the T of one pixel by the paper's calibration."""
    generator = torch.Generator().manual_seed(SEED)
    rows = []
    for cutoff in CUTOFFS:
        highest = MaxEntropyEnsemble(SIZE, cutoff, 1.0).temperature_range[1]
        pixel = MaxEntropyEnsemble.from_displacement(SIZE, cutoff, 1.0).temperature
        named = [("grid", value) for value in TEMPERATURES] + [("T_max", highest), ("one pixel", pixel)]
        for name, temperature in named:
            ensemble = MaxEntropyEnsemble(SIZE, cutoff, temperature)
            rows.append({
                "place": name, "size": SIZE, "cutoff": cutoff, "temperature": temperature,
                "displacement": ensemble.paper_displacement, "samples": SAMPLES, **fraction(ensemble, generator),
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    table = measure()
    text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(TARGET, lambda aside: aside.write_text("# python -m paper.scripts.folding\n" + text))
    print(f"wrote {TARGET.relative_to(HERE.parent)}: {len(table)} rows")


if __name__ == "__main__":
    main()
