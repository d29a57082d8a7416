"""Figure: what layers do to a deformation, where their outputs move (D_k) and where they do not even follow it (E_k).

    python -m paper.figures.equivariance

trains vgg-small on scikit-learn's digits, half a minute, measures its layers before and after, and writes
paper/figures/equivariance.png and the numbers beside it, paper/data/equivariance.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from compare.report.figures import save
from empirical import ImageConfig, build, draw_probes, load_data, measure_layers, train
from paper.figures.plots import PAGE, new_figure
from theory.common.files import write_whole

FILE = Path(__file__).with_name("equivariance.png")
TABLE = Path(__file__).parents[1] / "data" / "equivariance.csv"
CONFIG = ImageConfig(
    dataset="digits", image_size=32, architecture="vgg-small", train_size=1297, epochs=20, min_steps=400
)  # fmt: skip
CUTOFF, DISPLACEMENT, IMAGES = 3, 1.0, 500


def numbers() -> pd.DataFrame:
    """One row a layer and stage: D_k, G_k and E_k of the spatial layers, with intervals."""
    run = train(CONFIG)
    data = load_data(CONFIG.dataset, image_size=CONFIG.image_size)
    probes = draw_probes(data.test_images[:IMAGES].float() / 255, cutoff=CUTOFF, displacement=DISPLACEMENT, rng=0)
    start = build(CONFIG.architecture, data.channels, data.size, len(data.classes), CONFIG.seed)
    rows = []
    for stage, model in (("initial", start), ("trained", run.model)):
        assert model is not None
        for rank, one in enumerate(measure_layers(model, probes, equivariance=True), 1):
            if one.equivariance is None:
                continue
            row = {"stage": stage, "place": rank, "kind": one.kind, "n": IMAGES}
            for name, estimate in (
                ("D", one.stability.diffeo), ("G", one.stability.noise), ("E", one.equivariance),
                ("E_over_G", one.equivariance_over_noise),
            ):  # fmt: skip
                assert estimate is not None
                row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            rows.append(row)
    return pd.DataFrame(rows)


def equivariance(table: pd.DataFrame) -> Figure:
    """D_k and E_k along the layers, before and after training; pooling is marked."""
    figure = new_figure(PAGE, 2.6)
    for ax, stage in zip(figure.subplots(1, 2, sharey=True), ("initial", "trained"), strict=True):
        rows = table[table["stage"] == stage]
        for name, colour, words in (("D", "C0", "$D_k$"), ("E", "C1", "$E_k$")):
            error = [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]]
            ax.errorbar(rows["place"], rows[name], yerr=error, color=colour, marker="o", markersize=3, label=words)
        for rank in rows[rows["kind"].str.contains("Pool")]["place"]:
            ax.axvline(rank, color="0.8", zorder=0)
        ax.set_yscale("log")
        ax.set_title(f"{stage}; grey: pooling", fontsize=8)
        ax.set_xticks(range(1, rows["place"].max() + 1, 2))
        ax.set_xlabel("layer")
        ax.legend()
    return figure


if __name__ == "__main__":
    torch.set_num_threads(1)
    table = numbers()
    title = "# layers of vgg-small on digits, 1 seed, 500 images: python -m paper.figures.equivariance\n"
    text = title + table.to_csv(index=False, float_format="%.4g")
    write_whole(TABLE, lambda aside: aside.write_text(text))
    print(save(equivariance(table), FILE))
