"""The table of nets on images, as the manuscript reads it: names, colours, means over seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from compare import load_reference
from compare.curves.averages import average_over_seeds
from compare.report.styles import MARKERS, PALETTE
from theory import InputError, read_table

HERE = Path(__file__).parents[1]
DATA = HERE / "data"
TASKS = {"fashion-mnist": "FashionMNIST", "images:cifar10-jpeg": "CIFAR-10 (JPEG)"}
NETS = {
    "fc2": "fc2", "fc4": "fc4", "fc6": "fc6", "lenet": "LeNet", "vgg-small": "VGG-6", "vgg-small-bn": "VGG-6 bn",
    "resnet-small": "ResNet-8",
}  # fmt: skip
#: Those, and the larger nets that are trained on all images alone.
ALL_NETS = NETS | {
    "vgg11": "VGG11", "vgg11-bn": "VGG11 bn", "alexnet": "AlexNet", "resnet18": "ResNet18",
    "mobilenet-v2": "MobileNetV2", "efficientnet-b0": "EfficientNetB0",
}  # fmt: skip
#: Data set of the published curves that lies beside each of ours.
PUBLISHED = {"fashion-mnist": "fashion-mnist", "images:cifar10-jpeg": "cifar10"}
COLOURS = dict(zip(NETS, PALETTE, strict=True))
MARKS = {net: MARKERS[index][0] for index, net in enumerate(NETS)}


def image_table() -> pd.DataFrame:
    """`paper/data/image_curves.csv`; InputError if it is not there, or lacks a data set or a net of the text."""
    table = read_table(DATA / "image_curves.csv")
    for column, known in (("task", TASKS), ("architecture", NETS)):
        missing = [name for name in known if name not in set(table[column])]
        if missing:
            raise InputError("image_curves.csv", ", ".join(missing), f"is no {column} of the table; the text needs it")
    return table


def averaged(table: pd.DataFrame, task: str, net: str, stage: str = "trained") -> pd.DataFrame:
    """One row for each P: means over seeds of R_f, D_f and the test error, with intervals (`average_over_seeds`)."""
    rows = table[(table["task"] == task) & (table["architecture"] == net) & (table["stage"] == stage)]
    if rows.empty:
        raise InputError("image_curves.csv", f"{task} {net} {stage}", "has no rows; the text needs them")
    return average_over_seeds(rows)


def means(table: pd.DataFrame, task: str, stage: str = "trained") -> pd.DataFrame:
    """`averaged` of all nets of the data set, one below the other, with their names."""
    return pd.concat([averaged(table, task, net, stage).assign(architecture=net) for net in NETS], ignore_index=True)


def published(task: str) -> pd.DataFrame:
    """The authors' early values on that data set seed by seed, bilinear, of the first training setting of each net."""
    found = load_reference(PUBLISHED[task], interpolation="bilinear")
    return found[found["architecture"].str.endswith("(bilinear)")]


def published_curves(task: str) -> dict[str, pd.DataFrame]:
    """`published` by the net's bare name, averaged over seeds (`average_over_seeds`)."""
    parts = published(task).groupby("architecture", sort=True)
    return {str(name).partition(" (")[0]: average_over_seeds(rows) for name, rows in parts}
