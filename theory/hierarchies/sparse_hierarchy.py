"""The Sparse Random Hierarchy Model: labels that neither synonyms nor the places of informative symbols change."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from theory.common.errors import MAXIMUM_SEED, InputError, require_choice, require_integer
from theory.hierarchies.distinct import draw_distinct
from theory.hierarchies.rules import EMPTY, Level, Placement, draw_level, placement_table

__all__ = ["Derivations", "SparseHierarchy"]

#: Numbers of one input, v k^L, and of tuples, v^s, at most: beyond these no net here is trained.
_LARGEST = 2**24
#: Least number of data left to test on.
_LEAST_TEST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Derivations:
    """Data by how they came about: the class, then at each informative node which rule and which placement.

    Attributes
    ----------
    labels : shape (N,), 0 ... n_c - 1
    rules, placements : one array for each level from the class down, shapes (N, s^0), (N, s^1), ..., (N, s^(L-1)).
    """

    labels: np.ndarray
    rules: tuple[np.ndarray, ...]
    placements: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | np.ndarray) -> Derivations:
        return Derivations(
            self.labels[which], tuple(of[which] for of in self.rules), tuple(of[which] for of in self.placements)
        )


@dataclass(frozen=True, slots=True)
class SparseHierarchy:
    r"""A tree of random rules: a class is told by s symbols, each of these by s others, L times, with empty places.

    At every level each symbol has m synonymous tuples of s symbols; no tuple stands for two symbols. The s symbols
    stand among s0 empty places each, in a patch of k = s (s0 + 1), and an empty place stands for a wholly empty patch.
    The input has k^L positions and v channels. The number of data is

    .. math:: n_c \, (m p)^{(s^L - 1) / (s - 1)}, \qquad p_A = (s_0 + 1)^s, \qquad p_B = \binom{k}{s}

    with p placements at a node. s0 = 0 is the Random Hierarchy Model (arXiv 2307.02129).

    Parameters
    ----------
    vocabulary : v, number of symbols
    classes : n_c; v if None
    synonyms : m; v^(s - 1), all there are, if None
    branching : s, informative children of a node
    sparsity : s0, empty places for each informative one
    levels : L
    placement : A, each child in a sub-patch of its own; B, anywhere in the patch, in order
    rule_seed : draws the rules

    Raises
    ------
    InputError
        If a number is too small, m n_c > v^s or (with several levels) m v > v^s, or the input would be too large.

    Source: Tomasini and Wyart, arXiv 2404.10727.
    """

    vocabulary: int = 6
    classes: int | None = None
    synonyms: int | None = None
    branching: int = 2
    sparsity: int = 1
    levels: int = 2
    placement: Placement = "A"
    rule_seed: int = 0
    _rules: tuple[Level, ...] = field(init=False, repr=False, compare=False)
    _places: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name, minimum in (("vocabulary", 2), ("branching", 1), ("sparsity", 0), ("levels", 1)):
            keep(name, require_integer(name, getattr(self, name), minimum))
        v, s = self.vocabulary, self.branching
        if v**s > _LARGEST:
            raise InputError("branching", s, f"makes v^s = {v}^{s} tuples; must be at most {_LARGEST}")
        keep("classes", require_integer("classes", v if self.classes is None else self.classes, 2))
        keep("synonyms", require_integer("synonyms", v ** (s - 1) if self.synonyms is None else self.synonyms, 1))
        n, m = self._counts
        if m * n > v**s:
            raise InputError("classes", n, f"times m = {m} synonyms must be at most v^s = {v**s}, the tuples there are")
        if self.levels > 1 and m * v > v**s:
            raise InputError("synonyms", m, f"must be at most v^(s-1) = {v ** (s - 1)}: v symbols share v^s tuples")
        require_choice("placement", self.placement, ("A", "B"))
        keep("rule_seed", require_integer("rule_seed", self.rule_seed, 0, MAXIMUM_SEED))
        if self.levels * math.log(self.patch) + math.log(v) > math.log(_LARGEST):
            raise InputError("levels", self.levels, f"makes inputs of {v} x {self.patch}^L; at most {_LARGEST} numbers")
        rng = np.random.default_rng(self.rule_seed)
        above = [n] + [v] * (self.levels - 1)
        keep("_rules", tuple(draw_level(symbols, m, s, v, rng) for symbols in above))
        keep("_places", placement_table(self.placement, s, self.sparsity))

    @property
    def _counts(self) -> tuple[int, int]:
        """n_c and m, which are numbers once the hierarchy is made."""
        assert self.classes is not None
        assert self.synonyms is not None
        return self.classes, self.synonyms

    @property
    def name(self) -> str:
        """The task's name in curve tables: srhm-v6-s0=1, and what else is not the usual."""
        usual = SparseHierarchy(self.vocabulary, branching=self.branching)
        parts = [f"srhm-v{self.vocabulary}-s0={self.sparsity}"]
        usually = {"n": ("classes", usual.classes), "m": ("synonyms", usual.synonyms), "s": ("branching", 2)}
        for word, (name, default) in (usually | {"L": ("levels", 2)}).items():
            if getattr(self, name) != default:
                parts.append(f"{word}{getattr(self, name)}")
        if self.placement != "A":
            parts.append(self.placement)
        return "-".join(parts)

    @property
    def patch(self) -> int:
        """k = s (s0 + 1), positions under one node."""
        return self.branching * (self.sparsity + 1)

    @property
    def positions(self) -> int:
        """d = k^L, positions of an input."""
        return self.patch**self.levels

    @property
    def rules(self) -> tuple[Level, ...]:
        """The rules of each level, from the class down."""
        return self._rules

    @property
    def sample_scale(self) -> int:
        """n_c m^L, the number of training data that the rules alone ask for (arXiv 2307.02129)."""
        n, m = self._counts
        return n * m**self.levels

    @property
    def _nodes(self) -> int:
        """(s^L - 1) / (s - 1) nodes at which rules are chosen."""
        return sum(self.branching**depth for depth in range(self.levels))

    @property
    def data_count(self) -> int:
        """How many data there are."""
        n, m = self._counts
        return n * (m * len(self._places)) ** self._nodes

    def sample(self, count: int, rng: np.random.Generator) -> Derivations:
        """`count` different data, uniformly; of one generator state a smaller sample is the beginning of a larger one.

        Raises
        ------
        InputError
            If there are not so many.
        """
        require_integer("count", count, 1, self.data_count)
        radices = np.repeat([self.classes, self.synonyms, len(self._places)], [1, self._nodes, self._nodes])
        choices = draw_distinct(radices, count, rng)
        ends = np.cumsum([1] + [self.branching**depth for depth in range(self.levels)] * 2)[:-1]
        labels, *rest = np.split(choices, ends, axis=1)
        return Derivations(labels[:, 0], tuple(rest[: self.levels]), tuple(rest[self.levels :]))

    def require_train_size(self, train_size: int) -> None:
        """InputError unless so many data can be trained on and some are left to test on."""
        most = self.data_count - _LEAST_TEST
        if train_size > most:
            allowed = f"must be at most {most}: {self.name} has {self.data_count} data, and some are tested on"
            raise InputError("train_size", train_size, allowed)

    def split(self, train_size: int, test_size: int, rng: np.random.Generator) -> tuple[Derivations, Derivations]:
        """Training and test data, no datum in both or twice; as many to test on as are left, up to `test_size`.

        Raises
        ------
        InputError
            If P leaves fewer than two to test on.
        """
        self.require_train_size(train_size)
        require_integer("test_size", test_size, _LEAST_TEST)
        drawn = self.sample(train_size + min(test_size, self.data_count - train_size), rng)
        return drawn[:train_size], drawn[train_size:]

    def leaves(self, data: Derivations) -> np.ndarray:
        """The symbols at all positions, `EMPTY` = -1 where there is none; shape (N, d)."""
        symbols = data.labels[:, None]
        position = np.zeros_like(symbols)
        for level, rules, placements in zip(self._rules, data.rules, data.placements, strict=True):
            symbols = level.tuples[symbols, rules].reshape(len(data), -1)
            position = (position[..., None] * self.patch + self._places[placements]).reshape(len(data), -1)
        found = np.full((len(data), self.positions), EMPTY)
        np.put_along_axis(found, position, symbols, axis=1)
        return found

    def label(self, leaves: np.ndarray) -> np.ndarray:
        """The classes of data, from their symbols at all positions alone; shape (N,).

        Raises
        ------
        InputError
            If the symbols are no datum of this hierarchy.
        """
        symbols = np.asarray(leaves)
        if symbols.ndim != 2 or symbols.shape[1] != self.positions:
            raise InputError("leaves", symbols.shape, f"must have the shape (data, {self.positions})")
        for level in reversed(self._rules):
            patches = symbols.reshape(len(symbols), -1, self.patch)
            full = patches != EMPTY
            # The informative positions first, in their order.
            first = np.argsort(~full, axis=2, kind="stable")[..., : self.branching]
            children = np.take_along_axis(patches, first, axis=2)
            symbols = np.where(full.any(2), level.parse(np.maximum(children, 0)), EMPTY)
            counts = full.sum(2)
            if np.any((counts > 0) & ((counts != self.branching) | (symbols == EMPTY))):
                raise InputError("leaves", "symbols that no rule gives", f"must be a datum of {self.name}")
        if np.any(symbols == EMPTY):
            raise InputError("leaves", "all positions empty", f"must be a datum of {self.name}")
        return symbols[:, 0]

    def inputs(self, data: Derivations) -> np.ndarray:
        r"""What nets are shown: one channel a symbol; shape (N, d, v), float32.

        .. math:: x (1 + c) - c, \qquad c = (v - 1)^{-1/2}

        x is one-hot, and 0 in all channels of an empty position.
        """
        return self.encode(self.leaves(data))

    def encode(self, leaves: np.ndarray) -> np.ndarray:
        """`inputs` from the symbols at all positions."""
        offset = (self.vocabulary - 1) ** -0.5
        table = np.full((self.vocabulary + 1, self.vocabulary), -offset, dtype=np.float32)
        table[np.arange(self.vocabulary), np.arange(self.vocabulary)] = 1
        return table[leaves]  # EMPTY = -1 is the last row

    def exchange_synonyms(self, data: Derivations, level: int, rng: np.random.Generator) -> Derivations:
        """P_l: the rules of level l (1: those that give the leaves) drawn anew, all else kept."""
        depth = self._depth(level)
        fresh = rng.integers(0, self._counts[1], size=data.rules[depth].shape)
        return replace(data, rules=(*data.rules[:depth], fresh, *data.rules[depth + 1 :]))

    def move(self, data: Derivations, level: int, rng: np.random.Generator) -> Derivations:
        """T_l: the placements of level l (1: those of the leaves) drawn anew, all else kept."""
        depth = self._depth(level)
        fresh = rng.integers(0, len(self._places), size=data.placements[depth].shape)
        return replace(data, placements=(*data.placements[:depth], fresh, *data.placements[depth + 1 :]))

    def _depth(self, level: int) -> int:
        """The place, from the class down, of a level counted from the leaves."""
        return self.levels - require_integer("level", level, 1, self.levels)
