"""What a run is: frozen, validated, hashable configurations; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from theory.common.choices import require_choices
from theory.common.errors import MAXIMUM_SEED, InputError, require_integer, require_real
from theory.model.losses import Loss
from theory.runs.run_config import Config, config_hash, config_to_dict

__all__ = ["DIGITS_SIZE", "Config", "ImageConfig", "StripeConfig", "config_hash", "config_to_dict", "image_side"]


#: Side to which the commands enlarge the 8 x 8 digits, on which a displacement of one pixel folds.
DIGITS_SIZE = 16


#: Of fields that runs in stores were made without: at their defaults they are left out of the hash.
_LATER = {"later": True}
Average = Literal["mean", "median", "coordinate-median"]


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
    an epoch is a step or two. The test set chooses nothing.
    """

    kind: ClassVar[str] = "image"

    dataset: str = "digits"
    """fashion-mnist, mnist, cifar10, svhn, digits or images:FOLDER."""
    architecture: str = "lenet"
    """fully-connected, fc2, fc4, fc6, lenet, resnet-small, vgg-small, vgg-small-bn, airbench, alexnet, vgg11 ...
    vgg19-bn, resnet18, resnet34, resnet50, efficientnet-b0, mobilenet-v2, densenet121, vit-small, convnext-small, or
    one's own, package.module:function."""
    train_size: int = 1024
    """P, number of training images."""
    seed: int = 0
    """Draws the training set, the initial net and the batches."""
    image_size: int | None = None
    """Resize the images to this side; by default only the digits, to 16, and these by commands and files alone."""
    epochs: int = 250
    """Passes over the training set, or more: see min-steps."""
    min_steps: int = 1000
    """Least number of steps, for small P."""
    batch_size: int = 128
    """Images in a step, at most."""
    optimizer: Literal["auto", "sgd", "adam", "muon"] = "auto"
    """auto is Adam for nets without convolutions, SGD for all others; muon, in the fast recipe, is airbench's."""
    learning_rate: float | None = None
    """At the start; a cosine takes it to zero. By default 0.1 for SGD with batch norm, 0.01 without, 0.001 for Adam. In
    the fast recipe its peak, see `empirical.training.recipe`."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float | None = None
    """Not on biases and norms; by default 5e-4 for SGD, 0 for Adam."""
    augmentation: Literal["auto", "none", "crop-flip", "noise", "diffeo"] = "auto"
    """auto crops and flips cifar10 alone; diffeo deforms as the measurement does, noise has the norm of that."""
    weights: Literal["last", "best"] = "last"
    """Those of the last epoch, or of the best: of least error on a held-out part of the P points, not trained on."""
    held_out: float = 0.1
    """That part, if weights are the best."""
    records: int = 0
    """Measure at so many log-spaced epochs besides."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of the products in training; auto times a few steps of each and takes the faster."""
    cutoff: int = 3
    """c of the diffeomorphisms."""
    displacement: float = 1.0
    """delta of the diffeomorphisms in pixels."""
    average: Average = "mean"
    """Over the probe images."""
    probe_size: int = 500
    """Test images that R_f is measured on."""
    probe_seed: int = 0
    """Draws the diffeomorphisms and the noise, the same for all nets and stages."""
    recipe: Literal["paper", "fast"] = field(default="paper", metadata=_LATER)
    """paper is arXiv 2105.02468's; fast, for nets with convolutions, is made for some ten epochs."""

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
        require_choices(self)
        self._check_the_recipe()

    def _check_the_recipe(self) -> None:
        if self.recipe == "paper":
            if self.optimizer == "muon":
                raise InputError("optimizer", self.optimizer, "is of the fast recipe alone: set recipe to fast")
            return
        if self.optimizer == "adam":
            raise InputError("optimizer", self.optimizer, "must be auto, sgd or muon in the fast recipe")
        trained = self.train_size - (math.ceil(self.held_out * self.train_size) if self.weights == "best" else 0)
        if self.batch_size > trained:
            allowed = f"must be at most {trained} in the fast recipe, the number of images trained on"
            raise InputError("batch_size", self.batch_size, allowed)

    @property
    def variant(self) -> str:
        """What tells the run's curve from that of the usual training."""
        words = ["fast recipe"] if self.recipe == "fast" else []
        if self.augmentation in ("noise", "diffeo"):
            words.append(f"trained on {self.augmentation}")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class StripeConfig:
    """A fully connected net trained on the stripe by gradient descent, SGD or Adam, then measured.

    Its parameterisation, loss and initial law are the theory's (`theory.FlowConfig`), those of more than one of the
    `hidden_layers` `empirical.StripeNet`'s; the training is plain torch.

    `weight_change` makes those steps of "sgd" shorter that would change a layer's weights by more than this part of
    their norm (`StripeNet.largest_step`), so that the descent stays near the flow while weights grow. "adam" moves each
    parameter by about `learning_rate`, and those of inner matrices by 1 / sqrt(h) of it.
    """

    kind: ClassVar[str] = "stripe"

    dim: int = 30
    """d, dimension of the points."""
    train_size: int = 1024
    """P, number of training points."""
    seed: int = 0
    """Draws the points, the initial net and the batches."""
    width: int = 1000
    """h, neurons of each hidden layer."""
    scale: float = 1e-6
    """alpha; towards 0 the net learns features, towards infinity it is lazy."""
    loss: Loss = "softhinge"
    """l(y F); softhinge is a softplus of sharpness 20."""
    time_step: float = 0.1
    """Step of sgd in the flow's time; the learning rate is h times this."""
    batch_size: int | None = None
    """Points in a step; by default all of them."""
    unfit_fractions: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3)
    """q, falling: the net is measured when this fraction of points has yet to reach the margin, y F = 1."""
    max_steps: int = 100_000
    """Steps after which it is given up, with a warning."""
    noise_norm: float = 0.1
    """Norm of the noise that R_f is measured with."""
    probe_size: int = 10_000
    """Points that R_f is measured on."""
    average: Average = "mean"
    """Over the probe points."""
    hidden_layers: int = field(default=1, metadata=_LATER)
    """1, 2 or 3."""
    optimizer: Literal["sgd", "adam"] = field(default="sgd", metadata=_LATER)
    """sgd is plain descent."""
    learning_rate: float | None = field(default=None, metadata=_LATER)
    """Of adam alone, constant; by default 0.001."""
    weight_change: float | None = field(default=None, metadata=_LATER)
    """Largest part of a layer's weights that an sgd step may change, 0.03 say; by default there is no bound."""
    check_steps: int | None = field(default=None, metadata=_LATER)
    """Look at the unfit fraction after so many steps on batches, not only after an epoch."""

    def __post_init__(self) -> None:
        _store_integers(self, dim=2, train_size=1, seed=0, width=1, max_steps=1, probe_size=2)
        if self.batch_size is not None:
            _store(self, "batch_size", require_integer("batch_size", self.batch_size, 1, self.train_size))
        for name in ("scale", "time_step", "noise_norm"):
            _store(self, name, require_real(name, getattr(self, name), above=0))
        if self.scale > 100:
            raise InputError("scale", self.scale, "must be at most 100: in float32, f - f_0 rounds off beyond")
        require_choices(self)
        if self.average != "mean" and self.probe_size > 2000:
            allowed = "compares all pairs of probes: take mean, or a probe_size of at most 2000"
            raise InputError("average", self.average, allowed)
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
