"""The prediction of each seed's own points held against its flow: ratios, scatter, a table and a picture.

`python -m paper.scripts.sample_predictions` reads `paper/data/samples_*.csv` (predictions; each file's first line is
its command) and the flows of the same seeds, `paper/data/stripe_*.csv`, `cylinder_*.csv` and `flow_*.csv`. It writes
`paper/data/exponents/sample_ratio.csv` and `paper/figures/sample-phase.png`.
"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper.scripts.stripe_flow import DATA, FIGURES, HERE, STAGES
from theory import read_table
from theory.common.files import write_whole
from theory.common.terminal import Terminal

_KEYS = ["task", "architecture", "variant", "train_size", "seed", "stage"]


def ratios() -> pd.DataFrame:
    """Mean and spread over seeds of ln (flow / prediction) of R_f, for each task, variant, P and q.

    `scatter` is the standard deviation over seeds, `error` of the mean, `flow_scatter` that of ln R_f of the flows
    alone; `mean_ratio` and `mean_scatter` are those of the prediction of the mean over samples, where it was made.
    """
    own = _tables("samples_*.csv")
    own["variant"] = own["variant"].str.replace(r",? ?from the sample$", "", regex=True)
    flow = pd.concat([_tables(pattern) for pattern in ("stripe_*.csv", "cylinder_*.csv", "flow_*.csv")])
    flow = flow[flow["source"] == "theory"]
    mean = _tables("prediction*.csv")
    both = own.merge(flow[[*_KEYS, "relative_stability", "test_error"]], on=_KEYS, suffixes=("", "_flow"))
    both = both.merge(mean[[*_KEYS, "relative_stability"]], on=_KEYS, how="left", suffixes=("", "_mean"))
    rows = []
    for (task, variant, size, stage), part in both.groupby(["task", "variant", "train_size", "stage"]):
        logs = np.log(part["relative_stability_flow"] / part["relative_stability"])
        shipped = np.log(part["relative_stability_flow"] / part["relative_stability_mean"])
        rows.append({
            "task": task, "variant": variant or "alpha=1e-06", "train_size": size, "stage": stage, "seeds": len(part),
            "ratio": math.exp(logs.mean()), "error": logs.std() / math.sqrt(len(part)), "scatter": logs.std(),
            "flow_scatter": np.log(part["relative_stability_flow"]).std(),
            "mean_ratio": math.exp(shipped.mean()), "mean_scatter": shipped.std(),
            "mean_error": shipped.std() / math.sqrt(len(part)),
            "test_error": part["test_error"].mean(), "test_error_flow": part["test_error_flow"].mean(),
        })  # fmt: skip
    found = pd.DataFrame(rows)
    found["order"] = found["stage"].map(STAGES.index)
    keys = ["task", "variant", "train_size", "order"]
    return found.sort_values(keys).drop(columns="order").reset_index(drop=True)


def _tables(pattern: str) -> pd.DataFrame:
    """All curve tables of these names, at noise of small norm."""
    paths = [path for path in sorted(DATA.glob(pattern)) if path.name != "prediction_convergence.csv"]
    table = pd.concat([read_table(path) for path in paths], ignore_index=True) if paths else pd.DataFrame(columns=_KEYS)
    return table[table["displacement"].isna()] if "displacement" in table else table


def readme_rows(found: pd.DataFrame) -> list[str]:
    """The table of `theory/prediction/README.md`: for each task, alpha and P the ratio with its error and the scatter,
    of the prediction from the sample and of the mean one, and the test errors, a column for each q."""
    lines = []
    for (task, variant, size), part in found.groupby(["task", "variant", "train_size"], sort=False):
        of_stage = part.set_index("stage")
        stages = [of_stage.loc[stage] for stage in STAGES]
        lines.append(_line(f"{task}, {variant}", size, "the sample", [
            f"{one['ratio']:.3f} ± {one['error'] * one['ratio']:.3f} ({one['scatter']:.2f})" for one in stages
        ]))  # fmt: skip
        if part["mean_ratio"].notna().all():
            lines.append(_line("", "", "the mean", [
                f"{one['mean_ratio']:.2f} ± {one['mean_error'] * one['mean_ratio']:.2f} ({one['mean_scatter']:.2f})"
                for one in stages
            ]))  # fmt: skip
        errors = [f"{one['test_error_flow']:.3g} / {one['test_error']:.3g}" for one in stages]
        lines.append(_line("", "", "test error", errors))
    return lines


def _line(task: str, size: object, of: str, cells: list[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in (task, str(size), of, *cells))


def phases(found: pd.DataFrame) -> Figure:
    """One panel for each task and alpha: P to the right, q upwards; colour and number: flow / prediction."""
    groups = list(found.groupby(["task", "variant"], sort=False))
    widths = [max(part["train_size"].nunique(), 2) for _, part in groups]
    figure = Figure(figsize=(0.6 * sum(widths) + 0.8, 3.0), layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=widths)[0]
    norm = mpl.colors.Normalize(-1, 1)
    for ax, ((task, variant), part) in zip(axes, groups, strict=True):
        sizes = sorted(part["train_size"].unique())
        for _, row in part.iterrows():
            x, y = sizes.index(row["train_size"]), STAGES.index(row["stage"])
            ax.scatter(x, y, c=[np.log(row["ratio"])], norm=norm, cmap="coolwarm", marker="s", s=700)
            ax.text(x, y, f"{row['ratio']:.2f}", ha="center", va="center", fontsize="x-small")
        ax.set_xticks(range(len(sizes)), [str(size) for size in sizes], fontsize="small")
        ax.set_xlim(-0.6, len(sizes) - 0.4)
        ax.set_yticks(range(len(STAGES)), [stage[2:] for stage in STAGES])
        ax.set_ylim(len(STAGES) - 0.5, -0.5)
        ax.set_title(f"{task}\n{variant}\n{part['seeds'].max()} seeds", fontsize="small")
        ax.set_xlabel("training points P", fontsize="small")
    axes[0].set_ylabel("unfit fraction q")
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, "coolwarm"), ax=axes, shrink=0.8)
    bar.set_label("ln (flow / prediction from the sample)", fontsize="small")
    return figure


def main() -> None:
    found = ratios()
    target = DATA / "exponents" / "sample_ratio.csv"
    text = found.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_whole(target, lambda aside: aside.write_text("# python -m paper.scripts.sample_predictions\n" + text))
    terminal = Terminal()
    # As the table has them, so that a last digit does not depend on what was rounded away.
    for line in readme_rows(pd.read_csv(target, comment="#")):
        terminal.line(line)
    path = FIGURES / "sample-phase.png"
    write_whole(path, lambda aside: phases(found).savefig(aside, dpi=150, metadata={"Software": None}))
    terminal.line(f"wrote {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
