"""What `relstab measure` prints and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empirical.stability.layers import LayerStability
from empirical.stability.measure import Stability
from theory.common.files import write_whole
from theory.common.terminal import Terminal

__all__ = ["equivariance_summary", "law_error", "print_layers", "print_stability", "write_layers"]

#: eps ~ 0.2 sqrt(R_f), CIFAR10 at one pixel (arXiv 2105.02468, figure 4).
_LAW = 0.2


def law_error(data: str, stability: Stability) -> float | None:
    """The test error of the paper's law, which is one for CIFAR10 at a displacement of one pixel; None elsewhere."""
    if data.partition("@")[0] != "cifar10" or not math.isclose(stability.displacement, 1):
        return None
    return _LAW * math.sqrt(stability.relative.value)


def print_stability(terminal: Terminal, title: str, data: str, results: Sequence[Stability]) -> None:
    """R_f, D_f and G_f at every setting, and what the law says where there is one."""
    laws = [law_error(data, one) for one in results]
    lawful = any(law is not None for law in laws)
    columns = ["c", "delta", "R_f", "D_f", "G_f", "folded"] + [f"{_LAW} sqrt(R_f)"] * lawful
    rows = []
    for one, law in zip(results, laws, strict=True):
        numbers = [estimate.short for estimate in (one.relative, one.diffeo, one.noise)]
        row = [str(one.cutoff), f"{one.displacement:.3g}", *numbers, f"{one.folded_fraction:.1%}"]
        rows.append(row + ["" if law is None else f"{law:.3g}"] * lawful)
    terminal.table(title, columns, rows)
    if lawful:
        terminal.line(f"{_LAW} sqrt(R_f) is the test error that the paper's law for CIFAR10 at one pixel would give")


def print_layers(terminal: Terminal, title: str, found: Sequence[LayerStability]) -> None:
    """R_k, D_k and G_k in the order of the forward pass."""
    follows = any(one.equivariance is not None for one in found)
    rows = []
    for one in found:
        numbers = [one.stability.relative, one.stability.diffeo, one.stability.noise]
        row = [one.name, one.kind, *(estimate.short for estimate in numbers)]
        more = (one.equivariance, one.equivariance_over_noise)
        rows.append(row + ["" if estimate is None else estimate.short for estimate in more] * follows)
    terminal.line()
    terminal.table(title, ["layer", "kind", "R_k", "D_k", "G_k"] + ["E_k", "E_k / G_k"] * follows, rows)
    if follows:
        terminal.line("E_k: how far layer k is from following the deformation, where it has pixels")


def equivariance_summary(one: LayerStability) -> dict[str, Any]:
    """JSON-ready numbers, where there are some."""
    named = {"equivariance": one.equivariance, "equivariance_over_noise": one.equivariance_over_noise}
    return {name: estimate.summary() for name, estimate in named.items() if estimate is not None}


def write_layers(found: Sequence[LayerStability], path: Path, model: str, data: str) -> None:
    """One row a layer, in the order of the forward pass, under a line that says what it is."""
    rows = [
        {"place": rank, "layer": one.name, "kind": one.kind, **one.stability.row(), **_equivariance_columns(one)}
        for rank, one in enumerate(found, 1)
    ]
    import pandas as pd

    title = f"# layers of {model} on {data}: relstab measure --layers\n"
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    write_whole(path, lambda aside: aside.write_text(title + text))


def _equivariance_columns(one: LayerStability) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name, estimate in (
        ("equivariance", one.equivariance), ("equivariance_over_noise", one.equivariance_over_noise)
    ):  # fmt: skip
        if estimate is not None:
            columns |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return columns
