"""Neurons of a Sobol sequence: balanced in each of the four numbers that the population sees, of the right law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import chi2, kstest

from theory import FlowConfig, InputError, Stripe, predict
from theory.model.network import Network
from theory.prediction.sobol import sobol_network

WIDTH, DIM = 256, 12


def _shares(net: Network) -> np.ndarray:
    """Of every neuron, where its four numbers stand in their laws; shape (h, 4), within [0, 1]."""
    square = (net.weight[:, 1:] ** 2).sum(1)
    return np.stack([ndtr(net.weight[:, 0]), chi2.cdf(square, DIM - 1), ndtr(net.bias), ndtr(net.output)], axis=1)


def _balanced(net: Network) -> bool:
    """Whether each of h equal parts of each law holds exactly one neuron."""
    parts = np.floor(_shares(net) * WIDTH).astype(int)
    return all(len(np.unique(column)) == WIDTH for column in parts.T)


def test_every_part_of_the_law_holds_one_neuron() -> None:
    assert _balanced(sobol_network(WIDTH, DIM, np.random.default_rng(0)))
    assert not _balanced(Network.initial(WIDTH, DIM, np.random.default_rng(0)))  # the control


def test_directions_are_those_of_drawn_neurons() -> None:
    """One irrelevant weight is normal: Kolmogorov and Smirnov, false alarms 1 in 1000, seed fixed."""
    weight = sobol_network(2**14, DIM, np.random.default_rng(1)).weight
    assert kstest(weight[:, 5], "norm").pvalue > 1e-3
    assert kstest(1.1 * weight[:, 5], "norm").pvalue < 1e-3  # the control


def test_the_same_seed_gives_the_same_prediction_and_another_another() -> None:
    config = FlowConfig(width=32, unfit_fractions=(0.9,))
    first, again, other = (
        predict(Stripe(dim=10), config, seed=seed, cells=40, sobol=True).prefactor[0] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_what_is_not_allowed() -> None:
    with pytest.raises(InputError, match="width = 100: must be a power of 2"):
        predict(Stripe(), FlowConfig(width=100), sobol=True)
    with pytest.raises(InputError, match="sobol = True: must be False with data"):
        predict(Stripe(), FlowConfig(width=64), data=16, sobol=True)
