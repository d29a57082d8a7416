"""What the full scale would take, from counted operations."""

from __future__ import annotations

import pandas as pd

from paper.numbers.formats import plain
from paper.numbers.image_table import DATA

#: A rate that a graphics card is taken to sustain in single precision on nets of this size; an assumption.
SUSTAINED = 1e13


def numbers() -> dict[str, str]:
    table = pd.read_csv(DATA / "full_scale.csv", comment="#")
    found = {"scale.rate": plain(SUSTAINED / 1e12)}
    for name, rows in table.groupby("experiment"):
        hours = float(rows["flop"].sum()) / SUSTAINED / 3600
        found[f"scale.{name}.runs"] = str(rows["runs"].sum())
        found[f"scale.{name}.flop"] = plain(float(rows["flop"].sum()) / 1e18)
        found[f"scale.{name}.hours"] = f"{hours:.2g}" if hours < 100 else f"{round(hours, -1):.0f}"
    return found
