"""Real nets: sample diffeomorphisms, train, and measure relative stability. Needs torch and torchvision.

>>> from empirical import MaxEntropyDiffeo, measure_stability
>>> stability = measure_stability(model, images, cutoff=3, displacement=1.0)  # doctest: +SKIP
>>> stability.relative  # doctest: +SKIP
0.32 ± 0.05 (n=500)

Names are looked up when they are used, so that the command line starts, and its help prints, without torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

try:
    from theory.common.names import keep_old_paths, look_up
except ImportError:  # a user's own theory.py, first on the path
    found = getattr(find_spec("theory"), "origin", "nothing")
    raise ImportError(f"{found} hides relstab's package theory: rename it, or run elsewhere") from None

if TYPE_CHECKING:
    from empirical.data.named_sets import DATASETS, ImageData, load_data
    from empirical.diffeo.augmentation import RandomDiffeo
    from empirical.diffeo.fields import (
        MaxEntropyDiffeo,
        displacement_fields,
        folded,
        inverse_fields,
        sample_coefficients,
        warp,
    )
    from empirical.nets.architectures import ARCHITECTURES, build
    from empirical.nets.hierarchy_nets import ConstantFilterCNN, HierarchyNet, ScaleCNN
    from empirical.nets.stripe_nets import OneHiddenLayer, StripeNet
    from empirical.runs.experiments import Experiment, read_experiments
    from empirical.runs.kinds import train
    from empirical.runs.store import RunStore
    from empirical.runs.sweeps import SweepIncomplete, sweep
    from empirical.runs.theory_runs import TheoryConfig
    from empirical.stability.layers import LayerStability, measure_layers
    from empirical.stability.measure import Stability, measure_probes, measure_stability
    from empirical.stability.metric import RelativeStability
    from empirical.stability.probes import Probes, draw_probes, transform_probes
    from empirical.stability.ranges import measure_range, paper_temperatures
    from empirical.training.config import ImageConfig, StripeConfig
    from empirical.training.hierarchy_config import HierarchyConfig, ScaleDetectionConfig
    from empirical.training.recipe import Recipe, crop_and_flip
    from empirical.training.run import Run

_HOMES = {
    "training.hierarchy_config": (
        "HierarchyConfig",
        "ScaleDetectionConfig",
    ),
    "nets.hierarchy_nets": (
        "ConstantFilterCNN",
        "HierarchyNet",
        "ScaleCNN",
    ),
    "data.named_sets": (
        "DATASETS",
        "ImageData",
        "load_data",
    ),
    "diffeo.augmentation": ("RandomDiffeo",),
    "diffeo.fields": (
        "MaxEntropyDiffeo",
        "displacement_fields",
        "folded",
        "inverse_fields",
        "sample_coefficients",
        "warp",
    ),
    "nets.architectures": (
        "ARCHITECTURES",
        "build",
    ),
    "nets.stripe_nets": (
        "OneHiddenLayer",
        "StripeNet",
    ),
    "runs.experiments": (
        "Experiment",
        "read_experiments",
    ),
    "runs.kinds": ("train",),
    "runs.store": ("RunStore",),
    "runs.sweeps": (
        "SweepIncomplete",
        "sweep",
    ),
    "runs.theory_runs": ("TheoryConfig",),
    "stability.layers": (
        "LayerStability",
        "measure_layers",
    ),
    "stability.measure": (
        "Stability",
        "measure_probes",
        "measure_stability",
    ),
    "stability.metric": ("RelativeStability",),
    "stability.probes": (
        "Probes",
        "draw_probes",
        "transform_probes",
    ),
    "stability.ranges": (
        "measure_range",
        "paper_temperatures",
    ),
    "training.config": (
        "ImageConfig",
        "StripeConfig",
    ),
    "training.recipe": (
        "Recipe",
        "crop_and_flip",
    ),
    "training.run": ("Run",),
}
#: Where public names were before, by module: these paths go on working.
_MOVED = {
    "architectures": "nets.architectures",
    "augmentation": "diffeo.augmentation",
    "config": "training.config",
    "experiments": "runs.experiments",
    "layers": "stability.layers",
    "metric": "stability.metric",
    "probes": "stability.probes",
    "ranges": "stability.ranges",
    "recipe": "training.recipe",
    "store": "runs.store",
    "stripe_nets": "nets.stripe_nets",
    "sweeps": "runs.sweeps",
    "theory_runs": "runs.theory_runs",
    "user_images": "data.user_images",
    "weights": "nets.weights",
}

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "ConstantFilterCNN",
    "Experiment",
    "HierarchyConfig",
    "HierarchyNet",
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
    "ScaleCNN",
    "ScaleDetectionConfig",
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
    "transform_probes",
    "warp",
]

keep_old_paths("empirical", _MOVED)


def __getattr__(name: str) -> Any:
    return look_up("empirical", _HOMES, name)
