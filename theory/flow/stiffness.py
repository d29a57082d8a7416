"""The few stiff directions of the flow: where the points at the margin answer together.

Near the margin the loss curves, and the field has the Jacobian -(1/P) sum_p kappa_p g_p g_p^T (g_p the gradient
of F_p, kappa = l''), besides smaller terms. Points at the same interface have much the same g_p, so that two or
three eigenvalues stand far above the rest, and they alone force an explicit step to be short.
"""

from __future__ import annotations

import math

import numpy as np

from theory.flow.state import E, Field, State

__all__ = ["StiffModes", "norm"]

_MODES = 3  # vectors in the subspace
_LIFE = 12  # steps after which they are learnt again
_REST = 2  # steps that a rejection must wait before they are learnt again
_GAP = 10.0  # the stiffest direction is taken to be at most so much stiffer than those not treated
_TRUST = 0.1  # a mode counts if |J w + lambda w| is below this part of lambda


class StiffModes:
    """Ritz vectors of the field's Jacobian J from differences of the field, kept up by subspace iteration.

    `learn` applies J to `_MODES` orthonormal vectors q_i, as (v(theta + eps q) - v(theta)) / eps with eps so large
    that F moves by `change` (a relu's kinks, crossed at every scale, then average out), and diagonalises q^T J q:
    pairs (lambda_i, w_i), J w_i = -lambda_i w_i. Those whose residual is below a tenth of lambda_i are treated
    exactly by the step; a mode that is not an eigenvector would slow down the slow motion mixed into it. The
    others bound the step, and so does a tenth of the largest lambda, for directions that differences have missed
    (on a plateau F hardly moves, and nothing else would). J q is where the next learning starts: one power
    iteration each time.
    """

    def __init__(self, change: float) -> None:
        self._change = change
        self._distance = math.nan  # eps
        self._next: list[np.ndarray] = []  # where the subspace goes on
        self._vectors: list[np.ndarray] = []  # the w_i that are trusted
        self._rates = np.empty(0)  # their lambda_i
        self._turn: np.ndarray | None = None  # the last change of the velocity, mostly along stiff modes
        self._felt = 0.0  # lambda along the last step, -d theta . d v / |d theta|^2
        self._age = _LIFE
        self.longest_step = math.inf

    def wanted(self, step: float) -> bool:
        """Whether they should be learnt before a step of this length: they are old, and it would be stiff.

        Stiff is a step above 1 / (2 lambda), for the largest lambda known or the one felt on the way here.
        """
        known = max(float(np.max(self._rates, initial=0)), 1 / self.longest_step, self._felt)
        return self._age >= _LIFE and step * known > 0.5

    @property
    def worn(self) -> bool:
        """Whether a rejected step is reason to learn them again."""
        return self._age > _REST

    def passed(self, moved: np.ndarray, turned: np.ndarray) -> None:
        """A step was made that moved theta, and turned the velocity, by so much."""
        self._turn = turned
        self._felt = -_product(moved, turned) / max(_product(moved, moved), 1e-300)
        self._age += 1

    def correction(self, velocity: np.ndarray, step: float) -> np.ndarray | None:
        """What an exponential step adds to step * velocity: step sum_i (phi(lambda_i step) - 1) w_i (w_i . v)."""
        if not len(self._rates):
            return None
        exponent = self._rates * step
        factor = step * (-np.expm1(-exponent) / exponent - 1)
        return _combined(factor * _products(self._vectors, velocity), self._vectors)

    def learn(self, state: State[E], field: Field[E]) -> None:
        """From the field at a few places around the state."""
        parameters, velocity, margins = state.parameters, state.field.velocity, state.field.margins
        basis = self._start(velocity)
        if not basis:
            return  # no direction is left that has a finite length
        dtype = velocity.dtype.type
        if math.isnan(self._distance):
            self._distance = 1e-2 * norm(parameters)
        answers: list[np.ndarray] = []
        for i, direction in enumerate(basis):
            distance = dtype(self._distance)
            there = field(parameters + distance * direction, parameters)
            answers.append((there.velocity - velocity) / distance)
            if i == 0:
                seen = max(float(np.max(np.abs(there.margins - margins))), 1e-9)
                self._distance *= min(max(self._change / seen, 0.1), 10.0)
        self._age = 0
        projected = np.stack([_products(answers, direction) for direction in basis])
        if not np.all(np.isfinite(projected)):
            return
        values, rotation = np.linalg.eigh(-(projected + projected.T) / 2)  # lambda, rising
        vectors = [_combined(column, basis) for column in rotation.T]
        turned = [_combined(column, answers) for column in rotation.T]
        residuals = np.array([norm(j + dtype(r) * w) for j, r, w in zip(turned, values, vectors, strict=True)])
        trusted = residuals < _TRUST * values
        self._vectors = [vectors[i] for i in np.flatnonzero(trusted)]
        self._rates = values[trusted]
        # Differences may miss a direction: none is taken to be softer than this part of the stiffest.
        untreated = max(float(np.max(values[~trusted], initial=0)), float(np.max(values, initial=0)) / _GAP)
        self.longest_step = 1 / untreated if untreated > 0 else math.inf
        self._next = turned[::-1]  # the stiffest first

    def _start(self, velocity: np.ndarray) -> list[np.ndarray]:
        """Orthonormal vectors to begin with: the last change of the velocity, then where the last learning ended."""
        columns = ([] if self._turn is None else [self._turn]) + self._next
        if len(columns) < _MODES:  # any fixed vectors will do: what they lack, the iterations bring
            columns += list(np.random.default_rng(0).standard_normal((_MODES, len(velocity))).astype(velocity.dtype))
        return _orthonormal(columns, _MODES)


# Matrix libraries bring threads of their own, which wait busily while those of the kernel want the cores: with
# both, an evaluation took three times as long. Vectors this short need none.


def norm(vector: np.ndarray) -> float:
    """Euclidean norm."""
    return math.sqrt(_product(vector, vector))


def _product(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.einsum("i,i->", one, other))


def _products(vectors: list[np.ndarray], other: np.ndarray) -> np.ndarray:
    return np.array([_product(vector, other) for vector in vectors])


def _combined(factors: np.ndarray, vectors: list[np.ndarray]) -> np.ndarray:
    """sum_i factors_i vectors_i, in the vectors' precision."""
    total = np.zeros_like(vectors[0])
    for factor, vector in zip(factors, vectors, strict=True):
        total += vector.dtype.type(factor) * vector
    return total


def _orthonormal(columns: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The first `count` directions of these columns that are new, by Gram and Schmidt, twice for rounding."""
    basis: list[np.ndarray] = []
    for column in columns:
        length = norm(column)
        if len(basis) == count or not 0 < length < math.inf:
            continue
        fresh = column / column.dtype.type(length)
        for _ in range(2):
            if basis:
                fresh = fresh - _combined(_products(basis, fresh), basis)
        left = norm(fresh)
        if left > 1e-3:
            basis.append(fresh / column.dtype.type(left))
    return basis
