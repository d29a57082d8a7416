"""Numbers as the manuscript prints them."""

from __future__ import annotations

from collections.abc import Sequence

from compare.curves.numbers import format_estimate
from theory import Estimate

#: A minus sign, so that lines do not break behind a hyphen.
MINUS = "\u2212"


def signed(text: str) -> str:
    """Hyphens before digits as minus signs."""
    return "".join(MINUS if c == "-" and text[i + 1 : i + 2].isdigit() else c for i, c in enumerate(text))


def short(estimate: Estimate) -> str:
    """``1.02 ± 0.03``, for tables whose caption says n."""
    return signed(format_estimate(estimate)).replace(" ± ", "\u00a0±\u00a0")


def full(estimate: Estimate) -> str:
    """``1.02 ± 0.03 (n = 12)``."""
    return f"{short(estimate)} (n\u00a0=\u00a0{estimate.n})"


def percent(value: float, low: float | None = None, high: float | None = None) -> str:
    """``54 % [51, 57]``; without an interval ``54 %``."""
    body = f"{100 * value:.3g}\u00a0%"
    return body if low is None or high is None else f"{body} [{100 * low:.3g}, {100 * high:.3g}]"


def plain(value: float) -> str:
    """Three digits."""
    return signed(f"{value:.3g}")


def span(values: Sequence[float]) -> str:
    """``0.3 to 1.2``: the least and the greatest."""
    return f"{plain(min(values))} to {plain(max(values))}"


def names(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
