"""The prediction held against the flow, seed by seed: ratios, a table and two figures.

`make figures` runs it. It reads `paper/data/stripe_*.csv` (the flow) and `paper/data/prediction*.csv` (the prediction
from the same neurons; each file's first line is its command) and writes `paper/data/exponents/prediction_ratio.csv`,
`paper/figures/prediction-and-flow.png` and `paper/figures/prediction-phase.png`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper.scripts.stripe_flow import DATA, FIGURES, HERE, STAGES, flow_tables
from theory import Estimate, read_table
from theory.common.estimate import geometric_mean
from theory.common.files import write_whole
from theory.common.terminal import Terminal

#: Within this part the prediction is said to agree.
CLOSE = 0.2
_KNOWN = 1.5  # an interval within this factor of 1 is narrow enough to say so
_SHOWN = (8192, 16384, 32768)


def ratios() -> pd.DataFrame:
    """Flow over prediction of the same seed: geometric means, 95 % over seeds, for every loss, d, alpha, q and P."""
    flow = flow_tables()
    predicted = pd.concat([read_table(path) for path in sorted(DATA.glob("prediction*.csv")) if _is_curve(path)])
    keys = ["task", "variant", "train_size", "seed", "stage"]
    both = flow.merge(predicted[[*keys, *_MEASURED]], on=keys, suffixes=("", "_predicted"))
    rows = []
    for (loss, dim, alpha, size, stage), part in both.groupby(["loss", "dim", "alpha", "train_size", "stage"]):
        row = {"loss": loss, "dim": dim, "alpha": alpha, "train_size": size, "stage": stage, "seeds": len(part)}
        for name, factor in (("relative_stability", size), ("compression", size**-0.5)):
            mine, theirs = part[name], part[f"{name}_predicted"]
            ratio = geometric_mean((mine / theirs).to_numpy())
            flows = geometric_mean(factor * mine.to_numpy())
            row |= {f"{name}_ratio": ratio.value, f"{name}_low": ratio.low, f"{name}_high": ratio.high}
            row |= {f"{name}_flow": flows.value, f"{name}_flow_low": flows.low, f"{name}_flow_high": flows.high}
            row |= {f"{name}_predicted": geometric_mean(factor * theirs.to_numpy()).value}
        row |= {"test_error": part["test_error"].mean(), "test_error_predicted": part["test_error_predicted"].mean()}
        rows.append(row)
    found = pd.DataFrame(rows)
    found["order"] = found["stage"].map(STAGES.index)
    keys = ["loss", "dim", "alpha", "train_size", "order"]
    return found.sort_values(keys, ascending=[False, *[True] * 4]).drop(columns="order").reset_index(drop=True)


_MEASURED = ("relative_stability", "compression", "test_error")


def _is_curve(path: Path) -> bool:
    return path.name != "prediction_convergence.csv"


def _estimate(row: pd.Series, name: str) -> Estimate:
    """The ratio of `name`, or the flow's own value for a name that ends in _flow, with its interval."""
    value = row[name if name.endswith("_flow") else f"{name}_ratio"]
    return Estimate(value, row[f"{name}_low"], row[f"{name}_high"], int(row["seeds"]))


def _short(estimate: Estimate) -> str:
    return repr(estimate).split(" (n=")[0]


def readme_rows(found: pd.DataFrame) -> list[str]:
    """The README's table: d = 30, alpha = 1e-6, at P = 8192 and 32768 (softplus hinge) or the largest (hinge)."""
    usual = found[(found["dim"] == 30) & (found["alpha"] == 1e-6)]
    lines = []
    for loss, part in usual.groupby("loss", sort=False):
        chosen = (8192, 32768) if loss == "softhinge" else (8192, 16384)
        for _, row in part[part["train_size"].isin(chosen)].iterrows():
            cells = (
                {"softhinge": "softplus hinge"}.get(str(loss), str(loss)), str(row["train_size"]), row["stage"][2:],
                f"{row['relative_stability_predicted']:.3g}", _short(_estimate(row, "relative_stability_flow")),
                _short(_estimate(row, "relative_stability")), _short(_estimate(row, "compression")),
                f"{row['test_error']:.3g} / {row['test_error_predicted']:.3g}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def curves() -> Figure:
    """R_f from P = 100 to 1e9: lines are the prediction, points the flow's geometric means with 95 % intervals."""
    predicted = read_table(DATA / "prediction.csv")
    flow = flow_tables()
    flow = flow[(flow["dim"] == 30) & (flow["alpha"] == 1e-6) & (flow["loss"] == "softhinge")]
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    ax = figure.add_subplot()
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(STAGES)))
    sizes = np.geomspace(100, 1e9, 200)
    for stage, colour in zip(STAGES, colours, strict=True):
        rows = predicted[predicted["stage"] == stage]
        # P R_f from the largest P, where R_f is far from its saturation at d / (d - 1).
        far = rows[rows["train_size"] == rows["train_size"].max()]
        prefactor = geometric_mean((far["train_size"].to_numpy(float) * far["relative_stability"]).to_numpy()).value
        ratio = 29 / 30 * prefactor / sizes
        ax.plot(sizes, 30 / 29 * ratio / (1 + ratio), color=colour, linewidth=1)
        points = [(size, geometric_mean(part["relative_stability"].to_numpy()))
                  for size, part in flow[flow["stage"] == stage].groupby("train_size")]  # fmt: skip
        values = np.array([e.value for _, e in points])
        bars = np.abs(np.array([[e.low, e.high] for _, e in points]).T - values)
        ax.errorbar([s for s, _ in points], values, bars, color=colour, marker="o", markersize=3, linewidth=0,
                    elinewidth=1, capsize=2, label=f"q = {stage[2:]}: $P R_f$ = {prefactor:.3g}")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="training points P", ylabel="relative stability $R_f$")
    ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)
    ax.legend(fontsize="small", title="lines: predicted, nothing fitted; points: flow", title_fontsize="small")
    ax.set_title(
        f"stripe, d = 30, h = 1000, alpha = 1e-6, softplus hinge; {flow['seed'].nunique()} seeds", fontsize="medium"
    )
    return figure


def verdict(row: pd.Series) -> str:
    """agrees, differs or undecided.

    It agrees where the ratio is within 20 % of 1, and its 95 % interval within a factor of 1.5; it differs where the
    interval lies wholly beyond 20 %.
    """
    low, high = row["relative_stability_low"], row["relative_stability_high"]
    if low > 1 + CLOSE or high < 1 / (1 + CLOSE):
        return "differs"
    near = 1 / (1 + CLOSE) <= row["relative_stability_ratio"] <= 1 + CLOSE
    return "agrees" if near and low > 1 / _KNOWN and high < _KNOWN else "undecided"


def phases(found: pd.DataFrame) -> Figure:
    """One panel for each (loss, d, alpha): P to the right, q upwards; colour: ln flow / prediction."""
    groups = list(found.groupby(["loss", "dim", "alpha"], sort=False))
    columns = 4
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.4 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    norm = mpl.colors.Normalize(-1.5, 1.5)
    markers = {"agrees": "o", "undecided": "s", "differs": "X"}
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    for ax, ((loss, dim, alpha), part) in zip(axes.flat, groups, strict=False):
        for _, row in part.iterrows():
            ax.scatter(
                row["train_size"], STAGES.index(row["stage"]), c=np.log(row["relative_stability_ratio"]), norm=norm,
                cmap="coolwarm", marker=markers[verdict(row)], s=52, edgecolors="#333333", linewidths=0.6,
            )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xlim(90, 46000)
        ax.set_xticks([128, 1024, 8192], ["128", "1024", "8192"])
        ax.set_yticks(range(len(STAGES)), [stage[2:] for stage in STAGES])
        ax.set_ylim(len(STAGES) - 0.5, -0.5)
        name = {"softhinge": "softplus hinge"}.get(str(loss), str(loss))
        ax.set_title(f"{name}, d = {dim}, alpha = {alpha:g}\n{part['seeds'].max()} seeds", fontsize="small")
        ax.set_xlabel("training points P", fontsize="small")
    for ax in axes[:, 0]:
        ax.set_ylabel("unfit fraction q")
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, "coolwarm"), ax=axes, shrink=0.7)
    bar.set_label("ln (flow / prediction) of $R_f$")
    words = {"agrees": "within 20 %", "undecided": "undecided", "differs": "beyond, by more than the error"}
    figure.legend(
        handles=[Line2D([], [], marker=markers[k], linestyle="", markerfacecolor="#dddddd", markeredgecolor="#333333",
                        label=word) for k, word in words.items()],
        loc="outside upper center", ncols=3, fontsize="small",
    )  # fmt: skip
    return figure


def main() -> None:
    found = ratios()
    target = DATA / "exponents" / "prediction_ratio.csv"
    text = found.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.prediction\n" + text))
    terminal = Terminal()
    for (loss, dim, alpha), part in found.groupby(["loss", "dim", "alpha"], sort=False):
        shown = part[part["train_size"] >= min(_SHOWN[0], part["train_size"].max())]
        terminal.table(
            f"{loss}, d = {dim}, alpha = {alpha:g}: flow / prediction, {part['seeds'].min()} seeds or more, 95 %",
            ["P", "q", "P R_f predicted", "flow", "ratio", "Lambda: ratio", "test error: flow", "predicted"],
            [
                [
                    str(row["train_size"]), row["stage"][2:], f"{row['relative_stability_predicted']:.3g}",
                    _short(_estimate(row, "relative_stability_flow")), _short(_estimate(row, "relative_stability")),
                    _short(_estimate(row, "compression")), f"{row['test_error']:.3g}",
                    f"{row['test_error_predicted']:.3g}",
                ]
                for _, row in shown.iterrows()
            ],
        )  # fmt: skip
        terminal.line()
    counts = found.apply(verdict, axis=1).value_counts().to_dict()
    terminal.line(f"of {len(found)} settings: {counts}")
    for name, figure in (("prediction-and-flow", curves()), ("prediction-phase", phases(found))):
        path = FIGURES / f"{name}.png"
        write_whole(path, lambda aside, figure=figure: figure.savefig(aside, dpi=150, metadata={"Software": None}))
        terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
