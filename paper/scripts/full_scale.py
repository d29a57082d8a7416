"""What the paper's own experiments would take: floating-point operations of each net's training, counted, not timed.

`python -m paper.scripts.full_scale` writes `paper/data/full_scale.csv`: for each experiment of
`paper/experiments/paper_*.toml` and each net the number of runs, the images that it is shown, and the operations,
three forward passes an image trained on (one forward, two backward) as torch counts them on one image. Seconds on
your own machine, timed: `relstab sweep FILE --dry-run`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from empirical.nets.architectures import build
from empirical.runs.experiments import read_experiments
from empirical.training.config import ImageConfig
from empirical.training.recipe import recipe
from theory.common.files import write_whole

HERE = Path(__file__).parents[1]
TARGET = HERE / "data" / "full_scale.csv"
#: Channels, side, classes, test images of each data set: its pixels do not matter here.
SHAPES = {
    "cifar10": (3, 32, 10, 10_000), "fashion-mnist": (1, 28, 10, 10_000), "mnist": (1, 28, 10, 10_000),
    "svhn": (3, 32, 10, 26_032),
}  # fmt: skip


@lru_cache
def _net(name: str, dataset: str) -> torch.nn.Module:
    return build(name, *SHAPES[dataset][:3], seed=0)


@lru_cache
def forward(name: str, dataset: str) -> int:
    """Operations of one image's forward pass, a multiplication and an addition counting as two."""
    channels, side = SHAPES[dataset][:2]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _net(name, dataset).eval()(torch.zeros(1, channels, side, side))
    return counter.get_total_flops()


def costs(path: Path) -> Iterator[dict[str, Any]]:
    """One row a data set and net of an experiment file; stripes are left out: their steps are not known before."""
    for experiment in read_experiments(path):
        groups: dict[str, list[ImageConfig]] = {}
        for config in experiment.configs():
            if isinstance(config, ImageConfig):
                groups.setdefault(config.architecture, []).append(config)
        for name, configs in groups.items():
            dataset = configs[0].dataset
            trained = evaluated = 0
            for config in configs:
                plan = recipe(config, _net(name, dataset), config.train_size)
                trained += plan.epochs * config.train_size
                # The test set, and three times the probes, at each stage; the training set at the end.
                stages = 2 + min(config.records, plan.steps)
                evaluated += stages * (SHAPES[dataset][3] + 3 * config.probe_size) + config.train_size
            yield {
                "experiment": path.name, "dataset": dataset, "architecture": name, "runs": len(configs),
                "images_trained_on": trained, "images_evaluated": evaluated, "forward_flop": forward(name, dataset),
                "flop": float(forward(name, dataset)) * (3 * trained + evaluated),
            }  # fmt: skip


def main() -> None:
    rows = [row for path in sorted((HERE / "experiments").glob("paper_*.toml")) for row in costs(path)]
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(TARGET, lambda aside: aside.write_text("# python -m paper.scripts.full_scale\n" + text))
    print(f"wrote {TARGET.relative_to(HERE.parent)}: {len(rows)} rows")


if __name__ == "__main__":
    main()
