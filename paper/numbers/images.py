"""Numbers of nets on images: exponents, values, displacements, layers; and the sentences that turn on them."""

from __future__ import annotations

import math

import pandas as pd

from compare import Comparison, Relation, contrast, fit_power_law
from paper.figures.displacement import displacement_table, published_displacements
from paper.figures.layers import layer_table
from paper.figures.stripe import flow_table
from paper.numbers.formats import names, plain, short, span
from paper.numbers.image_table import DATA, NETS, TASKS, averaged, image_table, means, published, published_curves
from theory import Estimate, InputError, read_table
from theory.common.estimate import geometric_mean

#: The theory's stage beside which nets trained to the end are laid; `compare.contrast` takes it by default.
STAGE = "q=0.3"
_WORDS = {
    Relation.SAME: "falls with $P$ at the theory's rate within the intervals",
    Relation.SLOWER: "falls with $P$ more slowly than in the theory",
    Relation.STEEPER: "falls with $P$ more steeply than in the theory",
    Relation.NO_DECREASE: "does not decrease significantly with $P$, as it does in the theory,",
    Relation.RISES: "rises with $P$",
    Relation.UNCERTAIN: "has too few points to tell how it changes with $P$",
}


def comparisons(table: pd.DataFrame, task: str) -> dict[str, Comparison]:
    """Each net's exponent beside that of the theory at `STAGE` over the same P."""
    flow = flow_table()
    flow = flow[flow["stage"] == STAGE]
    trained = table[(table["task"] == task) & (table["stage"] == "trained")]
    found = {}
    for net in NETS:
        every = contrast(flow, trained[trained["architecture"] == net]).comparisons
        if len(every) != 1:
            raise InputError("image_curves.csv", f"{task} {net}", f"{len(every)} series; must be one, at two P or more")
        found[net] = every[0]
    return found


def numbers() -> dict[str, str]:
    table = image_table()
    trained = table[table["stage"] == "trained"]
    found = {
        "images.nets": str(len(NETS)), "images.seeds": str(trained["seed"].nunique()), "images.runs": str(len(trained)),
        "images.smallest": str(trained["train_size"].min()), "images.largest": str(trained["train_size"].max()),
        "images.hours": plain(float(trained["seconds"].sum()) / 3600),
    }  # fmt: skip
    for task in TASKS:
        found |= _task(table, task)
    counts = [n for task in TASKS for rows in published_curves(task).values() for n in rows["n"]]
    found["published.seeds"] = span(counts)
    return found | _both(trained) | _layers() | _displacements()


def _task(table: pd.DataFrame, task: str) -> dict[str, str]:
    found = {}
    compared = comparisons(table, task)
    for net, one in compared.items():
        rows, start = averaged(table, task, net), averaged(table, task, net, "initial").iloc[0]
        first, last = rows.iloc[0], rows.iloc[-1]
        key = f"{task}.{net}"
        found |= {
            f"{key}.exponent": short(one.measured.exponent) + ("*" if one.measured.bent else ""),
            f"{key}.initial": short(_estimate(start, "relative_stability")),
            f"{key}.first": short(_estimate(first, "relative_stability")),
            f"{key}.last": short(_estimate(last, "relative_stability")),
            f"{key}.largest": f"{last['train_size']:.0f}",
            f"{key}.error": short(_estimate(last, "test_error")),
        }  # fmt: skip
    starts = means(table, task, "initial")
    found[f"{task}.initial.span"] = span(starts["relative_stability"].tolist())
    found[f"{task}.verdict"] = verdict(compared)
    found[f"{task}.below"] = below_start(table, task)
    for _, rows in published(task).groupby("architecture"):
        name = rows["architecture"].iloc[0].split(" (")[0]
        fit = fit_power_law(rows)
        found[f"{task}.published.{name}"] = short(fit.exponent) + ("*" if fit.bent else "")
        found[f"{task}.published.{name}.sizes"] = f"{fit.x_range[0]:.0f} to {fit.x_range[1]:.0f}"
    return found


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], int(row[f"{name}_n"]))


def verdict(compared: dict[str, Comparison]) -> str:
    """One sentence: how R_f falls with P, beside the theory, net by net."""
    groups: dict[str, list[str]] = {words: [] for words in _WORDS.values()}
    for net, one in compared.items():
        groups[_WORDS[one.relation]].append(NETS[net])
    return f"$R_f$ {_clauses(groups)}."


def _clauses(groups: dict[str, list[str]]) -> str:
    """``slowly for a and b; steeply for c``, or ``slowly for all 7 nets``; groups of none are left out."""
    filled = {words: nets for words, nets in groups.items() if nets}
    if len(filled) == 1:
        ((words, nets),) = filled.items()
        return f"{words} for all {len(nets)} nets"
    return "; ".join(f"{words} for {names(nets)}" for words, nets in filled.items())


def below_start(table: pd.DataFrame, task: str) -> str:
    """Which nets' R_f at the largest P lies below, above, or within the seeds' intervals of that at the start."""
    keys = ("below its value before training", "above its value before training", "not to be told from that value")
    groups: dict[str, list[str]] = {key: [] for key in keys}
    for net in NETS:
        rows = table[(table["task"] == task) & (table["architecture"] == net)]
        rows = rows[rows["train_size"] == rows["train_size"].max()]
        both = rows.pivot_table(index="seed", columns="stage", values="relative_stability")
        ratio = geometric_mean((both["trained"] / both["initial"]).dropna().to_numpy())
        side = 0 if ratio.high < 1 else 1 if ratio.low > 1 else 2
        groups[keys[side]].append(NETS[net])
    return _clauses(groups)


def _both(trained: pd.DataFrame) -> dict[str, str]:
    """How far the seeds spread: the largest over the smallest R_f of a net, data set and P."""
    cells = trained.groupby(["task", "architecture", "train_size"])["relative_stability"]
    factor = (cells.max() / cells.min()).dropna()
    return {"images.spread.median": plain(float(factor.median())), "images.spread.largest": plain(float(factor.max()))}


def _layers() -> dict[str, str]:
    first, last = (layer_table(stage) for stage in ("initial", "trained"))
    ends = {"initial": first.iloc[-1], "trained": last.iloc[-1]}
    found = {"layers.count": str(len(first))}
    for stage, row in ends.items():
        low, high = row["relative_stability_low"], row["relative_stability_high"]
        found[f"layers.{stage}"] = short(Estimate(row["relative_stability"], low, high, 500))
    found["layers.initial.first"], found["layers.trained.first"] = (
        plain(table["relative_stability"].iloc[0]) for table in (first, last)
    )
    full = read_table(DATA / "image_nets_full.csv").set_index(["architecture", "task", "train_size", "seed", "stage"])
    net = ("vgg11-bn", "images:cifar10-jpeg", 50000, 0, "trained")
    found["layers.error"] = plain(float(full.loc[net, "train_error"]))
    return found


def _displacements() -> dict[str, str]:
    """R_f at one pixel over R_f at the smallest displacement, trained nets; geometric means over seeds."""
    table = displacement_table()
    least = float(table["displacement"].min())
    found = {
        "displacement.least": plain(least), "displacement.largest": plain(float(table["displacement"].max())),
        "displacement.seeds": str(table["seed"].nunique()), "displacement.size": str(table["train_size"].iloc[0]),
    }  # fmt: skip
    trained = table[table["stage"] == "trained"]
    clauses = []
    for net in NETS:
        rows = trained[(trained["architecture"] == net) & (trained["task"] == "fashion-mnist")]
        if len(rows):
            both = rows.pivot_table(index="seed", columns="displacement", values="relative_stability")
            ratio = geometric_mean((both[1.0] / both[least]).to_numpy())
            clauses.append(f"{short(ratio)} for {NETS[net]}" if math.isfinite(ratio.error) else NETS[net])
    found["displacement.ratios"] = names(clauses)
    for task in TASKS:
        rows = published_displacements(task)
        near = min(rows["displacement"].unique(), key=lambda delta: abs(math.log(delta)))
        found["displacement.published"] = plain(float(near))
        for stage in ("initial", "trained"):
            own = rows[(rows["displacement"] == near) & (rows["stage"] == stage)]["relative_stability"]
            found[f"displacement.published.{task}.{stage}"] = short(geometric_mean(own.to_numpy()))
            found["displacement.published.seeds"] = str(len(own))
    return found
