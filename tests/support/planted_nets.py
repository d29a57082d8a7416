"""Curve tables of nets whose test error is correlated with R_f and D_f as planted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from theory.common.table import curve_table

__all__ = ["NETS", "SIZES", "nets"]

NETS = ("fc2", "fc4", "fc6", "lenet", "resnet", "vgg", "vgg-bn")
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)


def nets(
    rng: np.random.Generator,
    *,
    r: float = 0.95,
    d: float = 0.0,
    names: tuple[str, ...] = NETS,
    tasks: tuple[str, ...] = ("digits", "letters"),
    seeds: int = 2,
    sizes: tuple[int, ...] = SIZES,
) -> pd.DataFrame:
    """Nets whose log R_f and log D_f have the correlations r and d with log eps_t; what is left is mostly the net's."""
    rows = []
    for task in tasks:

        def noise() -> np.ndarray:
            own = rng.normal(size=(1, len(names)))
            return np.sqrt(0.8) * own + np.sqrt(0.2) * rng.normal(size=(len(sizes), len(names)))

        error = noise()
        ratio, diffeo = (c * error + np.sqrt(1 - c**2) * noise() for c in (r, d))
        for i, size in enumerate(sizes):
            for j, name in enumerate(names):
                for seed in range(seeds):
                    lift = np.exp(0.02 * rng.normal(size=3))
                    big = float(np.exp(0.5 * ratio[i, j]) * lift[0])
                    small = float(0.01 * np.exp(0.3 * diffeo[i, j]) * lift[1])
                    rows.append(
                        {
                            **{"source": "images", "task": task, "architecture": name, "train_size": size},
                            **{"seed": seed, "stage": "trained", "relative_stability": big},
                            **{"diffeo_stability": small, "noise_stability": small / big},
                            "test_error": float(0.1 * size**-0.2 * np.exp(0.2 * error[i, j]) * lift[2]),
                        }
                    )
    return curve_table(rows)
