"""Architectures on images: R_f at initialisation and trained beside the test error, along training, layer by layer.

`make figures` runs it. It reads `paper/data/image_nets.csv` (its first line and `image_nets.toml` say how it was made)
and `paper/data/layers_*.csv`, and writes `paper/data/exponents/image_nets.csv` and, into `paper/figures`,
`image-nets.png`, `along-training.png` and `layers.png`.
"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from empirical.runs.experiments import read_experiments
from empirical.training.config import ImageConfig
from paper.scripts.stripe_flow import DATA, FIGURES, HERE
from theory import Estimate, read_table
from theory.common.files import write_whole
from theory.common.terminal import Terminal

TASKS = {"fashion-mnist": "FashionMNIST", "images:cifar10-jpeg": "CIFAR-10 (JPEG)"}
NETS = {
    "fc2": "fc2", "fc6": "fc6", "lenet": "LeNet", "resnet-small": "ResNet-8", "alexnet": "AlexNet",
    "vgg11-bn": "VGG11 bn", "mobilenet-v2": "MobileNetV2", "resnet18": "ResNet18",
}  # fmt: skip
_GROUP = ["task", "architecture", "train_size"]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, net and P: R_f at the start and trained, D_f, errors; geometric means over seeds.

    All nets see the same probes, so that what these add does not fall with the number of seeds: intervals are the
    geometric means of the single nets' ends, over 500 images and their probes.
    """
    rows = []
    for key, part in table.groupby(_GROUP, sort=False):
        row = dict(zip(_GROUP, key, strict=True))
        first, last = (part[part["stage"] == stage] for stage in ("initial", "trained"))
        row["seeds"] = len(last)
        for name, stage in (("initial", first), ("trained", last)):
            for end in ("", "_low", "_high"):
                row[f"{name}_relative_stability{end}"] = _geometric(stage[f"relative_stability{end}"])
        for name in ("diffeo_stability", "noise_stability"):
            row[name] = _geometric(last[name])
        row |= {name: last[name].mean() for name in ("test_error", "train_error")}
        rows.append(row)
    found = pd.DataFrame(rows)
    for name, known in (("architecture", NETS), ("task", TASKS)):
        found[name] = pd.Categorical(found[name], list(known))
    return found.sort_values(["task", "architecture", "train_size"], ignore_index=True)


def _geometric(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def correlations(found: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of the test error with R_f and D_f over architectures, at each P."""
    rows = []
    for (task, size), part in found.groupby(["task", "train_size"], observed=True):
        row = {"task": task, "train_size": size, "nets": len(part)}
        for name in ("trained_relative_stability", "diffeo_stability"):
            test = stats.spearmanr(part["test_error"], part[name])
            row |= {name: float(test.statistic), f"{name}_p": float(test.pvalue)}
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(row: pd.Series, stage: str) -> str:
    values = (row[f"{stage}_relative_stability{end}"] for end in ("", "_low", "_high"))
    return Estimate(*values).short  # type: ignore[arg-type]


def readme_rows(found: pd.DataFrame) -> list[str]:
    """The README's table."""
    lines = []
    for _, row in found.iterrows():
        cells = (
            TASKS[row["task"]], NETS[row["architecture"]], str(row["train_size"]), str(row["seeds"]),
            _interval(row, "initial"), _interval(row, "trained"), f"{row['diffeo_stability']:.3g}",
            f"{row['test_error']:.3f}", f"{row['train_error']:.3f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _colours(names: list[str]) -> dict[str, tuple[float, float, float, float]]:
    return dict(zip(names, mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(names))), strict=True))


def error_figure(found: pd.DataFrame) -> Figure:
    """Test error against R_f of trained nets; small crosses at R_f before training."""
    result = Figure(figsize=(7.6, 4.0), layout="constrained")
    axes = result.subplots(1, 2)
    colours = _colours(list(NETS))
    for ax, (task, title) in zip(axes, TASKS.items(), strict=True):
        for _, row in found[found["task"] == task].iterrows():
            name, large = row["architecture"], row["train_size"] == found["train_size"].max()
            value, low, high = (row[f"trained_relative_stability{end}"] for end in ("", "_low", "_high"))
            ax.errorbar(
                value, row["test_error"], xerr=[[value - low], [high - value]], marker="o", markersize=6, capsize=2,
                color=colours[name], markerfacecolor=colours[name] if large else "white", linewidth=1,
                label=NETS[name] if large and task == "fashion-mnist" else None,
            )  # fmt: skip
            if large:
                ax.plot(row["initial_relative_stability"], row["test_error"], "x", color=colours[name], markersize=4)
        line = np.array(ax.get_xlim() if ax.get_xlim()[0] > 0 else (0.1, 10))
        line = np.geomspace(max(line[0], 0.05), line[1], 50)
        ax.plot(line, 0.2 * np.sqrt(line), ":", color="#666666", linewidth=1)
        ax.set(xscale="log", yscale="log", title=title, xlabel="relative stability $R_f$")
        ticks = [0.1, 0.2, 0.3, 0.5, 0.8]
        ax.set_yticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)
    axes[0].set_ylabel("test error")
    result.legend(loc="outside right center", fontsize="x-small",
                  title="filled: P = 5000\nopen: P = 1000\ncrosses: before\ntraining, P = 5000\n"
                  "dotted: $0.2\\sqrt{R_f}$", title_fontsize="x-small")  # fmt: skip
    return result


def epochs_of(config: ImageConfig) -> int:
    """How many epochs the recipe comes to."""
    return max(config.epochs, math.ceil(config.min_steps / math.ceil(config.train_size / config.batch_size)))


def training_figure(table: pd.DataFrame, configs: list[ImageConfig]) -> Figure:
    """R_f and test error at log-spaced epochs, P = 5000, first seed; the value at the start stands at half an epoch."""
    result = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = result.subplots(2, 2, sharex=True, sharey="row")
    colours = _colours(list(NETS))
    size = table["train_size"].max()
    for column, (task, title) in zip(axes.T, TASKS.items(), strict=True):
        for config in configs:
            if (config.dataset, config.train_size, config.seed) != (task, size, 0) or not config.records:
                continue
            part = table[
                (table["task"] == task) & (table["architecture"] == config.architecture)
                & (table["train_size"] == size) & (table["seed"] == 0)
            ]  # fmt: skip
            last = str(epochs_of(config))
            epoch = part["stage"].replace({"initial": "0.5", "trained": last}).str.removeprefix("epoch=").astype(float)
            for ax, y in zip(column, ("relative_stability", "test_error"), strict=True):
                ax.plot(epoch, part[y], marker="o", markersize=3, linewidth=1, color=colours[config.architecture],
                        label=NETS[config.architecture])  # fmt: skip
        column[0].set_title(title, fontsize="medium")
        column[1].set_xlabel("epoch")
        for ax in column:
            ax.set(xscale="log", yscale="log")
            ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)
    axes[0, 0].set_ylabel("relative stability $R_f$")
    axes[1, 0].set_ylabel("test error")
    axes[0, 0].legend(fontsize="x-small")
    result.suptitle(f"along training, P = {size}, one seed, 500 test images", fontsize="medium")
    return result


def layers_figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """D_k, G_k and R_k of each layer, before and after training."""
    result = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = result.subplots(1, 3, sharex=True)
    names = ("diffeo_stability", "noise_stability", "relative_stability")
    for ax, name, label in zip(axes, names, ("$D_k$", "$G_k$", "$R_k$"), strict=True):
        for (stage, table), colour in zip(tables.items(), ("#888888", "#a02c2c"), strict=True):
            shown = table[table["kind"].isin(["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Linear"])]
            value, low, high = (shown[f"{name}{end}"] for end in ("", "_low", "_high"))
            ax.errorbar(shown["place"], value, [value - low, high - value], marker="o", markersize=3, linewidth=1,
                        capsize=2, color=colour, label=stage)  # fmt: skip
        ax.set(yscale="log", title=label, xlabel="layer")
        ax.grid(True, color="#888888", alpha=0.25, linewidth=0.6)
    axes[2].legend(fontsize="x-small")
    result.suptitle("VGG11 bn layer by layer, CIFAR-10 (JPEG), P = 50000, c = 3, one pixel; 95 % over 500 images",
                    fontsize="medium")  # fmt: skip
    return result


def layer_tables() -> dict[str, pd.DataFrame]:
    return {stage: pd.read_csv(DATA / f"layers_vgg11_bn_{stage}.csv", comment="#") for stage in ("initial", "trained")}


def main() -> None:
    terminal = Terminal()
    table = read_table(DATA / "image_nets.csv")
    found = summary(table)
    text = found.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    target = DATA / "exponents" / "image_nets.csv"
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.image_nets\n" + text))
    terminal.table(
        "R_f at the start and trained, geometric means over seeds, 95 % over 500 images and probes",
        ["data", "net", "P", "seeds", "R_f start", "R_f trained", "D_f", "test", "train"],
        [[cell.strip() for cell in row.strip("|").split("|")] for row in readme_rows(found)],
    )
    terminal.line()
    terminal.table(
        "rank correlation of the test error over nets",
        ["data", "P", "nets", "with R_f", "p", "with D_f", "p"],
        [[TASKS[row["task"]], str(row["train_size"]), str(row["nets"]),
          *(f"{row[name]:.2g}" for name in ("trained_relative_stability", "trained_relative_stability_p",
                                            "diffeo_stability", "diffeo_stability_p"))]
         for row in correlations(found).to_dict("records")],
    )  # fmt: skip
    configs = [c for e in read_experiments(DATA / "image_nets.toml") for c in e.configs() if isinstance(c, ImageConfig)]
    drawings = {
        "image-nets.png": error_figure(found),
        "along-training.png": training_figure(table, configs),
        "layers.png": layers_figure(layer_tables()),
    }
    for name, drawn in drawings.items():
        path = FIGURES / name
        write_whole(path, lambda aside, drawn=drawn: drawn.savefig(aside, dpi=150, metadata={"Software": None}))
        terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
