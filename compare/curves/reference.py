"""Published curves R_f(P), to lay beside one's own."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd

from theory.common.errors import InputError
from theory.common.table import curve_table

__all__ = ["load_reference"]

_FILE = "petrini2021_early_R_f_vs_P.csv"
_TASKS = {"fashionmnist": "fashion-mnist"}
_INTERPOLATIONS = {"linear": "bilinear"}
#: From this P on, the CIFAR10 ResNet rows come from another training setting; their test error jumps.
_OTHER_SETTING_FROM = 5689


def load_reference(
    dataset: str | None = None,
    architecture: str | None = None,
    cutoff: int | None = None,
    interpolation: str | None = None,
) -> pd.DataFrame:
    """134 published values of R_f and test error against P, as a curve table; the filters choose among them.

    Source: early dataframes (``res-net-R``, ``eff-net-R``) in the history of the public repository
    leonardopetrini/diffeo-sota, by the authors of Petrini, Favero, Geiger and Wyart, NeurIPS 2021,
    arXiv 2105.02468. Trained nets on MNIST, FashionMNIST and CIFAR10.

    What they do not record: the displacement at which R_f was read, the average over images (the code
    beside them then used means over images, and geometric means of ratios and over seeds), the number of
    seeds and the exact architectures. Seed 0 stands for that unknown number. Expect the trend to agree, not
    the values. The CIFAR10 ResNet rows from P = 5689 on come from another training setting: they form
    series of their own, "ResNet (bilinear, other setting)".

    The interpolation of the deformed images (bilinear or gaussian) is no column of the curve table's key,
    so that it stands in the architecture's name, "ResNet (bilinear)", and in an extra column.

    Parameters
    ----------
    dataset : ``mnist``, ``fashion-mnist`` or ``cifar10``; all if None, here and below. Case and hyphens do not matter
    architecture : ``ResNet`` or ``EfficientNet``
    cutoff : c of the diffeomorphisms
    interpolation : ``bilinear`` or ``gaussian``

    Raises
    ------
    InputError
        If no row has the value of a filter, or rows have each value but none has all; the message lists
        what there is.

    Example
    -------
    >>> from compare import load_reference
    >>> len(load_reference())
    134
    >>> table = load_reference("cifar10", interpolation="bilinear")
    >>> sorted(set(table["architecture"]))
    ['EfficientNet (bilinear)', 'ResNet (bilinear)', 'ResNet (bilinear, other setting)']
    """
    resource = files("compare.curves") / "published" / _FILE
    with as_file(resource) as path:
        raw = pd.read_csv(path)
    raw["dataset"] = raw["dataset"].replace(_TASKS)
    raw["interpolation"] = raw["interpolation"].replace(_INTERPOLATIONS)
    kept = raw
    filters = {
        "dataset": dataset,
        "architecture": architecture,
        "cutoff": cutoff,
        "interpolation": interpolation,
    }
    for name, wanted in filters.items():
        if wanted is not None:
            there = sorted({str(value) for value in raw[name]})
            kept = kept[kept[name].map(_plain) == _plain(wanted)]
            if not (raw[name].map(_plain) == _plain(wanted)).any():
                raise InputError(name, wanted, "must be one of " + ", ".join(there))
    if kept.empty:
        combinations = raw[list(filters)].drop_duplicates().astype("str").agg(" ".join, axis=1)
        asked = " ".join(str(wanted) for wanted in filters.values() if wanted is not None)
        raise InputError("reference", asked, "must be one of " + "; ".join(combinations))
    return curve_table(_row(row) for row in kept.to_dict("records"))


def _plain(value: object) -> str:
    """Case and hyphens do not matter in a filter: FashionMNIST is fashion-mnist."""
    return str(value).lower().replace("-", "").replace("_", "")


def _row(row: dict) -> dict[str, object]:
    other = row["dataset"] == "cifar10" and row["architecture"] == "ResNet"
    other = other and row["train_size"] >= _OTHER_SETTING_FROM
    setting = ", other setting" if other else ""
    return {
        "source": "published",
        "task": row["dataset"],
        "architecture": f"{row['architecture']} ({row['interpolation']}{setting})",
        "train_size": row["train_size"],
        "seed": 0,
        "stage": "trained",
        "cutoff": row["cutoff"],
        "relative_stability": row["R_f"],
        "test_error": row["test_error"],
        "interpolation": row["interpolation"],
    }
