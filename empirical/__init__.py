"""Real nets: sample diffeomorphisms, train, and measure relative stability. Needs torch and torchvision.

>>> from empirical import MaxEntropyDiffeo, measure_stability
>>> stability = measure_stability(model, images, cutoff=3, displacement=1.0)  # doctest: +SKIP
>>> stability.relative  # doctest: +SKIP
0.32 ± 0.05 (n=500)

Names are looked up when they are used, so that the command line starts, and its help prints, without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from empirical.architectures import ARCHITECTURES, build
    from empirical.augmentation import RandomDiffeo
    from empirical.config import ImageConfig, StripeConfig
    from empirical.data import DATASETS, ImageData, load_data
    from empirical.diffeo import (
        MaxEntropyDiffeo,
        displacement_fields,
        folded,
        inverse_fields,
        sample_coefficients,
        warp,
    )
    from empirical.experiments import Experiment, read_experiments
    from empirical.layers import LayerStability, measure_layers
    from empirical.metric import RelativeStability
    from empirical.probes import Probes, draw_probes
    from empirical.ranges import measure_range, paper_temperatures
    from empirical.recipe import Recipe, crop_and_flip
    from empirical.stability import Stability, measure_probes, measure_stability
    from empirical.store import RunStore
    from empirical.stripe_nets import OneHiddenLayer, StripeNet
    from empirical.sweeps import SweepIncomplete, sweep
    from empirical.theory_runs import TheoryConfig
    from empirical.training import Run, train

_HOMES = {
    "architectures": ("ARCHITECTURES", "build"),
    "augmentation": ("RandomDiffeo",),
    "config": ("ImageConfig", "StripeConfig"),
    "data": ("DATASETS", "ImageData", "load_data"),
    "diffeo": ("MaxEntropyDiffeo", "displacement_fields", "folded", "inverse_fields", "sample_coefficients", "warp"),
    "experiments": ("Experiment", "read_experiments"),
    "layers": ("LayerStability", "measure_layers"),
    "probes": ("Probes", "draw_probes"),
    "metric": ("RelativeStability",),
    "ranges": ("measure_range", "paper_temperatures"),
    "recipe": ("Recipe", "crop_and_flip"),
    "stability": ("Stability", "measure_probes", "measure_stability"),
    "store": ("RunStore",),
    "stripe_nets": ("OneHiddenLayer", "StripeNet"),
    "sweeps": ("SweepIncomplete", "sweep"),
    "theory_runs": ("TheoryConfig",),
    "training": ("Run", "train"),
}

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "Experiment",
    "ImageConfig",
    "ImageData",
    "LayerStability",
    "MaxEntropyDiffeo",
    "OneHiddenLayer",
    "Probes",
    "RandomDiffeo",
    "Recipe",
    "RelativeStability",
    "Run",
    "RunStore",
    "Stability",
    "StripeConfig",
    "StripeNet",
    "SweepIncomplete",
    "TheoryConfig",
    "build",
    "crop_and_flip",
    "displacement_fields",
    "draw_probes",
    "folded",
    "inverse_fields",
    "load_data",
    "measure_layers",
    "measure_probes",
    "measure_range",
    "measure_stability",
    "paper_temperatures",
    "read_experiments",
    "sample_coefficients",
    "sweep",
    "train",
    "warp",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"empirical.{module}"), name)
    raise AttributeError(f"module 'empirical' has no attribute {name!r}")
