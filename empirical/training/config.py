"""What a run is: frozen, validated, hashable configurations; no torch."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol

from theory.common.errors import MAXIMUM_SEED, InputError, require_choice, require_integer, require_real

__all__ = ["DIGITS_SIZE", "Config", "ImageConfig", "StripeConfig", "config_hash", "config_to_dict", "image_side"]


class Config(Protocol):
    """What every run's configuration is: a frozen dataclass that names its kind, P and a seed."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def train_size(self) -> int:
        """P."""

    @property
    def seed(self) -> int:
        """Draws all that is random in the run."""

    def __hash__(self) -> int: ...


#: Side to which the commands enlarge the 8 x 8 digits, on which a displacement of one pixel folds.
DIGITS_SIZE = 16


#: Of fields that runs in stores were made without: at their defaults they are left out of the hash.
_LATER = {"later": True}
_AVERAGES = ("mean", "median", "coordinate-median")
_IMAGE_CHOICES = {
    "optimizer": ("auto", "sgd", "adam"),
    "augmentation": ("auto", "none", "crop-flip", "noise", "diffeo"),
    "weights": ("last", "best"),
    "precision": ("float32", "bfloat16"),
    "average": _AVERAGES,
}


def image_side(dataset: str, given: int | None) -> int | None:
    """The side that the commands resize images to: as given, or `DIGITS_SIZE` for the digits."""
    return DIGITS_SIZE if dataset == "digits" and given is None else given


def _store(config: object, name: str, value: object) -> None:
    """Keep the converted value: equal configurations must have equal hashes, 1 and 1.0 alike."""
    object.__setattr__(config, name, value)


def _store_integers(config: object, **minima: int) -> None:
    for name, minimum in minima.items():
        maximum = MAXIMUM_SEED if name.endswith("seed") else None
        _store(config, name, require_integer(name, getattr(config, name), minimum, maximum))


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """One net trained on images, then measured; `empirical.training.recipe` says what the defaults come to for a net.

    The net is trained for `epochs` passes over the training set, or for `min_steps` steps if that is more: at small P
    an epoch is a step or two. `learning_rate` and `weight_decay` None take what is usual with the optimizer. With
    `records` > 0 the net is also measured at so many log-spaced epochs. `weights` "best" keeps the epoch of least error
    on a part, `held_out`, of the P training points, which is then not trained on; the test set chooses nothing.
    `precision` is that of the training's products.
    """

    kind: ClassVar[str] = "image"

    dataset: str = "digits"
    architecture: str = "lenet"
    train_size: int = 1024
    seed: int = 0
    image_size: int | None = None
    epochs: int = 250
    min_steps: int = 1000
    batch_size: int = 128
    optimizer: Literal["auto", "sgd", "adam"] = "auto"
    learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    augmentation: Literal["auto", "none", "crop-flip", "noise", "diffeo"] = "auto"
    weights: Literal["last", "best"] = "last"
    held_out: float = 0.1
    records: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    cutoff: int = 3
    displacement: float = 1.0
    average: Literal["mean", "median", "coordinate-median"] = "mean"
    probe_size: int = 500
    probe_seed: int = 0

    def __post_init__(self) -> None:
        _store_integers(
            self, train_size=1, seed=0, epochs=1, min_steps=0, batch_size=1, records=0, cutoff=2, probe_size=2,
            probe_seed=0,
        )  # fmt: skip
        if self.image_size is not None:
            _store_integers(self, image_size=8)
        if self.learning_rate is not None:
            _store(self, "learning_rate", require_real("learning_rate", self.learning_rate, above=0))
        if self.weight_decay is not None:
            _store(self, "weight_decay", require_real("weight_decay", self.weight_decay, minimum=0))
        _store(self, "momentum", require_real("momentum", self.momentum, minimum=0, maximum=1))
        _store(self, "held_out", require_real("held_out", self.held_out, above=0, maximum=0.5))
        if self.weights == "best" and self.train_size < 2:
            raise InputError("train_size", self.train_size, "must be at least 2 for a part of it to be held out")
        _store(self, "displacement", require_real("displacement", self.displacement, above=0))
        for name, choices in _IMAGE_CHOICES.items():
            require_choice(name, getattr(self, name), choices)

    @property
    def variant(self) -> str:
        """What tells the run's curve from that of the usual training."""
        return f"trained on {self.augmentation}" if self.augmentation in ("noise", "diffeo") else ""


@dataclass(frozen=True, slots=True)
class StripeConfig:
    """A fully connected net trained on the stripe by gradient descent, SGD or Adam, then measured.

    Its parameterisation, loss and initial law are the theory's (`theory.FlowConfig`), those of more than one of the
    `hidden_layers` `empirical.StripeNet`'s; the training is plain torch. `batch_size` None is full-batch descent.

    The steps of "sgd" are `time_step` long in the flow's time units: the learning rate is h times this.
    `weight_change` makes those shorter that would change a layer's weights by more than this part of their norm
    (`StripeNet.largest_step`), so that the descent stays near the flow while weights grow. "adam" moves each parameter
    by about `learning_rate`, 0.001 if None, and those of inner matrices by 1 / sqrt(h) of it.

    With batches the unfit fraction is looked at after every epoch, and at least every `check_steps` steps.
    """

    kind: ClassVar[str] = "stripe"

    dim: int = 30
    train_size: int = 1024
    seed: int = 0
    width: int = 1000
    scale: float = 1e-6
    loss: Literal["hinge", "softhinge", "squaredhinge"] = "softhinge"
    time_step: float = 0.1
    batch_size: int | None = None
    unfit_fractions: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3)
    max_steps: int = 100_000
    noise_norm: float = 0.1
    probe_size: int = 10_000
    average: Literal["mean", "median", "coordinate-median"] = "mean"
    hidden_layers: int = field(default=1, metadata=_LATER)
    optimizer: Literal["sgd", "adam"] = field(default="sgd", metadata=_LATER)
    learning_rate: float | None = field(default=None, metadata=_LATER)
    weight_change: float | None = field(default=None, metadata=_LATER)
    check_steps: int | None = field(default=None, metadata=_LATER)

    def __post_init__(self) -> None:
        _store_integers(self, dim=2, train_size=1, seed=0, width=1, max_steps=1, probe_size=2)
        if self.batch_size is not None:
            _store(self, "batch_size", require_integer("batch_size", self.batch_size, 1, self.train_size))
        for name in ("scale", "time_step", "noise_norm"):
            _store(self, name, require_real(name, getattr(self, name), above=0))
        if self.scale > 100:
            raise InputError("scale", self.scale, "must be at most 100: in float32, f - f_0 rounds off beyond")
        if self.average != "mean" and self.probe_size > 2000:
            allowed = "compares all pairs of probes: take mean, or a probe_size of at most 2000"
            raise InputError("average", self.average, allowed)
        require_choice("loss", self.loss, ("hinge", "softhinge", "squaredhinge"))
        require_choice("average", self.average, _AVERAGES)
        fractions = tuple(require_real("unfit_fractions", fraction) for fraction in self.unfit_fractions)
        for fraction in fractions:
            if not 0 <= fraction < 1:
                raise InputError("unfit_fractions", fraction, "must be at least 0 and below 1: at 1, F is still 0")
        if not fractions or list(fractions) != sorted(set(fractions), reverse=True):
            raise InputError("unfit_fractions", fractions, "must be falling and not empty")
        _store(self, "unfit_fractions", fractions)
        self._check_the_steps()

    @property
    def step_length(self) -> tuple[str, float]:
        """The setting that says how long the optimizer's steps are, and what it comes to."""
        if self.optimizer == "sgd":
            return "time_step", self.time_step
        return "learning_rate", 1e-3 if self.learning_rate is None else self.learning_rate

    def _check_the_steps(self) -> None:
        """What says how the net is trained, and that all of it is read."""
        _store(self, "hidden_layers", require_integer("hidden_layers", self.hidden_layers, 1, 3))
        require_choice("optimizer", self.optimizer, ("sgd", "adam"))
        if self.learning_rate is not None:
            _store(self, "learning_rate", require_real("learning_rate", self.learning_rate, above=0))
            if self.optimizer != "adam":
                raise InputError("learning_rate", self.learning_rate, "is adam's; that of sgd is h times time_step")
        if self.weight_change is not None:
            _store(self, "weight_change", require_real("weight_change", self.weight_change, above=0, maximum=1))
        if self.check_steps is not None:
            _store_integers(self, check_steps=1)
            if self.batch_size is None:
                raise InputError("check_steps", self.check_steps, "is read with a batch_size only")
        if self.optimizer == "adam":
            for item in fields(self):
                value = getattr(self, item.name)
                if item.name in ("time_step", "weight_change") and value != item.default:
                    raise InputError(item.name, value, "is not read by adam, whose steps are learning_rate long")


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as JSON-ready values, its kind included; an infinite one is the string "inf"."""
    values = {name: "inf" if value == math.inf else value for name, value in asdict(config).items()}
    return {"kind": config.kind, **json.loads(json.dumps(values, allow_nan=False))}


def config_hash(config: Config) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the configuration's canonical JSON.

    A field that came later is in it only where it differs from its default, so that runs made before keep their names.
    """
    values = config_to_dict(config)
    for item in fields(config):
        if item.metadata.get("later") and getattr(config, item.name) == item.default:
            del values[item.name]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
