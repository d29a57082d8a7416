"""D_f, G_f and R_f against displacement, at initialisation and trained, of nets that a sweep has kept.

    python -m paper.scripts.displacement STORE DATA

reads the runs of `paper/experiments/image_curves.toml` out of the store (`--tasks`, `--nets` and `--train-size` choose
others than the usual ones), rebuilds each net and its start, and writes `paper/data/displacement.csv`. At one pixel
every value must be that of the run's own record: it is checked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from empirical.data.named_sets import load_data
from empirical.nets.architectures import build
from empirical.nets.normalised import Normalised
from empirical.nets.weights import load_weights
from empirical.runs.experiments import read_experiments
from empirical.runs.store import RunStore
from empirical.runs.sweeps import all_configs
from empirical.stability.ranges import measure_range
from empirical.training.config import ImageConfig
from theory import InputError
from theory.common.files import write_whole

HERE = Path(__file__).parents[1]
TARGET = HERE / "data" / "displacement.csv"
EXPERIMENT = HERE / "experiments" / "image_curves.toml"
NETS = ("fc2", "lenet", "vgg-small", "resnet-small")
TASKS = ("fashion-mnist", "images:cifar10-jpeg")
TRAIN_SIZE = 8192  # the largest P of all of them
DISPLACEMENTS = (0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 2.0, 2.8)
_CLOSE = 1e-4  # relative: records are written with seven digits, and sums differ with the number of threads


def chosen(
    tasks: Sequence[str] = TASKS, nets: Sequence[str] = NETS, train_size: int = TRAIN_SIZE
) -> list[ImageConfig]:
    """The runs of the experiment with these nets and data sets, at one P, all seeds; InputError if there are none."""
    found = [
        config
        for config in all_configs(read_experiments(EXPERIMENT))
        if isinstance(config, ImageConfig) and config.dataset in tasks
        and config.architecture in nets and config.train_size == train_size
    ]  # fmt: skip
    if not found:
        asked = " ".join((*tasks, *nets, str(train_size)))
        raise InputError("tasks, nets, train-size", asked, f"no run of {EXPERIMENT.name} has them")
    return found


def nets_of(config: ImageConfig, store: RunStore, data_folder: Path) -> dict[str, Normalised]:
    """The net as it was before training and after; InputError if the store does not have it."""
    weights = store.path(config) / "weights.safetensors"
    if store.read(config) is None or not weights.is_file():
        run = f"{config.architecture} on {config.dataset}, P = {config.train_size}, seed {config.seed}"
        raise InputError("store", str(store.folder), f"lacks the run {run}, or its weights; sweep {EXPERIMENT.name}")
    data = load_data(config.dataset, data_folder, image_size=config.image_size)
    # As `empirical.train` seeds it: children for the subset, the net and the batches.
    seed = int(np.random.SeedSequence(config.seed).spawn(3)[1].generate_state(1)[0])
    found = {}
    for stage in ("initial", "trained"):
        net = build(config.architecture, data.channels, data.size, len(data.classes), seed)
        model = Normalised(net, torch.zeros(data.channels), torch.ones(data.channels))
        start = {name: value.clone() for name, value in net.state_dict().items()}
        load_weights(model, weights)
        if stage == "initial":  # the normalisation is the training set's, at both stages
            net.load_state_dict(start)
        found[stage] = model
    return found


def measure(config: ImageConfig, store: RunStore, data_folder: Path) -> list[dict[str, Any]]:
    """A row for each stage and displacement; the one at one pixel is held against the run's record."""
    data = load_data(config.dataset, data_folder, image_size=config.image_size)
    images = data.test_images[: config.probe_size].float() / 255
    record = store.read(config)
    rows = []
    for stage, model in nets_of(config, store, data_folder).items():
        found = measure_range(
            model, images, cutoffs=(config.cutoff,), displacements=DISPLACEMENTS, rng=config.probe_seed,
            batch_norm="clean" if stage == "initial" else "running",
        )  # fmt: skip
        for stability in found:
            rows.append({
                "task": config.dataset, "architecture": config.architecture, "train_size": config.train_size,
                "seed": config.seed, "stage": stage, **stability.row(),
            })  # fmt: skip
            if record is not None and stability.displacement == config.displacement:
                kept = float(record.loc[record["stage"] == stage, "relative_stability"].iloc[0])
                if abs(stability.relative.value / kept - 1) > _CLOSE:
                    raise InputError("R_f", stability.relative.value, f"must be that of the record, {kept:.7g}")
    return rows


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m paper.scripts.displacement", description=__doc__)
    parser.add_argument("store", type=Path, help="store of the sweep")
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--nets", nargs="+", default=NETS)
    parser.add_argument("--train-size", type=int, default=TRAIN_SIZE)
    given = parser.parse_args(arguments)
    if not given.store.is_dir():
        raise InputError("store", str(given.store), "no such folder")
    store, configs = RunStore(given.store), chosen(given.tasks, given.nets, given.train_size)
    for config in configs:  # what is missing is told before time is spent
        nets_of(config, store, given.data)
    rows = [row for config in configs for row in measure(config, store, given.data)]
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.7g", lineterminator="\n")
    command = " ".join(["python -m paper.scripts.displacement STORE DATA", *arguments[2:]])
    write_whole(TARGET, lambda aside: aside.write_text(f"# {command}\n{text}"))
    print(f"wrote {TARGET.relative_to(HERE.parent)}: {len(rows)} rows")


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
