"""How far layers are from following a deformation: known layers, and the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

from empirical import Probes, displacement_fields, draw_probes, measure_layers, warp  # noqa: E402
from theory import InputError  # noqa: E402


def probes() -> Any:
    noise = torch.rand(12, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    return draw_probes(nn.functional.avg_pool2d(noise, 5, 1), cutoff=2, displacement=0.7, rng=1)


class Placed(nn.Module):
    """Weights that differ from pixel to pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16, generator=torch.Generator().manual_seed(2)))

    def forward(self, x: Any) -> Any:
        return x * self.weight


def test_what_acts_pixel_by_pixel_follows_and_what_knows_places_does_not() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 1), Placed(), nn.Flatten(), nn.Linear(1024, 5)).eval()
    same, mixed, placed, flat, last = measure_layers(net, probes(), equivariance=True, resamples=50)
    for one in (same, mixed):
        assert one.equivariance is not None
        assert one.equivariance.value < 1e-9
        assert one.stability.diffeo.value > 1e-3
    assert placed.equivariance is not None
    assert placed.equivariance.value > 0.1 * placed.stability.diffeo.value  # control
    assert flat.equivariance is last.equivariance is None


def test_the_definition_at_another_resolution() -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 4, 3, stride=2)
    shown = probes()
    (found,) = measure_layers(nn.Sequential(layer), shown, equivariance=True, batch_size=5)
    with torch.no_grad():
        clean, deformed, noisy = (layer(x) for x in (shown.clean, shown.deformed, shown.noisy))
    fields = displacement_fields(shown.coefficients, clean.shape[-1])
    left = ((deformed - warp(clean, fields)) ** 2).flatten(1).sum(1).mean()
    flat = clean.flatten(1)
    pairs = (torch.cdist(flat, flat) ** 2).sum() / (12 * 11)
    moved = ((noisy - clean) ** 2).flatten(1).sum(1).mean()
    assert found.equivariance is not None
    assert found.equivariance_over_noise is not None
    np.testing.assert_allclose(found.equivariance.value, float(left / pairs), rtol=1e-4)
    np.testing.assert_allclose(found.equivariance_over_noise.value, float(left / moved), rtol=1e-4)
    assert found.equivariance.low < found.equivariance.value < found.equivariance.high


def test_probes_without_fields_are_refused() -> None:
    shown = probes()
    bare = Probes(shown.clean, shown.deformed, shown.noisy, 2, 0.7, 1.0, 0.0)
    with pytest.raises(InputError, match="probes = without coefficients"):
        measure_layers(nn.Sequential(nn.Identity()), bare, equivariance=True)
    assert measure_layers(nn.Sequential(nn.Identity()), bare)[0].equivariance is None
