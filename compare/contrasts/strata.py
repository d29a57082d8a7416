"""Trained nets side by side: at each training-set size of a data set, the logarithms of eps_t, R_f, D_f and G_f."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

__all__ = ["EVERYWHERE", "GAPS", "LEVEL", "MEASURES", "Block", "blocks", "common", "net_table", "without_twins"]

#: What a test error is laid beside.
MEASURES = ("relative_stability", "diffeo_stability", "noise_stability")
#: p-value below which a correlation is called significant, what all data sets are called, and why one is missing.
LEVEL, EVERYWHERE, GAPS = 0.05, "all data sets", "no three nets share a P with it"
_ALL = ("test_error", *MEASURES)
_SETTING = ("source", "task", "average", "cutoff", "displacement", "temperature")


@dataclass(frozen=True, slots=True)
class Block:
    """Strata of one setting (data set) that all hold the same nets: arrays of shape strata x nets, of logarithms."""

    setting: str
    train_sizes: tuple[int, ...]
    nets: tuple[str, ...]
    logs: dict[str, np.ndarray]  # by column: test_error, relative_stability, ...

    def of(self, nets: Collection[str]) -> Block:
        """The block of some of its nets."""
        kept = [i for i, name in enumerate(self.nets) if name in nets]
        logs = {name: values[:, kept] for name, values in self.logs.items()}
        return replace(self, nets=tuple(self.nets[i] for i in kept), logs=logs)

    def without(self, net: str) -> Block:
        """The block without one net."""
        return self.of({*self.nets} - {net})


def net_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each trained net, P and seed of a valid table: setting, net, P, seed, logarithms of `_ALL`.

    A setting is a data set, with how R_f was measured where the table holds that in several ways; a net is an
    architecture with its variant. Rows whose test error or R_f is missing or 0 have no logarithm and are left
    out; a D_f or G_f that is missing or 0 is NaN.
    """
    rows = table[(table["stage"] == "trained") & (table["test_error"] > 0) & (table["relative_stability"] > 0)]
    keys = rows[list(_SETTING)].copy()
    for name in ("displacement", "temperature"):
        keys[name] = keys[name].map(lambda value: float(f"{value:.3g}"))
    words = keys.astype("str").apply(lambda column: column.str.strip())
    several = [name for name in _SETTING if len(set(words[name])) > 1 or name == "task"]
    shown = ["task", *(name for name in several if name != "task")]
    if len(set(words["task"])) == len(words.drop_duplicates(subset=several)):
        shown = ["task"]
    frame = pd.DataFrame(
        {
            "setting": words[shown].agg(" ".join, axis=1) if len(rows) else pd.Series(dtype="str"),
            "net": (rows["architecture"] + " " + rows["variant"]).str.strip(),
            "train_size": rows["train_size"].astype("int64"),
            "seed": rows["seed"].astype("int64"),
        }
    )
    for name in _ALL:
        values = rows[name].to_numpy(dtype=float)
        logs = np.full(values.size, np.nan)
        there = np.isfinite(values) & (values > 0)
        logs[there] = np.log(values[there])
        frame[name] = logs
    return frame.reset_index(drop=True)


def without_twins(nets: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A `net_table` without nets whose test errors are those of another one at two or more P, and words on these.

    They are one trained net whose R_f was measured in two ways (the published curves hold two interpolations of
    the deformed images): two such rows are no two nets.
    """
    words: list[str] = []
    gone = np.zeros(len(nets), dtype=bool)
    for setting, rows in nets.groupby("setting", sort=True):
        seen: dict[tuple[tuple[int, float], ...], str] = {}
        for net, own in rows.groupby("net", sort=True):
            means = own.groupby("train_size")["test_error"].mean()
            errors = tuple((int(str(size)), float(error)) for size, error in means.items())
            if len(errors) > 1 and errors in seen:
                gone |= ((nets["setting"] == setting) & (nets["net"] == net)).to_numpy()
                words.append(f"{setting}: {net}: has the test errors of {seen[errors]}, is the same net")
            seen.setdefault(errors, str(net))
    return nets[~gone].reset_index(drop=True), words


def blocks(nets: pd.DataFrame, columns: tuple[str, ...]) -> list[Block]:
    """For each setting of a `net_table` the largest block of nets and P without gaps in `columns`.

    Seeds are averaged first (geometric means). Where a sweep is not complete, a P or a net must go. Nets are what
    intervals and p-values count as independent, so that of the blocks with at least half of the P that with most nets
    is kept, of at least three; where there is none, the one with the largest (nets - 1) x P. Nets join in the order of
    the P that they have; where that finds no block, all nets of one P do.
    """
    found = []
    for setting, rows in nets.groupby("setting", sort=True):
        means = rows.groupby(["train_size", "net"])[list(columns)].mean()
        whole = means.dropna()
        if whole.empty:
            continue
        flat = whole.reset_index()
        wide = {name: flat.pivot_table(index="train_size", columns="net", values=name) for name in columns}
        there = wide[columns[0]].notna()
        order = there.sum().sort_values(ascending=False, kind="stable").index
        best: tuple[int, list[str], list[int]] = (0, [], [])
        widest: tuple[list[str], list[int]] | None = None
        for count in range(3, len(order) + 1):
            names = list(order[:count])
            sizes = [int(size) for size in there.index[there[names].all(axis=1)]]
            if (count - 1) * len(sizes) >= best[0] and sizes:
                best = ((count - 1) * len(sizes), sorted(names), sizes)
            if 2 * len(sizes) >= len(there):
                widest = sorted(names), sizes
        if not best[0]:
            for own in (list(there.columns[held]) for held in there.to_numpy()):
                sizes = [int(size) for size in there.index[there[own].all(axis=1)]]
                if len(own) >= 3 and (len(own) - 1) * len(sizes) > best[0]:
                    best = ((len(own) - 1) * len(sizes), sorted(own), sizes)
        if best[0]:
            names, sizes = best[1:] if widest is None else widest
            logs = {name: wide[name].loc[sizes, names].to_numpy(dtype=float) for name in columns}
            found.append(Block(str(setting), tuple(sizes), tuple(names), logs))
    return found


def common(parts: list[Block]) -> list[Block]:
    """The blocks with the nets alone that all of them have; nothing if these are fewer than three."""
    shared = set.intersection(*({*part.nets} for part in parts)) if parts else set()
    return [] if len(shared) < 3 else [part.of(shared) for part in parts]
