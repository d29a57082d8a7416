"""How P R_f of the prediction depends on its cells, its steps and its neurons: paper/data/prediction_convergence.csv.

Stripe, d = 30, alpha = 1e-6, softplus hinge. Cells and steps are varied on the neurons of one seed, the number of
neurons, drawn or of a Sobol sequence, over 8 seeds each. `python -m
paper.scripts.prediction_convergence` takes some 5 minutes on one core.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from theory import FlowConfig, Stripe, predict
from theory.common.files import write_whole

TARGET = Path(__file__).parents[1] / "data" / "prediction_convergence.csv"
SEEDS = 8


def readme_rows(frame: pd.DataFrame) -> list[str]:
    """The table of `theory/prediction/README.md`."""
    lines = []
    for (parameter, value), part in frame.groupby(["parameter", "value"], sort=False):
        cells = []
        for q in sorted(part["q"].unique(), reverse=True):
            found = part.loc[part["q"] == q, "prefactor"]
            spread = f" ± {found.std():.2g}" if len(found) > 1 else ""
            cells.append(f"{found.mean():.3g}{spread}")
        name = {"step": f"steps x {value:g}"}.get(str(parameter), f"{value:g} {parameter}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    rows = []

    def add(parameter: str, value: float, seed: int, config: FlowConfig, cells: int = 140, sobol: bool = False) -> None:
        prediction = predict(Stripe(), config, seed=seed, cells=cells, sobol=sobol)
        for q, prefactor in zip(config.unfit_fractions, prediction.prefactor, strict=True):
            row = {"parameter": parameter, "value": value, "seed": seed, "q": q, "prefactor": prefactor}
            rows.append({**row, "steps": prediction.steps})
        print(f"{parameter} = {value:g}, seed {seed}: {prediction!r}", flush=True)

    for cells in (70, 140, 280, 560):
        add("cells", cells, 0, FlowConfig(), cells)
    for factor in (2.0, 1.0, 0.5, 0.25):
        config = FlowConfig(weight_change=0.03 * factor, output_change=0.02 * factor)
        add("step", factor, 0, config)
    for width in (100, 300, 1000, 3000):
        for seed in range(SEEDS):
            add("neurons", width, seed, FlowConfig(width=width))
    for width in (64, 256, 1024):
        for seed in range(SEEDS):
            add("Sobol neurons", width, seed, FlowConfig(width=width), sobol=True)
    comment = "# python -m paper.scripts.prediction_convergence\n"
    frame = pd.DataFrame(rows)
    write_whole(TARGET, lambda aside: aside.write_text(comment + frame.to_csv(index=False, float_format="%.6g")))


if __name__ == "__main__":
    main()
