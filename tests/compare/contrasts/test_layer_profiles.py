"""D, G and R from layer to layer: planted profiles, paired by seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare.contrasts.layer_profiles import layer_profiles
from theory.common.errors import InputError
from theory.common.table import curve_table


def planted(seeds: int = 5, layers: int = 4):
    """After training D_k ~ 2^-k and G_k ~ 2^k, before neither; each seed has a factor of its own at all layers."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        own = math.exp(rng.standard_normal())
        for stage, base in (("initial", 1.0), ("trained", 2.0)):
            for k in range(1, layers + 1):
                diffeo, noise = (own * base ** (sign * k) * math.exp(0.02 * rng.standard_normal()) for sign in (-1, 1))
                rows.append(
                    {
                        "source": "scale-net", "task": "scale", "architecture": "cnn", "train_size": 64, "seed": seed,
                        "stage": stage, "layer": f"layer{k}", "diffeo_stability": diffeo, "noise_stability": noise,
                        "relative_stability": diffeo / noise,
                    }
                )  # fmt: skip
    return curve_table(rows)


def test_what_falls_and_rises_with_depth_is_told_by_paired_seeds():
    initial, trained = layer_profiles(planted())
    assert (initial.stage, trained.stage) == ("initial", "trained")
    assert trained.names == ("layer1", "layer2", "layer3", "layer4")
    for measure, factor in (("diffeo_stability", 1 / 8), ("noise_stability", 8), ("relative_stability", 1 / 64)):
        change = trained.change[measure]
        assert change.low < factor < change.high
        assert change.high / change.low < 1.3  # though seeds differ by factors of e
        still = initial.change[measure]
        assert still.low < 1 < still.high  # the control
    first = trained.layers["diffeo_stability"][0]
    assert first.high / first.low > 2
    assert trained.lines()[-1].startswith("  from layer1 to layer4: D times 0.12")
    assert trained.summary()["layers"]["layer2"]["noise_stability"]["n"] == 5
    assert len(trained.plot().lines) >= 3


def test_another_p_or_one_layer_is_refused():
    with pytest.raises(InputError, match="two layers or more of a net at P = 128"):
        layer_profiles(planted(), train_size=128)
    with pytest.raises(InputError, match="two layers or more of a net$"):
        layer_profiles(planted(layers=1))
    assert len(layer_profiles(planted(), train_size=64)) == 2
