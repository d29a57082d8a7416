"""Series and sets of nets with planted laws: log R_f = law(P) + noise whose correlation along P is planted too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from theory.common.table import curve_table

SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)


def correlated(rng: np.random.Generator, sizes: Sequence[int], rho: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Standard normal noise with correlation rho^|log2(P'/P)| along the last axis."""
    x = np.log2(np.array(sizes, dtype=float))
    matrix = rho ** np.abs(x[:, None] - x[None, :]) if rho else np.eye(x.size)
    return rng.normal(size=(*shape, x.size)) @ np.linalg.cholesky(matrix).T


def planted(
    rng: np.random.Generator,
    law: Callable[[np.ndarray], np.ndarray],
    *,
    seeds: int = 4,
    sigma: float = 0.25,
    rho: float = 0.5,
    sizes: Sequence[int] = SIZES,
    **columns: object,
) -> pd.DataFrame:
    """One series with R_f = law(P) exp(sigma noise); `columns` override the key."""
    key = {"source": "images", "task": "digits", "architecture": "lenet", "stage": "trained"} | columns
    noise = sigma * correlated(rng, sizes, rho, (seeds,))
    exact = law(np.array(sizes, dtype=float))
    return curve_table(
        {**key, "train_size": size, "seed": seed, "relative_stability": exact[i] * np.exp(noise[seed, i])}
        for seed in range(seeds)
        for i, size in enumerate(sizes)
    )


def theory_series(sizes: Sequence[int] = (32, 128, 512, 2048, 8192, 32768)) -> pd.DataFrame:
    """A bent theory without noise: flat at small P, 1/P at large P."""
    rng = np.random.default_rng(0)
    key = {"source": "theory", "task": "stripe-d30", "architecture": "one-hidden", "stage": "q=0.3"}
    return planted(rng, saturating, seeds=1, sigma=0.0, sizes=sizes, **key)


def saturating(train_size: np.ndarray) -> np.ndarray:
    return 1 / (1 + train_size / 200)
