"""Published values seed by seed, to lay beside one's own: R_f against P, and D_f, G_f, R_f against displacement."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pandas as pd

from theory.common.errors import InputError
from theory.common.table import validate_table

__all__ = ["load_reference", "load_reference_displacements"]

_CURVES = "petrini2021_early_R_f_per_seed.csv.gz"
_DISPLACEMENTS = "petrini2021_early_D_G_vs_temperature.csv.gz"
_TASKS = {"fashionmnist": "fashion-mnist"}
_INTERPOLATIONS = {"linear": "bilinear"}
#: Pixels along a side, n.
_SIZES = {"cifar10": 32, "fashion-mnist": 28, "mnist": 28}
_OTHER = "other setting"
#: The geometric mean over the coordinates of the outputs' ratios of squared norms.
_RATIOS = "coordinate-ratios"


def load_reference(
    dataset: str | None = None,
    architecture: str | None = None,
    cutoff: int | None = None,
    interpolation: str | None = None,
) -> pd.DataFrame:
    r"""2436 published values of R_f and test error against P, one row a seed, as a curve table.

    Source: dataframes ``res-net-df`` and ``eff-net-df-p`` in the history of the public repository
    leonardopetrini/diffeo-sota (commit 12915f1), by the authors of Petrini, Favero, Geiger and Wyart, NeurIPS 2021,
    arXiv 2105.02468. Trained nets on MNIST, FashionMNIST and CIFAR10; 16 seeds a P as a rule, 15 to 30 of ResNet on
    CIFAR10, 6 of it on FashionMNIST at P = 50000. Geometric means over seeds give the curves of that commit.

    R_f was read at one pixel by the repository's formula,

    .. math:: \delta = \sqrt{T \, (0.28 \ln c + 0.7)},

    T here in pixels squared. By the published formula, which relstab uses, that is 0.93 pixels at c = 3 and 1.05 at
    c = 5. `temperature` is on the unit square, T / n^2. `relative_stability` is the geometric mean over coordinates of
    the outputs' ratios, and `average` says so. The test error is that of the best epoch on the test set. The exact
    architectures are not told. Expect the trend to agree with one's own, not the values.

    Not all nets of a curve were trained alike. These form series of their own, told by the architecture's name:

    - ``ResNet (bilinear, other setting)``: on CIFAR10 from P = 5689 on, where the test error jumps.
    - ``ResNet (bilinear, second sweep)``: at P = 512 seeds stand twice. On CIFAR10 the second sweep (30 seeds, epochs
      recorded in hundreds) has the larger error, and P = 724 is of it, too. On MNIST and FashionMNIST nothing tells the
      two apart: the first of a seed in the file is kept in the curve.
    - ``EfficientNet (bilinear, other setting)``: P = 50000, whose R_f is a ratio of means over images (`average` is
      mean) and jumps up. Keep it out of fits.

    The interpolation of the deformed images (bilinear or gaussian) is no column of the curve table's key either, so
    that it stands in the architecture's name and in an extra column. Both are of the same nets.

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
    2436
    >>> table = load_reference("cifar10", interpolation="bilinear")
    >>> sorted(set(table["architecture"]))[2:]
    ['ResNet (bilinear)', 'ResNet (bilinear, other setting)', 'ResNet (bilinear, second sweep)']
    """
    kept = _read(_CURVES, dataset=dataset, architecture=architecture, cutoff=cutoff, interpolation=interpolation)
    setting = kept["setting"].fillna("")
    return validate_table(
        pd.DataFrame(
            {
                **_columns(kept, setting),
                "stage": "trained",
                "average": np.where(setting.eq(_OTHER) & kept["architecture"].eq("EfficientNet"), "mean", _RATIOS),
                "displacement": 1.0,
                "relative_stability": kept["R_f"],
                "test_error": 1 - kept["accuracy"] / 100,
                "interpolation": kept["interpolation"],
            }
        )
    )


def load_reference_displacements(
    dataset: str | None = None,
    architecture: str | None = None,
    cutoff: int | None = None,
    interpolation: str | None = None,
) -> pd.DataFrame:
    r"""Published D_f, G_f and R_f at 30 displacements before and after training, one row a seed, as a curve table.

    Source: dataframes ``eff-net-roughness-df`` and ``mob-net-roughness-df`` of the repository that `load_reference`
    names, 23040 rows: EfficientNet at P = 50000 on MNIST, FashionMNIST and CIFAR10, MobileNetV2 at P = 32768 on
    CIFAR10; 16 seeds. D_f and G_f are means over images, R_f is their ratio. `displacement` is by the published
    formula, as relstab's own,

    .. math:: \delta = \frac{n}{2} \sqrt{\pi T \ln c},

    with T, on the unit square, in `temperature`. The test error of the trained nets is that of the best epoch on the
    test set.

    Parameters
    ----------
    dataset : ``mnist``, ``fashion-mnist`` or ``cifar10``; all if None, here and below. Case and hyphens do not matter
    architecture : ``EfficientNet`` or ``MobileNetV2``
    cutoff : c of the diffeomorphisms, 3, 5 or 15
    interpolation : ``bilinear`` or ``gaussian``

    Raises
    ------
    InputError
        As `load_reference`.

    Example
    -------
    >>> from compare import load_reference_displacements
    >>> table = load_reference_displacements("cifar10", "EfficientNet", 3, "bilinear")
    >>> len(table), sorted(set(table["stage"])), table["displacement"].nunique()
    (960, ['initial', 'trained'], 30)
    """
    wide = _read(_DISPLACEMENTS, dataset=dataset, architecture=architecture, cutoff=cutoff, interpolation=interpolation)
    typical = np.sqrt(np.pi * wide["temperature"] * np.log(wide["cutoff"])) / 2
    parts = []
    for stage in ("initial", "trained"):
        diffeo, noise = wide[f"D_{stage}"], wide[f"G_{stage}"]
        values = {
            **_columns(wide, pd.Series("", index=wide.index)),
            "stage": stage,
            "average": "mean",
            "displacement": typical,
            "diffeo_stability": diffeo,
            "noise_stability": noise,
            "relative_stability": diffeo / noise,
            "test_error": 1 - wide["accuracy"] / 100 if stage == "trained" else np.nan,
            "interpolation": wide["interpolation"],
        }
        parts.append(pd.DataFrame(values))
    return validate_table(pd.concat(parts, ignore_index=True))


def _columns(rows: pd.DataFrame, setting: pd.Series) -> dict[str, object]:
    """What both tables have in common."""
    words = rows["interpolation"] + setting.where(setting == "", ", " + setting)
    return {
        "source": "published",
        "task": rows["dataset"],
        "architecture": rows["architecture"] + " (" + words + ")",
        "train_size": rows["train_size"],
        "seed": rows["seed"],
        "cutoff": rows["cutoff"],
        "temperature": rows["temperature"] / rows["dataset"].map(_SIZES) ** 2,
    }


def _read(name: str, **filters: str | int | None) -> pd.DataFrame:
    """The rows of a file that have all the values asked for; see `load_reference`."""
    with as_file(files("compare.curves") / "published" / name) as path:
        raw = pd.read_csv(path, comment="#")
    raw["dataset"] = raw["dataset"].replace(_TASKS)
    raw["interpolation"] = raw["interpolation"].replace(_INTERPOLATIONS)
    kept = raw
    for column, wanted in filters.items():
        if wanted is not None:
            there = sorted(set(raw[column]))
            if _plain(wanted) not in map(_plain, there):
                raise InputError(column, wanted, "must be one of " + ", ".join(map(str, there)))
            kept = kept[kept[column].map(_plain) == _plain(wanted)]
    if kept.empty:
        combinations = raw[list(filters)].drop_duplicates().astype("str").agg(" ".join, axis=1)
        asked = " ".join(str(wanted) for wanted in filters.values() if wanted is not None)
        raise InputError("reference", asked, "must be one of " + "; ".join(combinations))
    return kept.reset_index(drop=True)


def _plain(value: object) -> str:
    """Case and hyphens do not matter in a filter: FashionMNIST is fashion-mnist."""
    return str(value).lower().replace("-", "").replace("_", "")
