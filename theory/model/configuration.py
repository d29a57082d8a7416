"""The settings of one gradient flow, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from theory.common.choices import require_choices
from theory.common.errors import InputError, require_integer, require_real
from theory.model.losses import Loss

__all__ = ["SINGLE_PRECISION_SCALE", "Dtype", "FlowConfig", "Integrator", "model_variant"]

Dtype = Literal["float32", "float64"]
#: ``auto`` is exponential where the pull A(z) is continuous, sliding for the hinge, whose curvature is a delta.
Integrator = Literal["auto", "euler", "exponential", "sliding"]
#: alpha above which float32 cannot tell f from f_0: their difference is of order 1 / alpha.
SINGLE_PRECISION_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """The net, the loss and the integrator of one trajectory.

    alpha -> 0 is the feature regime, alpha -> infinity the lazy one, which an infinite scale is, with the width
    infinite, too (`theory.flow.lazy`; no backend, width, skip, integrator nor weight_change there). Parameters and
    kernels have the precision `dtype`; observables are always float64.

    Losses turn over a range 1 / 20 in F, so that Euler steps of 0.1 overshoot there and can throw a trajectory off for
    good: R_f at P = 256 ... 1024 then differs by factors. At an `output_change` of 0.02, halving moves R_f by far less
    than one seed from the next. A trajectory amplifies rounding: `skip` changes R_f by up to 1 % in float32 (d = 30,
    h = 100, P = 512, two seeds), and in float64 by nothing to five digits.

    Raises
    ------
    InputError
        With the setting's name, if it is not allowed.
    """

    width: int = 1000
    """h, number of neurons."""
    scale: float = 1e-6
    """alpha; towards 0 the net learns features, towards infinity it is lazy; inf is that limit, at infinite width."""
    loss: Loss = "softhinge"
    """l(y F); softhinge is a softplus of sharpness 20."""
    dtype: Dtype = "float32"
    """Precision of the parameters and kernels."""
    integrator: Integrator = "auto"
    """Steps of the flow; auto is sliding for the hinge, exponential else."""
    weight_change: float = 0.03
    """Largest relative change of the parameters in a step."""
    output_change: float = 0.02
    """Largest change of F at any training point in a step."""
    skip: bool = True
    """Points that provably cannot matter are left out, unless told not to; only the rounding of records differs."""
    unfit_fractions: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3, 0.1)
    """q, falling: the state is recorded when this fraction of points has yet to reach the margin, y F = 1."""
    max_steps: int = 100_000
    """Steps after which it is given up, with a warning."""
    test_size: int = 10_000
    """Fresh points on which R_f and the test error are measured."""
    noise_norms: tuple[float, ...] = ()
    """Norms of noise at which R_f is measured besides the limit of small noise."""

    def __post_init__(self) -> None:
        for name in ("width", "max_steps", "test_size"):
            object.__setattr__(self, name, require_integer(name, getattr(self, name), 1))
        limit = isinstance(self.scale, (float, np.floating)) and self.scale == math.inf
        object.__setattr__(self, "scale", math.inf if limit else require_real("scale", self.scale, above=0))
        require_choices(self)
        if self.dtype == "float32" and SINGLE_PRECISION_SCALE < self.scale < math.inf:
            allowed = f"must be float64 for a scale above {SINGLE_PRECISION_SCALE:g}: f - f_0 rounds off"
            raise InputError("dtype", self.dtype, allowed)
        if self.integrator == "sliding" and self.loss != "hinge":
            raise InputError("integrator", "sliding", f"is for the hinge; {self.loss} takes euler or exponential")
        for name in ("weight_change", "output_change"):
            object.__setattr__(self, name, require_real(name, getattr(self, name), above=0, maximum=1))
        if not isinstance(self.skip, bool):
            raise InputError("skip", self.skip, "must be True or False")
        fractions = tuple(require_real("unfit_fractions", q, minimum=0, maximum=1) for q in self.unfit_fractions)
        if not fractions or list(fractions) != sorted(set(fractions), reverse=True):
            raise InputError("unfit_fractions", fractions, "must fall, and be at least one")
        object.__setattr__(self, "unfit_fractions", fractions)
        norms = tuple(require_real("noise_norms", norm, above=0) for norm in self.noise_norms)
        if len(set(norms)) < len(norms):
            raise InputError("noise_norms", norms, "must differ")
        object.__setattr__(self, "noise_norms", norms)

    @property
    def architecture(self) -> str:
        """The net's name in curve tables: one-hidden-h1000, or one-hidden-hinf in the lazy limit."""
        return f"one-hidden-h{'inf' if self.lazy else self.width}"

    @property
    def lazy(self) -> bool:
        """Whether this is the limit alpha, h -> infinity."""
        return math.isinf(self.scale)

    def summary(self) -> dict[str, Any]:
        """All settings, JSON-ready; an infinite scale is the string "inf"."""
        settings = {item.name: getattr(self, item.name) for item in fields(self)}
        lists = {name: list(value) for name, value in settings.items() if isinstance(value, tuple)}
        return {**settings, **lists, "scale": "inf" if self.lazy else self.scale}

    @property
    def variant(self) -> str:
        """See `model_variant`."""
        return model_variant(self.loss, self.scale)


def model_variant(loss: str, scale: float) -> str:
    """What tells a model's curve from the usual one's, for tables: "hinge, alpha=0.01", say, or nothing."""
    usual = {item.name: item.default for item in fields(FlowConfig)}
    words = [] if loss == usual["loss"] else [loss]
    if scale != usual["scale"]:
        words.append(f"alpha={scale:g}")
    return ", ".join(words)
