"""Numbers of nets trained on the stripe by SGD and Adam, of one to three layers, beside the flow."""

from __future__ import annotations

import pandas as pd
from figure_stripe import TRAINED_STAGE, flow_table, net_label, nets_table
from number_format import full, names, plain, short

from compare import fit_power_law, measured_over_theory
from theory import InputError


def numbers() -> dict[str, str]:
    table = nets_table()
    flow = flow_table()
    flow = flow[flow["stage"] == TRAINED_STAGE]
    found = {
        "nets.seeds": str(table["seed"].nunique()), "nets.smallest": str(table["train_size"].min()),
        "nets.largest": str(table["train_size"].max()), "nets.stage": TRAINED_STAGE.removeprefix("q="),
    }  # fmt: skip
    slopes, ratios = [], []
    for (architecture, variant), rows in table.groupby(["architecture", "variant"], sort=False):
        label = net_label(architecture, variant)
        slopes.append(f"{short(_exponent(rows))} ({label})")
        ratio = measured_over_theory(rows, flow) if "one-hidden" in str(architecture) else None
        if ratio is not None:
            ratios.append(f"{full(ratio.estimate)} for {label}")
    if not ratios:
        raise InputError("stripe_nets.csv", "one-hidden", "has no P in common with the flow; the text needs them")
    return found | {"nets.exponents": names(slopes), "nets.ratios": names(ratios), "nets.series": plain(len(slopes))}


def _exponent(rows: pd.DataFrame):
    return fit_power_law(rows).exponent
