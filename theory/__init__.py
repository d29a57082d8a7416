"""The simple model of relative stability, solved: a one-hidden-layer net on a label that few directions decide.

>>> from theory import FlowConfig, Stripe, simulate
>>> trajectory = simulate(Stripe(dim=5), 64, FlowConfig(width=50, unfit_fractions=(0.5,)), seed=0)
>>> trajectory.converged
True

Also here, because it needs neither images nor torch: the maximum-entropy ensemble in numbers, and the curve
table that all of relstab exchanges.
"""

from theory.configuration import FlowConfig
from theory.curves import curve
from theory.diffeo import MaxEntropyEnsemble
from theory.errors import InputError
from theory.estimate import Estimate
from theory.executors import InProcess, Processes, RayCluster
from theory.fixedpoints import FixedPoint, fixed_points
from theory.flow import simulate, simulate_many
from theory.maxent import MaxEntropyReport, check_fields, check_sampler
from theory.network import Network
from theory.predicted import PredictedRecord, Prediction
from theory.prediction import predict
from theory.table import curve_table, read_table, validate_table, write_table
from theory.tasks import Cylinder, Stripe, Task
from theory.trajectory import Record, Trajectory

__all__ = [
    "Cylinder",
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
    "Stripe",
    "Task",
    "Trajectory",
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
