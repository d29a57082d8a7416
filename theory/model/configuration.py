"""The settings of one gradient flow, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from theory.common.errors import InputError, require_choice, require_integer, require_real
from theory.model.losses import LOSSES

__all__ = ["INTEGRATORS", "SINGLE_PRECISION_SCALE", "FlowConfig", "model_variant"]

#: ``auto`` is exponential where the pull A(z) is continuous, euler for the hinge, whose curvature is a delta.
INTEGRATORS = ("auto", "euler", "exponential")
#: alpha above which float32 cannot tell f from f_0: their difference is of order 1 / alpha.
SINGLE_PRECISION_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """The net, the loss and the integrator of one trajectory.

    Attributes
    ----------
    width : h, number of neurons
    scale : alpha; alpha -> 0 is the feature regime, alpha -> infinity the lazy one, which `inf` is, with the width
        infinite, too (`theory.flow.lazy`; no backend, width, skip, integrator nor weight_change there)
    loss : hinge, softhinge (softplus of sharpness 20) or squaredhinge, see `theory.model.losses`
    dtype : float32 or float64, the precision of parameters and kernels; observables are always float64
    integrator : euler, exponential, or auto (euler for the hinge, exponential else), see `theory.flow.stepper`
    weight_change : largest relative change of the parameters' norm in a step
    output_change : largest change of F at any training point in a step, as far as the loss sees it. Losses turn
        over a range 1 / 20 in F, so Euler steps of 0.1 overshoot there and can throw a trajectory off for good:
        R_f at P = 256 ... 1024 then differs by factors. At 0.02, halving moves R_f by far less than one seed
        from the next
    skip : whether points that provably cannot matter are left out, see `theory.flow.skipping`; the same records
        to rounding, sooner
    unfit_fractions : falling fractions q of points with y F < 1 at which the state is recorded; the
        trajectory ends at the last of them
    max_steps : accepted steps after which the trajectory is given up, with a warning
    test_size : fresh points on which R_f and the test error are measured
    noise_norms : norms of noise at which R_f is measured besides the limit of small noise; none by default
    """

    width: int = 1000
    scale: float = 1e-6
    loss: str = "softhinge"
    dtype: str = "float32"
    integrator: str = "auto"
    weight_change: float = 0.03
    output_change: float = 0.02
    skip: bool = True
    unfit_fractions: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3, 0.1)
    max_steps: int = 100_000
    test_size: int = 10_000
    noise_norms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "max_steps", "test_size"):
            object.__setattr__(self, name, require_integer(name, getattr(self, name), 1))
        limit = isinstance(self.scale, (float, np.floating)) and self.scale == math.inf
        object.__setattr__(self, "scale", math.inf if limit else require_real("scale", self.scale, above=0))
        require_choice("loss", self.loss, LOSSES)
        require_choice("dtype", self.dtype, ("float32", "float64"))
        require_choice("integrator", self.integrator, INTEGRATORS)
        if self.dtype == "float32" and SINGLE_PRECISION_SCALE < self.scale < math.inf:
            allowed = f"must be float64 for a scale above {SINGLE_PRECISION_SCALE:g}: f - f_0 rounds off"
            raise InputError("dtype", self.dtype, allowed)
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
