"""Numbers as people read them, lines of a terminal, and values as JSON holds them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar

from theory.common.estimate import Estimate

__all__ = [
    "SYMBOLS",
    "WIDTH",
    "Summarised",
    "format_estimate",
    "format_interval",
    "format_number",
    "json_ready",
    "listing",
    "skipped_lines",
    "wrapped",
]

#: The symbol of a column, as the papers write it.
SYMBOLS = {
    "train_size": "P",
    "relative_stability": "R_f",
    "diffeo_stability": "D_f",
    "noise_stability": "G_f",
    "synonym_stability": "S_f",
    "test_error": "eps_t",
    "train_error": "eps_train",
    "unfit_fraction": "q",
    "compression": "Lambda",
}
#: Columns of a terminal that every line fits into.
WIDTH = 79


def format_estimate(estimate: Estimate, sign: bool = False) -> str:
    """``-1.02 ± 0.03`` or ``1.05 [0.90, 1.30]``, without the sample size; `sign` writes a plus too."""
    error = estimate.error
    if not math.isfinite(error):
        text = f"{estimate.value:.3g}"
    elif error < 1e-4 * max(abs(estimate.value), 1e-3):
        # Noiseless data: Estimate would print as many digits as this error allows, a dozen or more.
        text = f"{estimate.value:.5g} ± {error:.1g}"
    elif abs(estimate.value) >= 1e5 or error >= 10 * max(abs(estimate.value), 1.0):
        text = f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"
    else:
        text = repr(estimate).removesuffix(f" (n={estimate.n})")
    return f"+{text}" if sign and estimate.value >= 0 else text


def format_interval(estimate: Estimate) -> str:
    """As `format_estimate`, and an interval that is open on a side as ``3.1 [2.4, inf]``."""
    if math.isnan(estimate.low) or math.isnan(estimate.high) or math.isfinite(estimate.error):
        return format_estimate(estimate)
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def format_number(value: float) -> str:
    """A number with three significant digits; whole numbers whole; nothing for NaN."""
    if not math.isfinite(value):
        return ""
    if value == round(value) and abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.3g}"


def listing(names: Sequence[str]) -> str:
    """``a, b, c and 4 more``: the first three of `names`, and how many there are beyond them."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def json_ready(value: object, *names: str) -> Any:
    """`value` as JSON holds it, or its attributes `names`: NaN and infinity as null, an estimate by its summary."""
    if names:
        return {name: json_ready(getattr(value, name)) for name in names}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (tuple, list)):
        return [json_ready(item) for item in value]
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    return value.summary() if hasattr(value, "summary") else str(value)


class Summarised:
    """Tells those of its attributes that `_told` names."""

    __slots__ = ()
    _told: ClassVar[tuple[str, ...]]

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: json_ready(getattr(self, name)) for name in self._told}


def skipped_lines(what: str, skipped: Sequence[tuple[object, str]]) -> list[str]:
    """Lines that say what was skipped, the series of one reason together: ``no law: a, b and 4 more: reason``."""
    by_reason: dict[str, list[str]] = {}
    for label, reason in skipped:
        by_reason.setdefault(reason, []).append(str(label))
    return [line for why, labels in by_reason.items() for line in wrapped(f"{what}: {listing(labels)}: {why}")]


def wrapped(line: str, indent: str = "    ") -> list[str]:
    """`line` broken into lines of at most `WIDTH` columns, not at a ±; the later ones are indented."""
    joined = line.replace(" ± ", "\u00a0±\u00a0")
    lines = textwrap.wrap(joined, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]
    return [part.replace("\u00a0±\u00a0", " ± ") for part in lines]
