"""Numbers of the methods: folding, calibrations."""

from __future__ import annotations

from paper.figures.folding import folding_table
from paper.numbers.formats import names, percent, plain
from theory import MaxEntropyEnsemble

CUTOFFS = (2, 3, 5, 15)


def numbers() -> dict[str, str]:
    table = folding_table().set_index(["place", "cutoff"])
    found = {"folding.samples": str(int(table["samples"].iloc[0])), "folding.size": str(int(table["size"].iloc[0]))}
    for row_name, key in (("T_max", "T_max"), ("one pixel", "pixel")):
        for cutoff in table.loc[row_name].index:
            row = table.loc[(row_name, cutoff)]
            ends = (row[f"folded_fraction{end}"] for end in ("", "_low", "_high"))
            found[f"folding.{key}.c={cutoff}"] = percent(*ends)
    size = int(table["size"].iloc[0])
    ratios = []
    for cutoff in CUTOFFS:
        ensemble = MaxEntropyEnsemble(size, cutoff, 1.0)
        ratios.append(plain(ensemble.rms_displacement / ensemble.paper_displacement))
    found["calibration.ratios"] = names(ratios)
    found["calibration.cutoffs"] = names([str(cutoff) for cutoff in CUTOFFS])
    return found
