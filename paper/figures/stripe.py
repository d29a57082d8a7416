"""Figure: the simple model. Prediction, gradient flow, and nets trained on the same stripe by SGD and by Adam."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compare.report.styles import MARKERS, PALETTE
from paper.figures.plots import PAGE, finish, new_figure, points
from paper.figures.plots import sizes as sizes_axis
from paper.numbers.image_table import DATA
from theory import InputError, Stripe, read_table
from theory.common.estimate import Estimate, geometric_mean

STAGES = ("q=0.9", "q=0.7", "q=0.5", "q=0.3", "q=0.1")
#: Unfit fraction at which trained nets are shown.
TRAINED_STAGE = "q=0.3"
_COLOURS = dict(zip(STAGES, ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"), strict=True))


def flow_table() -> pd.DataFrame:
    """The flow in d = 30, softplus hinge, alpha = 1e-6, to the largest P of 16 seeds."""
    names = ("stripe_theory_64.csv", "stripe_theory.csv", "stripe_theory_32768.csv")
    return pd.concat([read_table(DATA / name) for name in names], ignore_index=True)


def predicted_table(name: str = "prediction.csv") -> pd.DataFrame:
    return read_table(DATA / name)


def predicted_prefactor(stage: str, name: str = "prediction.csv") -> Estimate:
    """P R_f where R_f is far from its saturation: the largest P of the table, geometric mean over neurons."""
    rows = predicted_table(name)
    rows = rows[(rows["stage"] == stage) & (rows["train_size"] == rows["train_size"].max())]
    return geometric_mean(rows["train_size"].to_numpy(float) * rows["relative_stability"].to_numpy())


def predicted_stability(stage: str, sizes: np.ndarray, name: str = "prediction.csv") -> np.ndarray:
    """R_f = d/(d - 1) e/(1 + e), e = (d - 1)/d (P R_f)/P."""
    dim = Stripe().dim
    ratio = (dim - 1) / dim * predicted_prefactor(stage, name).value / sizes
    return dim / (dim - 1) * ratio / (1 + ratio)


def _theory(ax: Axes) -> None:
    flow = flow_table()
    sizes = np.geomspace(100, 1e6, 200)
    for stage in STAGES:
        ax.plot(sizes, predicted_stability(stage, sizes), color=_COLOURS[stage], linewidth=1)
        parts = flow[flow["stage"] == stage].groupby("train_size")["relative_stability"]
        found = [(size, geometric_mean(values.to_numpy())) for size, values in parts]
        values = np.array([[e.value, e.value - e.low, e.high - e.value] for _, e in found]).T
        points(ax, [size for size, _ in found], values[0], values[1:], color=_COLOURS[stage], marker="o", linestyle="",
               label=f"q = {stage[2:]}")  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.legend(frameon=False)
    finish(ax, "training points P", "relative stability $R_f$", "prediction (lines) and flow (points)")


def nets_table() -> pd.DataFrame:
    """Trained stripe nets at `TRAINED_STAGE`; InputError if the table holds none."""
    table = read_table(DATA / "stripe_nets.csv")
    table = table[table["stage"] == TRAINED_STAGE]
    if table.empty:
        raise InputError("stripe_nets.csv", TRAINED_STAGE, "is no stage of the table; the figure shows it")
    return table


def net_label(architecture: object, variant: object) -> str:
    """``1 layer, Adam``: what tells a series of stripe nets from the others; all are at one alpha."""
    layers = {"one": "1 layer", "two": "2 layers", "three": "3 layers"}[str(architecture).split("-")[0]]
    words = [word for word in str(variant).split(", ") if word and not word.startswith("alpha=")]
    by = "Adam" if "adam" in words else ("SGD" if any(word.startswith("batch") for word in words) else "descent")
    return f"{layers}, {by}"


def _trained(ax: Axes) -> None:
    table = nets_table()
    sizes = np.geomspace(table["train_size"].min() / 1.5, table["train_size"].max() * 1.5, 50)
    ax.plot(sizes, predicted_stability(TRAINED_STAGE, sizes), color="#333333", linewidth=1, label="prediction, 1 layer")
    for index, ((architecture, variant), rows) in enumerate(table.groupby(["architecture", "variant"], sort=False)):
        parts = rows.groupby("train_size")["relative_stability"]
        found = [(size, geometric_mean(values.to_numpy())) for size, values in parts]
        values = np.array([[e.value, e.value - e.low, e.high - e.value] for _, e in found]).T
        points(ax, [size for size, _ in found], values[0], np.nan_to_num(values[1:]),
               color=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)][0],
               label=net_label(architecture, variant))  # fmt: skip
    ax.set_yscale("log")
    sizes_axis(ax, tuple(sorted(table["train_size"].unique())))
    ax.legend(frameon=False, loc="lower left", ncols=2)
    low = table["relative_stability"].min()
    ax.set_ylim(low / 30, 3)  # room for the legend; bars of few seeds may reach further
    finish(ax, "training points P", "relative stability $R_f$", f"trained nets at q = {TRAINED_STAGE[2:]}")


def stripe() -> Figure:
    """Left: prediction and flow at unfit fractions; right: trained nets at the end, of several depths."""
    figure = new_figure(PAGE, 2.9)
    left, right = figure.subplots(1, 2)
    _theory(left)
    _trained(right)
    return figure
