"""R_f against P without a fit: the population flow and its linear response, at a cost that P does not enter.

`theory/prediction/README.md` derives the equations; after arXiv 2105.02468, section 5, and arXiv 2007.11471.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from threadpoolctl import threadpool_limits

from theory.common.errors import MAXIMUM_SEED, InputError, require_integer
from theory.flow.integrate import Progress, integrate, warn_if_cut
from theory.flow.simulation import initial_network
from theory.flow.state import LeftRange, State
from theory.flow.stepper import Stepper, chosen_integrator
from theory.model.configuration import FlowConfig
from theory.model.network import Network
from theory.model.tasks import Task
from theory.prediction.conditional import Data, SamplePrediction, predict_sample
from theory.prediction.fixed_points import fixed_points
from theory.prediction.population import Population, Snapshot, split
from theory.prediction.predicted import LARGEST_SIZE, PredictedRecord, Prediction
from theory.prediction.quadrature import Cells
from theory.prediction.radial import RadialPopulation, RadialResponse
from theory.prediction.response import Perpendicular
from theory.prediction.sample_flow import Resolution
from theory.prediction.sobol import sobol_network

__all__ = ["predict"]

_FEWEST, _USUAL, _SHELLS = 20, 140, 100  # cells
#: Lambda below which terms that are left out are of the order of those that are kept.
_COMPRESSED = 5.0
#: Size of the second-order term beyond which a P is warned of.
_SECOND_ORDER = 0.1
#: Neurons below which P R_f spreads by a twelfth from draw to draw (d = 30, 6 draws: 0.18 of h = 10, 0.08 of 30).
_FEW = 30
#: Change of F between the margins across a cell beyond which P R_f has been seen to be off by a tenth: d = 30, 0.66 in
#: 50 cells, where it is, and 0.49 in 70, where it is off by a fortieth.
_STEEP = 0.6


class _Run:
    """The population on its way, and the response that follows it."""

    def __init__(self, task: Task, start: Network, cells: Cells, config: FlowConfig) -> None:
        self.population: Any
        self.response: Any
        if task.informative_dim == 1:
            self.population = Population(start, cells, config.loss, config.scale)
            respond: Any = Perpendicular
        else:
            self.population = RadialPopulation(start, cells, task.informative_dim, config.loss, config.scale)
            respond = RadialResponse
        self.start = State(self.population.start, self.population(self.population.start))
        self.response = respond(self.population, self.start.field)
        integrator = chosen_integrator(config.integrator, config.loss)
        self.stepper = Stepper(integrator, config.weight_change, config.output_change)

    def step(self, state: State[Snapshot]) -> State[Snapshot]:
        """The next state; the response is carried along."""
        new = self.stepper.step(state, lambda parameters, origin: self.population(parameters))
        try:
            self.response.advance(state.field, new.field, new.time - state.time)
        except ArithmeticError as error:
            raise LeftRange from error
        return new

    def record(self, target: float, state: State[Snapshot]) -> PredictedRecord:
        """What is predicted of this moment."""
        now = state.field
        along = float(np.mean(split(now.parameters)[0] ** 2)) / self.population.informative_dim
        spread = self.response.weight_variance()
        return PredictedRecord(
            target,
            now.unfit_fraction,
            state.time,
            state.steps,
            self.response.prefactor(now),
            self.response.floor(now),
            math.sqrt(along / self.response.start_weight_variance()),
            math.sqrt(along / spread) if spread > 0 else math.inf,
            now.predictor,
            self.response.slope_variance(now),
            self.response.start_slope_variance(now),
        )


@overload
def predict(
    task: Task,
    config: FlowConfig | None = None,
    train_sizes: Sequence[int] = (),
    *,
    neuron_seed: int | None = None,
    seed: int | None = None,
    cells: int | None = None,
    data: None = None,
    sobol: bool = False,
    progress: Progress | None = None,
) -> Prediction: ...


@overload
def predict(
    task: Task,
    config: FlowConfig | None = None,
    train_sizes: Sequence[int] = (),
    *,
    neuron_seed: int | None = None,
    seed: int | None = None,
    cells: int | None = None,
    data: Data,
    sobol: bool = False,
    progress: Progress | None = None,
) -> SamplePrediction: ...


def predict(
    task: Task,
    config: FlowConfig | None = None,
    train_sizes: Sequence[int] = (),
    *,
    neuron_seed: int | None = None,
    seed: int | None = None,
    cells: int | None = None,
    data: Data | None = None,
    sobol: bool = False,
    progress: Progress | None = None,
) -> Prediction | SamplePrediction:
    r"""Predict P R_f, Lambda and F(x_1) at the unfit fractions of `config`, and R_f at any P.

    .. math::

        R_f = \frac{d}{d - d_\parallel} \, \frac{e}{1 + e}, \qquad
        e = \frac{d - d_\parallel}{d} \left(\frac{\text{prefactor}}{P} + \text{floor}\right)

    The population flow is integrated by the steps of `theory.flow.stepper`, and with it the response of the
    perpendicular weights to the noise of the sample, to first order in 1 / sqrt(P), averaged over that noise
    exactly: the prefactor; besides, what the perpendicular weights of the start contribute whatever P: the floor.
    Nothing is fitted, and P enters only in the end. theory/prediction/README.md derives both; the model is that of
    arXiv 2105.02468, section 5.

    With `data`, predict the net of that one sample instead: its points, sorted into cells of the informative
    coordinates and, as the net learns, of y F, are known by their number, mean and covariance only, and the net flows
    on these Gaussian clouds (equations 19 to 21). Then P may be small and alpha large.

    Parameters
    ----------
    task : a `Stripe` or a `Cylinder`
    config : as for `simulate`; dtype (it is always double precision) and skip have no meaning here, nor have test_size
        and noise_norms without data
    train_sizes : P at which `Prediction` gives R_f, Lambda and the test error; none with data
    neuron_seed : draws the neurons, the same as `simulate(..., neuron_seed=)` with this config and dimension
    seed : if given without a neuron_seed, the neurons are those that `simulate(..., seed=seed)` draws; neuron_seed 0 if
        neither is given. With data it draws test points, too
    cells : of the informative direction, from -4.5 to 4.5; the default of 140 gives P R_f to 2 %, see
        theory/prediction/README.md; of a cylinder's radius, 100 by default. With data, cells of the sample's
        informative coordinates, by default 100 of a stripe and 200 of a cylinder, each of which is cut into up to four
        clouds as the net learns
    data : (points of shape (P, d), labels of shape (P,)) for the prediction of this sample, or P, for the sample that
        `simulate(task, P, config, seed=seed)` draws
    sobol : take neurons from a scrambled Sobol sequence (`sobol_network`) in place of drawn ones; width is a power of
        2. They are not those of any `simulate`, but 256 of them give the mean over draws of 1000. Not with data

    Raises
    ------
    InputError
        If the task is not one of these, an argument is not allowed, data do not fit the task, or the parameters stop
        being finite.

    Warns
    -----
    RuntimeWarning
        If it ends before the last record, and without data where neurons are hardly compressed at P = infinity (large
        alpha), the cells are too few for F at late q, or a P is so small that the next order in 1 / P counts.
    """
    # Matrix libraries sum in another order with every number of threads, and theirs would wait for those of the
    # kernel.
    with threadpool_limits(1, "blas"):
        config = FlowConfig() if config is None else config
        neuron_seed = None if neuron_seed is None else require_integer("neuron_seed", neuron_seed, 0)
        if data is None:
            usual = _USUAL if task.informative_dim == 1 else _SHELLS
            chosen = usual if cells is None else cells
            return _predict(task, config, train_sizes, neuron_seed, seed, chosen, sobol, progress)
        if sobol:
            raise InputError("sobol", sobol, "must be False with data, where neurons are those of the flow")
        if not isinstance(train_sizes, Sequence) or len(train_sizes):
            raise InputError("train_sizes", train_sizes, "must be empty with data, whose P it is")
        chosen = (100 if task.informative_dim == 1 else 200) if cells is None else cells
        if seed is None and neuron_seed is None:
            neuron_seed = 0
        return predict_sample(
            task, config, data, seed=0 if seed is None else seed, neuron_seed=neuron_seed,
            resolution=Resolution(require_integer("cells", chosen, 1)), progress=progress,
        )  # fmt: skip


def _predict(
    task: Task,
    config: FlowConfig,
    train_sizes: Sequence[int],
    neuron_seed: int | None,
    seed: int | None,
    cells: int,
    sobol: bool,
    progress: Progress | None,
) -> Prediction:
    """`predict`, on one thread of the matrix library."""
    began = time.perf_counter()
    if isinstance(train_sizes, int):
        train_sizes = (train_sizes,)
    sizes = tuple(require_integer("train_sizes", size, 1, LARGEST_SIZE) for size in train_sizes)
    seed = None if seed is None else require_integer("seed", seed, 0, MAXIMUM_SEED)
    grid = Cells.of(task, require_integer("cells", cells, _FEWEST))
    if config.lazy:
        raise InputError("scale", config.scale, "must be finite: in the lazy limit there is no population of neurons")
    if config.noise_norms:
        raise InputError("noise_norms", config.noise_norms, "must be empty: the prediction is for small noise")
    if seed is None and neuron_seed is None:
        neuron_seed = 0
    if sobol:
        source = np.random.SeedSequence(seed or 0).spawn(4)[2] if neuron_seed is None else neuron_seed
        start = sobol_network(config.width, task.dim, np.random.default_rng(source), task.informative_dim)
    else:
        start = initial_network(task, config, seed or 0, neuron_seed)
    run = _Run(task, start, grid, config)
    course = integrate(run.start, run.step, run.record, config, progress)
    warn_if_cut(course.shortfall(config), "prediction", stacklevel=3)
    least = min((record.compression for record in course.records if math.isfinite(record.prefactor)), default=math.inf)
    if least < _COMPRESSED:
        warnings.warn(
            f"prediction at scale {config.scale:g}: Lambda at P = infinity is only {least:.3g} at a record; below "
            f"{_COMPRESSED:g} terms that it leaves out are as large as it, and R_f may be far larger",
            RuntimeWarning,
            stacklevel=3,
        )
    if config.width < _FEW:
        told = f"prediction: {config.width} neurons: P R_f of one draw of them is off by about a tenth or more"
        warnings.warn(told, RuntimeWarning, stacklevel=3)
    _warn_of_coarse(course.records, grid.count)
    _warn_of_small(task, config, sizes)
    return Prediction(
        task, config, sizes, neuron_seed, seed, grid, course.records, course.stop_reason,
        course.state.steps, run.stepper.bound.rejected, run.population.evaluations, time.perf_counter() - began,
    )  # fmt: skip


def _warn_of_coarse(records: Sequence[PredictedRecord], cells: int) -> None:
    """Where F, which the quadrature takes to be linear within a cell, climbs from margin to margin in a few."""
    steep = {record.target: float(np.abs(np.diff(np.clip(record.predictor, -1, 1))).max()) for record in records}
    coarse = [target for target, change in steep.items() if change > _STEEP]
    if coarse:
        warnings.warn(
            f"prediction: {cells} cells are too few at q = {', '.join(f'{q:g}' for q in coarse)}: F changes by "
            f"{max(steep.values()):.2g} across one, and P R_f may be a tenth or more too small",
            RuntimeWarning,
            stacklevel=4,
        )


def _warn_of_small(task: Task, config: FlowConfig, sizes: tuple[int, ...]) -> None:
    """Where P is not far above (sigma t*)^2 (equation 18), t* = ln(1 / alpha) / (2 lambda), of the fastest fixed point.

    Growth rates fluctuate from sample to sample by sigma / sqrt(P), and growth exponentiates that for a time t*.
    """
    fastest = fixed_points(task)[0]
    needed = (fastest.noise * max(math.log(1 / config.scale), 0) / (2 * fastest.rate)) ** 2
    small = [size for size in sizes if needed / size > _SECOND_ORDER]
    if small:
        listed = ", ".join(f"{needed / size:.2g} at P = {size}" for size in small)
        warnings.warn(
            f"prediction to leading order in 1 / P: it needs P far above (sigma t*)^2 = {needed:.3g}, and the term of "
            f"the next order is about {listed}; data= gives the prediction of one sample at any P",
            RuntimeWarning,
            stacklevel=4,
        )
