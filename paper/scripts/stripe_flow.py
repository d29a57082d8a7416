"""The flow's tables, summed up: exponents of R_f and Lambda with intervals, and two figures.

`make figures` runs it. It reads the curve tables `paper/data/stripe_*.csv`, each of which says in its first line which
command made it, fits power laws seed by seed, and writes `paper/data/exponents/stripe_flow.csv`, and into
`paper/figures` `flow-stability-and-compression.png` and `flow-dimension-and-scale.png`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compare import fit_power_law
from theory import Estimate, InputError, read_table
from theory.common.estimate import geometric_mean
from theory.common.files import write_whole
from theory.common.terminal import Terminal

HERE = Path(__file__).parents[1]
DATA, FIGURES = HERE / "data", HERE / "figures"
STAGES = ("q=0.9", "q=0.7", "q=0.5", "q=0.3", "q=0.1")
#: R_f saturates at 1, so that its power law shows from some P on; fits are given from both.
FROM = (128, 1024)


def flow_tables() -> pd.DataFrame:
    """All tables of the flow at alpha, d and loss of any kind, with d and alpha as columns.

    Those of trained nets, `stripe_nets*.csv`, are other scripts' to read.
    """
    paths = sorted(set(DATA.glob("stripe_*.csv")) - set(DATA.glob("stripe_nets*.csv")))
    parts = [read_table(path) for path in paths]
    table = pd.concat(parts, ignore_index=True)
    table["dim"] = table["task"].str.extract(r"stripe-d(\d+)", expand=False).astype(int)
    table["alpha"] = table["variant"].str.extract(r"alpha=([\d.e+-]+)", expand=False).astype(float).fillna(1e-6)
    table["loss"] = np.where(table["variant"].str.contains("hinge"), "hinge", "softhinge")
    return table


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Exponents of R_f and Lambda in P, 95 % over seeds, for every loss, d, alpha, q and least P."""
    rows = []
    for (loss, dim, alpha, stage), part in table.groupby(["loss", "dim", "alpha", "stage"]):
        for least in FROM:
            kept = part[part["train_size"] >= least].drop(columns=["dim", "alpha", "loss"])
            try:
                stability, compression = (fit_power_law(kept, y=y) for y in ("relative_stability", "compression"))
            except InputError:
                continue  # fewer than two P from there on
            row = {
                "loss": loss, "dim": dim, "alpha": alpha, "stage": stage, "seeds": stability.n_seeds,
                "least_train_size": int(stability.x_range[0]), "largest_train_size": int(stability.x_range[1]),
            }  # fmt: skip
            for name, fit in (("relative_stability", stability), ("compression", compression)):
                row |= {f"{name}_exponent": fit.exponent.value, f"{name}_low": fit.exponent.low,
                        f"{name}_high": fit.exponent.high, f"{name}_bent": fit.bent}  # fmt: skip
            last = kept[kept["train_size"] == kept["train_size"].max()]
            prefactor = geometric_mean(last["train_size"].to_numpy(float) * last["relative_stability"].to_numpy())
            row |= {"prefactor": prefactor.value, "prefactor_low": prefactor.low, "prefactor_high": prefactor.high}
            rows.append(row)
    # Where all P are above both, the two fits are one.
    found = pd.DataFrame(rows).drop_duplicates(["loss", "dim", "alpha", "stage", "least_train_size"])
    found["order"] = found["stage"].map(STAGES.index)
    keys = ["loss", "dim", "alpha", "least_train_size", "order"]
    found = found.sort_values(keys, ascending=[False, True, True, True, True])
    return found.drop(columns="order").reset_index(drop=True)


def shown(row: pd.Series, name: str) -> str:
    """An exponent with its error, marked where the points bend."""
    estimate = Estimate(row[f"{name}_exponent"], row[f"{name}_low"], row[f"{name}_high"])
    return repr(estimate).split(" (n=")[0] + (" *" if row[f"{name}_bent"] else "")


def print_tables(terminal: Terminal, found: pd.DataFrame) -> None:
    head = ["q", "P", "R_f exponent", "Lambda exponent", "P R_f at the largest P"]
    for (loss, dim, alpha), part in found.groupby(["loss", "dim", "alpha"], sort=False):
        rows = []
        for _, row in part.iterrows():
            prefactor = Estimate(row["prefactor"], row["prefactor_low"], row["prefactor_high"])
            sizes = f"{row['least_train_size']}..{row['largest_train_size']}"
            rows.append([
                row["stage"][2:], sizes, shown(row, "relative_stability"), shown(row, "compression"),
                repr(prefactor).split(" (n=")[0],
            ])  # fmt: skip
        title = f"{loss}, d = {dim}, alpha = {alpha:g}: {part['seeds'].min()} seeds, 95 %; *: bent, no power law"
        terminal.table(title, head, rows)
        terminal.line()


def readme_rows(found: pd.DataFrame) -> list[str]:
    """The README's table: alpha = 1e-6 and d = 30, from P = 1024 on, where there are three P or more."""
    usual = found[(found["dim"] == 30) & (found["alpha"] == 1e-6) & (found["least_train_size"] == FROM[1])]
    lines = []
    for _, row in usual[usual["largest_train_size"] > 2 * FROM[1]].iterrows():
        prefactor = Estimate(row["prefactor"], row["prefactor_low"], row["prefactor_high"])
        cells = (
            {"softhinge": "softplus hinge"}.get(row["loss"], row["loss"]), row["stage"][2:],
            f"{row['least_train_size']} to {row['largest_train_size']}", shown(row, "relative_stability"),
            shown(row, "compression"), repr(prefactor).split(" (n=")[0],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def other_rows(found: pd.DataFrame) -> list[str]:
    """The second table of docs/results.md: other dimensions and alphas, from P = 1024 on, at two unfit fractions."""
    others = found[(found["dim"] != 30) | (found["alpha"] != 1e-6)]
    others = others[(others["least_train_size"] == FROM[1]) & others["stage"].isin(["q=0.7", "q=0.3"])]
    lines = []
    for _, row in others.iterrows():
        prefactor = Estimate(row["prefactor"], row["prefactor_low"], row["prefactor_high"])
        cells = (
            str(row["dim"]), f"{row['alpha']:g}", row["stage"][2:], str(row["seeds"]),
            f"{row['least_train_size']} to {row['largest_train_size']}", shown(row, "relative_stability"),
            shown(row, "compression"), repr(prefactor).split(" (n=")[0],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(ax: Axes, parts: Iterable[tuple[str, pd.DataFrame]], y: str) -> None:
    """Geometric means over seeds with their 95 % intervals against P, one colour for each part."""
    parts = list(parts)
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, max(len(parts), 2)))
    for (label, part), colour in zip(parts, colours, strict=False):
        sizes = np.array(sorted(part["train_size"].unique()), dtype=float)
        means = [geometric_mean(part.loc[part["train_size"] == size, y].to_numpy()) for size in sizes]
        values = np.array([mean.value for mean in means])
        bars = np.array([[mean.value - mean.low, mean.high - mean.value] for mean in means]).T
        ax.errorbar(sizes, values, bars, color=colour, marker="o", markersize=3, linewidth=1, capsize=2, label=label)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks([128, 512, 2048, 8192], ["128", "512", "2048", "8192"])
    ax.minorticks_off()
    ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)


def guide(ax: Axes, exponent: float, label: str, start: tuple[float, float]) -> None:
    """A broken line of this slope from `start` to P = 16384."""
    sizes = np.array([start[0], 16384.0])
    ax.plot(sizes, start[1] * (sizes / start[0]) ** exponent, "--", color="#666666", linewidth=1, label=label)


def finish(axes: np.ndarray, columns: list[str]) -> None:
    for column, title in enumerate(columns):
        axes[0, column].set_title(title, fontsize="medium")
        axes[1, column].set_xlabel("training points P")
    axes[0, 0].set_ylabel("relative stability $R_f$")
    axes[1, 0].set_ylabel(r"compression $\Lambda$")
    for ax in axes[0]:
        guide(ax, -1, "$1/P$", (512, 0.6))
        ax.legend(fontsize="x-small")
    for ax in axes[1]:
        guide(ax, 0.5, r"$\sqrt{P}$", (512, 8))
        ax.legend(fontsize="x-small")


def stability_and_compression(table: pd.DataFrame) -> Figure:
    """Columns: softplus hinge and hinge; colours: unfit fractions; d = 30, alpha = 1e-6."""
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    usual = table[(table["dim"] == 30) & (table["alpha"] == 1e-6)]
    titles = []
    for column, (loss, name) in enumerate((("softhinge", "softplus hinge"), ("hinge", "hinge"))):
        rows = usual[usual["loss"] == loss]
        titles.append(f"{name}, {rows['seed'].nunique()} seeds")
        for line, y in enumerate(("relative_stability", "compression")):
            draw(axes[line, column], ((stage, rows[rows["stage"] == stage]) for stage in STAGES), y)
    finish(axes, titles)
    figure.suptitle("stripe, d = 30, h = 1000, alpha = 1e-6: geometric means, 95 % over seeds", fontsize="medium")
    return figure


def dimension_and_scale(table: pd.DataFrame) -> Figure:
    """Columns: dimensions at alpha = 1e-6, and alphas at d = 30; softplus hinge, q = 0.3, seeds 0 to 7."""
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    rows = table[(table["loss"] == "softhinge") & (table["stage"] == "q=0.3") & (table["seed"] < 8)]
    parts = [
        [(f"d = {dim}", rows[(rows["dim"] == dim) & (rows["alpha"] == 1e-6)]) for dim in sorted(rows["dim"].unique())],
        [(f"alpha = {alpha:g}", rows[(rows["alpha"] == alpha) & (rows["dim"] == 30)])
         for alpha in sorted(rows["alpha"].unique())],
    ]  # fmt: skip
    for column, curves in enumerate(parts):
        for line, y in enumerate(("relative_stability", "compression")):
            draw(axes[line, column], curves, y)
    finish(axes, ["alpha = 1e-6", "d = 30"])
    seeds = "geometric means of seeds 0 to 7 (d = 90: 0 to 3), 95 %"
    figure.suptitle(f"softplus hinge at q = 0.3, h = 1000: {seeds}", fontsize="small")
    return figure


def main() -> None:
    table = flow_tables()
    found = exponents(table)
    target = DATA / "exponents" / "stripe_flow.csv"
    text = found.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.stripe_flow\n" + text))
    terminal = Terminal()
    print_tables(terminal, found)
    FIGURES.mkdir(exist_ok=True)
    for name, figure in (
        ("flow-stability-and-compression", stability_and_compression(table)),
        ("flow-dimension-and-scale", dimension_and_scale(table)),
    ):
        path = FIGURES / f"{name}.png"
        write_whole(path, lambda aside, figure=figure: figure.savefig(aside, dpi=150, metadata={"Software": None}))
        terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
