"""The simple model of relative stability, solved: a one-hidden-layer net on a label that few directions decide.

>>> from theory import FlowConfig, Stripe, simulate
>>> trajectory = simulate(Stripe(dim=5), 64, FlowConfig(width=50, unfit_fractions=(0.5,)), seed=0)
>>> trajectory.converged
True

Also here, because it needs neither images nor torch: the maximum-entropy ensemble in numbers, and the curve
table that all of relstab exchanges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from theory.common.names import keep_old_paths, look_up

#: The version of all of relstab; pyproject.toml reads it here.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from theory.common.errors import InputError
    from theory.common.estimate import Estimate
    from theory.common.table import curve_table, read_table, validate_table, write_table
    from theory.ensemble.battery import MaxEntropyReport, check_fields, check_sampler
    from theory.ensemble.diffeomorphisms import MaxEntropyEnsemble
    from theory.flow.simulation import simulate, simulate_many
    from theory.flow.trajectory import Record, Trajectory
    from theory.hierarchies.scale_detection import ScaleDetection
    from theory.hierarchies.sparse_hierarchy import Derivations, SparseHierarchy
    from theory.hierarchies.two_points import TwoPoints
    from theory.jobs.executors import InProcess, Processes, RayCluster
    from theory.jobs.slurm import Slurm
    from theory.model.configuration import FlowConfig
    from theory.model.network import Network
    from theory.model.tasks import Cylinder, Stripe, Task
    from theory.prediction.conditional import SamplePrediction
    from theory.prediction.fixed_points import FixedPoint, fixed_points
    from theory.prediction.predicted import PredictedRecord, Prediction
    from theory.prediction.solution import predict
    from theory.runs.curves import curve

_HOMES = {
    "hierarchies.two_points": ("TwoPoints",),
    "hierarchies.scale_detection": ("ScaleDetection",),
    "hierarchies.sparse_hierarchy": (
        "Derivations",
        "SparseHierarchy",
    ),
    "common.errors": ("InputError",),
    "common.estimate": ("Estimate",),
    "common.table": (
        "curve_table",
        "read_table",
        "validate_table",
        "write_table",
    ),
    "ensemble.battery": (
        "MaxEntropyReport",
        "check_fields",
        "check_sampler",
    ),
    "ensemble.diffeomorphisms": ("MaxEntropyEnsemble",),
    "flow.simulation": (
        "simulate",
        "simulate_many",
    ),
    "flow.trajectory": (
        "Record",
        "Trajectory",
    ),
    "jobs.executors": (
        "InProcess",
        "Processes",
        "RayCluster",
    ),
    "jobs.slurm": ("Slurm",),
    "model.configuration": ("FlowConfig",),
    "model.network": ("Network",),
    "model.tasks": (
        "Cylinder",
        "Stripe",
        "Task",
    ),
    "prediction.conditional": ("SamplePrediction",),
    "prediction.fixed_points": (
        "FixedPoint",
        "fixed_points",
    ),
    "prediction.predicted": (
        "PredictedRecord",
        "Prediction",
    ),
    "prediction.solution": ("predict",),
    "runs.curves": ("curve",),
}
#: Where public names were before, by module: these paths go on working.
_MOVED = {
    "configuration": "model.configuration",
    "curves": "runs.curves",
    "diffeo": "ensemble.diffeomorphisms",
    "errors": "common.errors",
    "estimate": "common.estimate",
    "executors": "jobs.executors",
    "fixedpoints": "prediction.fixed_points",
    "maxent": "ensemble.battery",
    "network": "model.network",
    "predicted": "prediction.predicted",
    "table": "common.table",
    "tasks": "model.tasks",
    "trajectory": "flow.trajectory",
}

__all__ = [
    "Cylinder",
    "Derivations",
    "Estimate",
    "FixedPoint",
    "FlowConfig",
    "InProcess",
    "InputError",
    "MaxEntropyEnsemble",
    "MaxEntropyReport",
    "Network",
    "PredictedRecord",
    "Prediction",
    "Processes",
    "RayCluster",
    "Record",
    "SamplePrediction",
    "ScaleDetection",
    "Slurm",
    "SparseHierarchy",
    "Stripe",
    "Task",
    "Trajectory",
    "TwoPoints",
    "check_fields",
    "check_sampler",
    "curve",
    "curve_table",
    "fixed_points",
    "predict",
    "read_table",
    "simulate",
    "simulate_many",
    "validate_table",
    "write_table",
]

keep_old_paths("theory", _MOVED)


def __getattr__(name: str) -> Any:
    return look_up("theory", _HOMES, name)
