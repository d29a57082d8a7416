"""Nets trained on all images: their cost, errors, R_f, D_f and G_f, from a store that need not be finished.

    python -m paper.scripts.image_nets_full STORE

STORE is what `relstab sweep paper/experiments/image_nets_full.toml --store STORE` fills. Writes the curve table of the
runs that are done, `paper/data/image_nets_full.csv`, with the columns parameters, epochs, precision and core_seconds
besides, and prints one row a net. Rows that the table has already stay where STORE has no such run, so that machines
and months may share the measurement. Core-seconds are of the processor: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from empirical import ImageConfig
from empirical.runs.experiments import read_experiments
from empirical.runs.store import RunStore
from empirical.runs.sweeps import all_configs
from paper.scripts.stripe_flow import DATA, HERE
from theory import Estimate, InputError, read_table, write_table
from theory.common.terminal import Terminal

FITTED = 0.01  # training error up to which the table says that a net fits its training set
_TABLE = DATA / "image_nets_full.csv"
_EXPERIMENTS = HERE / "experiments" / "image_nets_full.toml"


def _key(config: ImageConfig) -> tuple[object, ...]:
    task = config.dataset if config.image_size is None else f"{config.dataset}@{config.image_size}"
    least = math.ceil(config.min_steps / math.ceil(config.train_size / config.batch_size))
    return task, config.architecture, config.variant, config.train_size, config.seed, max(config.epochs, least)


_KEY = ["task", "architecture", "variant", "train_size", "seed", "epochs"]


def finished(
    store: RunStore, configs: Sequence[ImageConfig], before: Mapping[tuple[object, ...], pd.DataFrame] | None = None
) -> pd.DataFrame:
    """The rows of the runs that are done, with how each net was trained, in the order of `configs`: those of the store,
    and of `before` (see `rows_of_runs`) what the store has not."""
    parts = []
    for config in configs:
        table, training = store.read(config, aside=False), store.training(config)
        if table is not None and training is not None:
            recipe = training["recipe"]
            parts.append(
                table.assign(
                    parameters=training["parameters"], epochs=recipe["epochs"], precision=recipe["precision"],
                    device=training.get("device", "cpu"), core_seconds=round(training["core_seconds"], 1),
                )
            )  # fmt: skip
        elif before is not None and _key(config) in before:
            parts.append(before[_key(config)])
    if not parts:
        raise InputError("store", str(store.folder), f"holds no finished run of {_EXPERIMENTS.name}")
    return pd.concat(parts, ignore_index=True)


def rows_of_runs(path: Path) -> dict[tuple[object, ...], pd.DataFrame]:
    """The rows of each run of a table written before: none if there is no such file."""
    if not path.is_file():
        return {}
    return dict(iter(read_table(path).groupby(_KEY, sort=False)))


def shown(row: pd.Series) -> list[str]:
    """One net: data, name, P, seed, parameters, epochs, core-hours, errors, whether it fits, R_f, D_f, G_f."""
    estimates = [
        Estimate(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))).short
        for name in ("relative_stability", "diffeo_stability", "noise_stability")
    ]
    return [
        row["task"].removeprefix("images:"), row["architecture"], str(row["train_size"]), str(row["seed"]),
        f"{row['parameters']:,}", str(row["epochs"]), row["precision"], f"{row['core_seconds'] / 3600:.3f}",
        f"{row['train_error']:.4f}", f"{row['test_error']:.4f}", "yes" if row["train_error"] <= FITTED else "no",
        *estimates,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Nets trained on all images; see the docstring.")
    parser.add_argument("store")
    options = parser.parse_args()
    configs = [one for one in all_configs(read_experiments(_EXPERIMENTS)) if isinstance(one, ImageConfig)]
    table = finished(RunStore(options.store), configs, rows_of_runs(_TABLE))
    trained = table[table["stage"] == "trained"]
    left = len(configs) - len(trained)
    comment = f"python -m paper.scripts.image_nets_full STORE\n{len(trained)} of {len(configs)} runs, {left} missing"
    path = write_table(table, _TABLE, comment)
    terminal = Terminal()
    terminal.table(
        f"{len(trained)} of {len(configs)} runs; 95 % over 500 test images; fits: training error at most {FITTED:g}",
        ["data", "net", "P", "seed", "parameters", "epochs", "precision", "core-hours", "train", "test", "fits", "R_f",
         "D_f", "G_f"],
        [shown(row) for _, row in trained.iterrows()],
    )  # fmt: skip
    terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
