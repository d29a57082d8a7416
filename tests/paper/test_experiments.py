"""Every file of paper/experiments can be run as it stands, and holds the runs that its header promises."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import relstab
from empirical import read_experiments
from empirical.nets.architectures import ARCHITECTURES
from empirical.runs.sweeps import all_configs
from empirical.training.config import ImageConfig

FOLDER = Path(relstab.__file__).parent / "paper" / "experiments"
SIZES = {"cifar10": 50_000, "fashion-mnist": 60_000, "mnist": 60_000, "digits": 1297, "images:cifar10-jpeg": 50_000}
#: Runs of each file; a file that is not here has a count that follows from its grids alone.
RUNS = {
    "paper_figure_3.toml": 15 * 8 * 16, "paper_data_sets.toml": 2 * 15 * 8 * 16, "paper_training.toml": 4 * 16,
    "paper_simple_model.toml": 8 * 16, "small_images.toml": 4 * 5 * 3, "small_stripes.toml": 5 * 4,
}  # fmt: skip
FILES = sorted(path.name for path in FOLDER.glob("*.toml"))


def test_the_files_are_all_there() -> None:
    assert set(RUNS) <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_each_reads_and_counts(name: str) -> None:
    experiments = read_experiments(FOLDER / name)
    configs = all_configs(experiments)
    grids = sum(len(set(e.train_sizes)) * len(set(e.seeds)) * max(1, len(set(e.architectures))) for e in experiments)
    assert len(configs) == RUNS.get(name, grids)
    for config in configs:
        if isinstance(config, ImageConfig):
            assert config.architecture in ARCHITECTURES
            assert config.train_size <= SIZES[config.dataset]
    assert (FOLDER / name).read_text(encoding="utf-8").startswith("# ")


def test_the_full_scale_is_the_paper_s_nets_and_recipe() -> None:
    from empirical.training.recipe import recipe

    (experiment,) = read_experiments(FOLDER / "paper_figure_3.toml")
    published = {"lenet", "alexnet", "resnet18", "resnet34", "resnet50", "efficientnet-b0"}
    published |= {f"fc{n}" for n in (2, 4, 6)}
    published |= {f"vgg{n}{norm}" for n, norm in itertools.product((11, 16, 19), ("", "-bn"))}
    assert set(experiment.architectures) == published
    config = experiment.configs()[0]
    net = ARCHITECTURES["lenet"](3, 32, 10)
    plan = recipe(config, net, config.train_size)
    assert (plan.optimizer, plan.momentum, plan.weight_decay, plan.epochs) == ("sgd", 0.9, 5e-4, 250)
    assert plan.augmented
