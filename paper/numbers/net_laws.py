"""The test error beside R_f over nets and along P: of the authors' nets seed by seed, and of ours."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pandas as pd

from compare import (
    AlongSizes,
    Correlations,
    ErrorLaw,
    Fall,
    SwapTest,
    along_sizes,
    correlations,
    fit_net_law,
    load_reference,
    load_reference_displacements,
    stability_falls,
    swap_tests,
)  # fmt: skip
from compare.curves.numbers import format_interval
from paper.numbers.formats import MINUS, short, signed
from paper.numbers.image_table import DATA, PUBLISHED, TASKS, image_table
from theory import InputError, read_table

__all__ = [
    "FULL", "PUBLISHED_TASKS", "curves_along", "falls_of_largest", "full_table", "full_tests", "numbers",
    "published_along", "published_falls", "published_law", "published_nets", "trained_nets",
]  # fmt: skip

#: The authors' data sets, and as a reader knows them.
PUBLISHED_TASKS = {"cifar10": "CIFAR10", "fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
#: The table of nets on all images, and along P of some of them, which grows as its sweep does (`image_nets_full.py`).
FULL = "image_nets_full.csv"


def published_nets(task: str, *, every: bool = False) -> pd.DataFrame:
    """The authors' bilinear rows on one data set: nets of the first setting; with `every` also ResNet's other one.

    EfficientNet at P = 50000, whose R_f is another average, and the second sweep at P = 512 are never among them.
    """
    rows = load_reference(task, interpolation="bilinear")
    first = rows["architecture"].str.endswith("(bilinear)")
    return rows[first | (rows["architecture"] == "ResNet (bilinear, other setting)")] if every else rows[first]


def published_law(task: str, exponent: float | None = None) -> ErrorLaw:
    """eps_t = a R_f^b over both nets and all P; intervals over their seeds."""
    return fit_net_law(published_nets(task), exponent=exponent)


def full_table() -> pd.DataFrame | None:
    """The table `FULL`; None where it is not there."""
    return read_table(DATA / FULL) if (DATA / FULL).is_file() else None


def trained_nets(table: pd.DataFrame | None, task: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every trained net of one data set, at all its P and seeds; none without a table."""
    if table is not None:
        own = table[(table["task"] == task) & (table["stage"] == "trained")]
        for (net, _), rows in own.groupby(["architecture", "variant"], sort=True):
            yield str(net), rows


def full_nets(table: pd.DataFrame, task: str) -> pd.DataFrame:
    """Nets of one data set at the largest P that the most nets have, before and after training."""
    own = table[table["task"] == task]
    trained = own[own["stage"] == "trained"]
    counts = trained.groupby("train_size")["architecture"].nunique()
    return own[own["train_size"] == counts[counts == counts.max()].index.max()] if len(counts) else own


def full_tests(table: pd.DataFrame) -> tuple[Correlations, list[SwapTest]]:
    """Correlations of eps_t with R_f, D_f and G_f over the nets of each data set, and which goes with it best.

    Nothing of a data set with fewer than three nets.
    """
    nets = pd.concat([full_nets(table, task) for task in TASKS], ignore_index=True)
    trained = nets[nets["stage"] == "trained"]
    return correlations(trained), swap_tests(trained)


@cache
def published_along() -> tuple[tuple[str, AlongSizes], ...]:
    """Data set and exponents of the authors' curves."""
    return tuple(
        (name, item) for task, name in PUBLISHED_TASKS.items() for item in along_sizes(published_nets(task, every=True))
    )


def curves_along() -> Iterator[tuple[str, AlongSizes]]:
    """Data set and exponents of every curve: the authors', ours, and those of `FULL` at three P or more."""
    yield from published_along()
    for table in (image_table(), full_table()):
        if table is None:
            continue
        for task, name in TASKS.items():
            own = table[(table["task"] == task) & (table["stage"] == "trained")]
            sizes = own.groupby(["architecture", "variant"])["train_size"].transform("nunique")
            yield from ((name, item) for item in along_sizes(own[sizes >= 3]))


def falls_of_largest(table: pd.DataFrame) -> list[Fall]:
    """R_f before and after training of every net at its largest P."""
    largest = table.groupby(["task", "architecture", "variant"])["train_size"].transform("max")
    return stability_falls(table[table["train_size"] == largest])


def published_falls() -> list[Fall]:
    """The authors' nets before and after training, c = 3, at the displacement next to one pixel."""
    found = []
    for task in PUBLISHED_TASKS:
        rows = load_reference_displacements(task, cutoff=3, interpolation="bilinear")
        near = min(rows["displacement"].unique(), key=lambda delta: abs(delta - 1))
        found += stability_falls(rows[rows["displacement"] == near])
    return found


def numbers() -> dict[str, str]:
    """For the manuscript: the published law on the data sets that lie beside ours, and along P."""
    found = {}
    for task, theirs in PUBLISHED.items():
        law = published_law(theirs)
        found |= {
            f"{task}.published.law.exponent": short(law.exponent),
            f"{task}.published.law.amplitude": short(law.amplitude),
            f"{task}.published.law.points": str(law.n_points),
        }
        for data, item in published_along():
            name, _, kind = item.key.architecture.partition(" ")
            if data == PUBLISHED_TASKS[theirs] and kind == "(bilinear)":
                found[f"{task}.published.{name}.ratio"] = short(item.ratio)
    decades = [fall.decades.value for fall in falls_of_largest(image_table())]
    theirs_fall = [fall.decades.value for fall in published_falls()]
    found["falls.ours"] = f"{min(decades):.2f} to {max(decades):.2f}".replace("-", MINUS)
    found["falls.published"] = f"{min(theirs_fall):.2f} to {max(theirs_fall):.2f}".replace("-", MINUS)
    return found | _full_numbers()


def _full_numbers() -> dict[str, str]:
    """Of the nets on all images: the law over them, correlations, and R_f along P; InputError without the table."""
    table = full_table()
    if table is None:
        raise InputError("table", FULL, "is not there: nets on all images are still to be trained")
    correlated, tests = full_tests(table)
    found = {}
    for task in TASKS:
        law = fit_net_law(full_nets(table, task))
        found |= {
            f"{task}.full.nets": str(law.n_units),
            f"{task}.full.exponent": short(law.exponent),
            f"{task}.full.amplitude": short(law.amplitude),
        }
        for row in correlated.rows:
            if row.kind == "pooled" and row.where == task:
                found[f"{task}.full.{row.x}"] = signed(format_interval(row.pearson))
        (test,) = [one for one in tests if one.where == task and one.right == "diffeo_stability"]
        found |= {f"{task}.full.p": f"{test.p_value:.2g}", f"{task}.full.p.ranks": f"{test.p_ranks:.2g}"}
    for net in ("resnet18", "vgg11-bn", "airbench"):
        rows = table[(table["architecture"] == net) & (table["task"] == "images:cifar10-jpeg")]
        (item,) = along_sizes(rows[rows["stage"] == "trained"])
        found[f"full.{net}.along"] = short(item.stability.exponent)
    return found
