"""Runs of nets on hierarchies and on scale detection: frozen, validated configurations; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from empirical.nets.rings import require_ring
from empirical.training.config import Average
from theory.common.choices import require_choices
from theory.common.errors import MAXIMUM_SEED, InputError, require_integer, require_real
from theory.hierarchies import ScaleDetection, SparseHierarchy, TwoPoints

__all__ = ["HierarchyConfig", "ScaleDetectionConfig"]

#: Of fields that runs in stores were made without: at their defaults they are left out of the hash.
_LATER = {"later": True}
#: Sparsity from which steps are shorter, as they are with three levels: at 0.1 the loss stays above 1 in many runs.
_SPARSE = 4


def _store_integers(config: object, **minima: int) -> None:
    for name, minimum in minima.items():
        maximum = MAXIMUM_SEED if name.endswith("seed") else None
        object.__setattr__(config, name, require_integer(name, getattr(config, name), minimum, maximum))


def _store_reals(config: object, **above: float | None) -> None:
    """Positive numbers, or with None such as may be 0."""
    for name, limit in above.items():
        value = getattr(config, name)
        bound = {"minimum": 0.0} if limit is None else {"above": limit}
        object.__setattr__(config, name, require_real(name, value, **bound))


@dataclass(frozen=True, slots=True)
class HierarchyConfig:
    """One net of L layers trained on a Sparse Random Hierarchy (`theory.SparseHierarchy`), then measured.

    Cross-entropy, SGD with momentum; `learning_rate` is in units of the width h: a step is h times as long
    (`HierarchyNet`). None is 0.1, and 0.03 from s0 = 4 or L = 3. `batch_size` None is
    max(4 n_c, min(128, P / 50)). Training ends when the mean loss of an epoch is at most `stop_loss`, or after `epochs`
    epochs: then the run warns that it did not converge. `stop_loss` 0 trains for all epochs. `schedule` linear takes
    the step to zero over these.

    `augmentation` changes the training inputs anew in every epoch, labels kept: noise of the norm of a move of the
    leaves; the placements of all levels; the synonyms of the leaves. The test data stay as they are.

    `level` is that, from the leaves, whose placements and synonyms are drawn anew in the measurement. The seed draws
    the rules, the training set, the initial net and the batches.

    Raises
    ------
    InputError
        See `SparseHierarchy`; and if P leaves no data to test on, or nothing can be moved (s0 = 0 with m = 1).
    """

    kind: ClassVar[str] = "srhm"

    vocabulary: int = 6
    """v, number of symbols."""
    classes: int | None = None
    """n_c; v by default."""
    synonyms: int | None = None
    """m, tuples that stand for one symbol; v^(s - 1), all there are, by default."""
    branching: int = 2
    """s, informative children of a node."""
    sparsity: int = 1
    """s0, empty places for each informative one; 0 is the Random Hierarchy Model."""
    levels: int = 2
    """L, of the hierarchy and of hidden layers."""
    placement: Literal["A", "B"] = "A"
    """A, each child in a sub-patch of its own; B, anywhere in its patch, in order."""
    architecture: Literal["cnn", "lcn", "fcn"] = "cnn"
    """Convolutional, locally connected or fully connected."""
    train_size: int = 1024
    """P, number of training data."""
    seed: int = 0
    """Draws the rules, the training set, the initial net and the batches."""
    width: int = 256
    """h, channels or units of each layer."""
    learning_rate: float | None = None
    """Over h, constant but for the schedule; by default 0.1, and 0.03 from s0 = 4 or L = 3."""
    momentum: float = 0.9
    """Of SGD."""
    batch_size: int | None = None
    """Data in a step, at most; by default max(4 n_c, min(128, P / 50))."""
    epochs: int = 300
    """Passes over the training set, at most."""
    stop_loss: float = 0.01
    """Training ends when the mean loss of an epoch is as low; 0 trains for all epochs."""
    schedule: Literal["constant", "linear"] = "constant"
    """Of the step: constant, or linear to zero over all epochs."""
    augmentation: Literal["none", "noise", "placements", "synonyms"] = "none"
    """What is drawn anew for the training inputs in every epoch."""
    test_size: int = 4000
    """Test data, or as many as are left."""
    level: int = 1
    """From the leaves: that whose placements and synonyms the measurement draws anew."""
    average: Average = "mean"
    """Over the probes, of the output's stabilities; those of layers are means."""
    probe_size: int = 500
    """Test data that the stabilities are measured on."""
    probe_seed: int = 0
    """Draws the moves, the noise and the resamples."""
    resamples: int = 200
    """Of the bootstrap over probes; 0 gives no intervals."""

    def __post_init__(self) -> None:
        require_choices(self)
        _store_integers(
            self, train_size=1, seed=0, width=1, epochs=1, test_size=2, probe_size=2, probe_seed=0, resamples=0
        )
        task = self.problem
        task.require_train_size(self.train_size)
        object.__setattr__(self, "level", require_integer("level", self.level, 1, task.levels))
        if self.learning_rate is not None:
            _store_reals(self, learning_rate=0.0)
        if self.batch_size is not None:
            _store_integers(self, batch_size=1)
        _store_reals(self, stop_loss=None)
        object.__setattr__(self, "momentum", require_real("momentum", self.momentum, minimum=0, maximum=1))
        if task.sparsity == 0 and task.synonyms == 1:
            raise InputError("synonyms", 1, "with sparsity 0 leaves nothing that a net could become stable to")
        if task.sparsity == 0 and self.augmentation in ("noise", "placements"):
            raise InputError("augmentation", self.augmentation, "takes its moves from empty places: sparsity is 0")

    @property
    def problem(self) -> SparseHierarchy:
        """The hierarchy, whose rules the seed draws."""
        return SparseHierarchy(
            self.vocabulary, self.classes, self.synonyms, self.branching, self.sparsity, self.levels, self.placement,
            self.seed,
        )  # fmt: skip

    @property
    def step(self) -> float:
        """The learning rate over h: as given, or what is usual for the net and the task."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 0.03 if self.sparsity >= _SPARSE or self.levels > 2 else 0.1

    @property
    def batch(self) -> int:
        """Data in a step, at most: as given, or what is usual at this P."""
        if self.batch_size is not None:
            return self.batch_size
        classes = self.vocabulary if self.classes is None else self.classes
        return max(4 * classes, min(128, self.train_size // 50))

    @property
    def net_name(self) -> str:
        """The net's name in curve tables."""
        return f"{self.architecture}-h{self.width}"

    @property
    def variant(self) -> str:
        """What tells the run's curve from the usual one."""
        words = [] if self.augmentation == "none" else [f"trained on {self.augmentation}"]
        return ", ".join(words + ([] if self.level == 1 else [f"level {self.level}"]))


@dataclass(frozen=True, slots=True)
class ScaleDetectionConfig:
    r"""A convolutional net of L layers on a ring trained to detect a scale (`theory.ScaleDetection`), then measured.

    Hinge loss :math:`\langle \mathrm{relu}(1 - y f) \rangle`, plain SGD; `learning_rate` is in units of the width h, as
    in `HierarchyConfig`. Training ends when the mean loss of an epoch is at most `stop_loss`; after `epochs` epochs the
    run warns. `layers` None is as many as leave one position at the end (of 128 pixels: 7), or 5 without a stride.

    `noise` "gaussian" has the norm of a diffeomorphism, as with images; "rectified" is the paper's relu of such noise.

    Raises
    ------
    InputError
        See `ScaleDetection`, `TwoPoints` and `ScaleCNN`; and if P leaves no data to test on.
    """

    kind: ClassVar[str] = "scale-detection"

    task: Literal["distance", "block", "two-points"] = "block"
    """Whether two pixels are nearer than xi, or in one block of xi; two-points is distance on a square, 32 x 32 say."""
    size: int = 128
    """d, pixels of the line, or of a side of the square: there a power of 2."""
    scale: int = 32
    """xi."""
    gap: int = 0
    """g: distances within g of xi are left out."""
    train_size: int = 1024
    """P, number of training pairs."""
    seed: int = 0
    """Draws the training set, the initial net and the batches."""
    layers: int | None = None
    """L; by default as many as leave one position, or 5 without a stride."""
    filter_size: int = 2
    """F, pixels of a filter."""
    stride: int = 2
    """s, of every layer."""
    width: int = 128
    """h, channels of each layer."""
    learning_rate: float = 0.01
    """Over h."""
    batch_size: int = 8
    """Pairs in a step."""
    epochs: int = 500
    """Passes over the training set, at most."""
    stop_loss: float = 0.0
    """Training ends when the mean loss of an epoch is as low."""
    test_size: int = 1000
    """Test pairs, or as many as are left."""
    noise: Literal["gaussian", "rectified"] = "gaussian"
    """Of the norm of the moves, or the paper's relu of it."""
    average: Average = "mean"
    """Over the probes, of the output's stabilities; those of layers are means."""
    probe_size: int = 500
    """Test pairs that the stabilities are measured on."""
    probe_seed: int = 0
    """Draws the moves, the noise and the resamples."""
    resamples: int = 200
    """Of the bootstrap over probes; 0 gives no intervals."""
    channel_means: bool = field(default=False, metadata=_LATER)
    """Also rows of the layers' means over channels, pooled in space alone; their variant says so."""

    def __post_init__(self) -> None:
        require_choices(self)
        _store_integers(
            self, train_size=1, seed=0, filter_size=1, stride=1, width=1, batch_size=1, epochs=1, test_size=2,
            probe_size=2, probe_seed=0, resamples=0,
        )  # fmt: skip
        if self.layers is not None:
            _store_integers(self, layers=1)
        if self.task == "two-points":
            for name in ("filter_size", "stride"):
                if getattr(self, name) != 2:
                    raise InputError(name, getattr(self, name), "must be 2 for two-points: patches of 2 x 2")
            if self.size & (self.size - 1):
                raise InputError("size", self.size, "must be a power of 2 for two-points")
        self.problem.require_train_size(self.train_size)
        require_ring(self.positions, self.depth, *self.window)
        _store_reals(self, learning_rate=0.0, stop_loss=None)

    @property
    def problem(self) -> ScaleDetection | TwoPoints:
        """What is learnt."""
        if self.task == "two-points":
            return TwoPoints(self.size, self.scale, self.gap)
        return ScaleDetection(self.size, self.scale, self.gap, self.task)

    @property
    def positions(self) -> int:
        """Of the line that the net sees: d, or the d^2 pixels of a square, 2 x 2 patches together."""
        return self.size**self.problem.dimension

    @property
    def window(self) -> tuple[int, int]:
        """Filter and stride on that line."""
        return (4, 4) if self.task == "two-points" else (self.filter_size, self.stride)

    @property
    def depth(self) -> int:
        """Layers: as given, or as many as leave one position."""
        if self.layers is not None:
            return self.layers
        return 5 if self.stride == 1 else max(1, round(math.log(self.size, self.stride)))

    @property
    def net_name(self) -> str:
        """The net's name in curve tables."""
        filters = "" if (self.filter_size, self.stride) == (2, 2) else f"-f{self.filter_size}-s{self.stride}"
        return f"cnn{self.depth}-h{self.width}{filters}"

    @property
    def variant(self) -> str:
        """What tells the run's curve from the usual one."""
        return "" if self.noise == "gaussian" else f"{self.noise} noise"
