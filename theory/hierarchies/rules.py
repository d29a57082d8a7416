"""The grammar of a hierarchy: which tuples stand for which symbol of the level above, and where they may stand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

import numpy as np

__all__ = ["EMPTY", "Level", "Placement", "draw_level", "placement_table"]

#: A position that says nothing.
EMPTY = -1

Placement = Literal["A", "B"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The rules of one level: `tuples`[a, i] is the i-th of the m tuples that stand for symbol a of the level above.

    Attributes
    ----------
    tuples : shape (symbols above, m, s), numbers below v; no tuple occurs twice
    meaning : shape (v^s,), the symbol that a tuple, read as a number of base v, stands for; -1 if none
    """

    tuples: np.ndarray
    meaning: np.ndarray
    vocabulary: int

    def parse(self, symbols: np.ndarray) -> np.ndarray:
        """The symbols that tuples, the last axis of `symbols`, stand for; `EMPTY` where they are no rule."""
        return self.meaning[_number(symbols, self.vocabulary)]


def _number(symbols: np.ndarray, vocabulary: int) -> np.ndarray:
    """Tuples, the last axis, as numbers of base v, the first symbol being the leading digit."""
    number = np.zeros(symbols.shape[:-1], dtype=np.int64)
    for child in range(symbols.shape[-1]):
        number = number * vocabulary + symbols[..., child]
    return number


def draw_level(above: int, synonyms: int, branching: int, vocabulary: int, rng: np.random.Generator) -> Level:
    """m tuples for each of the symbols above, drawn without replacement from all v^s: the rules are disjoint."""
    chosen = rng.choice(vocabulary**branching, size=above * synonyms, replace=False)
    meaning = np.full(vocabulary**branching, EMPTY)
    meaning[chosen] = np.repeat(np.arange(above), synonyms)
    digits = vocabulary ** np.arange(branching - 1, -1, -1)
    tuples = (chosen[:, None] // digits % vocabulary).reshape(above, synonyms, branching)
    return Level(tuples, meaning, vocabulary)


def placement_table(placement: Placement, branching: int, sparsity: int) -> np.ndarray:
    """Where the s children may stand among the s (s0 + 1) positions of a patch, in order; shape (placements, s).

    A: child j in the j-th sub-patch of s0 + 1 positions, (s0 + 1)^s placements. B: any s positions, C(s (s0 + 1), s).
    """
    if placement == "A":
        steps = list(product(range(sparsity + 1), repeat=branching))
        return np.array(steps) + (sparsity + 1) * np.arange(branching)
    return np.array(list(combinations(range(branching * (sparsity + 1)), branching)))
