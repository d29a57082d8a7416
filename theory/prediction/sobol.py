"""Neurons that cover their law more evenly than drawn ones: a scrambled Sobol sequence."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv, ndtri

from theory.common.errors import InputError
from theory.model.network import Network

__all__ = ["sobol_network"]


def sobol_network(width: int, dim: int, rng: np.random.Generator, informative_dim: int = 1) -> Network:
    r"""A net of the law of `Network.initial`, its (w_1, |w_perp|, b, beta) at the points of a scrambled Sobol sequence.

    The population sees of a neuron these four numbers only, so that its averages over neurons become integrals over
    the unit cube u in [0, 1]^4,

    .. math::

        w_1 = \Phi^{-1}(u_1), \quad |w_\perp|^2 = F^{-1}_{\chi^2_{d-1}}(u_2), \quad
        b = \Phi^{-1}(u_3), \quad \beta = \Phi^{-1}(u_4),

    for which points of low discrepancy have a smaller error than the h^(-1/2) of drawn ones (Owen, J. Complexity 14,
    466, 1998). The directions of w_perp, which the floor alone depends on, are drawn. With several informative
    directions |w_par| is in the place of w_1, :math:`|w_\parallel|^2 = F^{-1}_{\chi^2_{d_\parallel}}(u_1)`.

    Parameters
    ----------
    width : h, a power of 2: only then are the points balanced
    dim : d, at least 2

    Raises
    ------
    InputError
        If width is no power of 2.
    """
    if width & (width - 1):
        raise InputError("width", width, "must be a power of 2 for neurons of a Sobol sequence")
    from scipy.stats.qmc import Sobol  # half a second, which random neurons do without

    points = Sobol(4, seed=rng).random(width)
    points = np.clip(points, 2.0**-40, 1 - 2.0**-40)  # scrambled points have 30 bits: 0 is one of them
    weight = np.empty((width, dim))
    pointed = 1 if informative_dim == 1 else 0  # w_1 alone has a sign, and no direction to be drawn
    weight[:, pointed:] = rng.standard_normal((width, dim - pointed))
    ends = [(slice(informative_dim, dim), points[:, 1])]
    if informative_dim > 1:
        ends.append((slice(0, informative_dim), points[:, 0]))
    else:
        weight[:, 0] = ndtri(points[:, 0])
    for part, chance in ends:
        lengths = np.sqrt(2 * gammaincinv((part.stop - part.start) / 2, chance))
        weight[:, part] *= (lengths / np.linalg.norm(weight[:, part], axis=1))[:, None]
    return Network(weight, ndtri(points[:, 2]), ndtri(points[:, 3]))
