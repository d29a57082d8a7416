"""Stability layer by layer, and probes that several nets share."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from scipy import stats  # noqa: E402
from torch import nn  # noqa: E402

from empirical import (  # noqa: E402
    Probes,
    build,
    draw_probes,
    measure_layers,
    measure_probes,
    measure_stability,
)
from theory import InputError  # noqa: E402

IMAGES = torch.rand(60, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    return build("lenet", 1, 16, 10, 0)


def test_the_last_layer_is_the_net() -> None:
    """Point values to rounding of single precision; both bootstraps are over images: intervals within a third."""
    whole = measure_stability(net(), IMAGES, rng=5)
    last = measure_layers(net(), draw_probes(IMAGES, rng=5), rng=1)[-1]
    assert (last.name, last.kind) == ("11", "Linear")
    for mine, theirs in (
        (last.stability.diffeo, whole.diffeo), (last.stability.noise, whole.noise),
        (last.stability.relative, whole.relative),
    ):  # fmt: skip
        assert mine.value == pytest.approx(theirs.value, rel=1e-4)
        assert mine.n == theirs.n == 60
        assert mine.error == pytest.approx(theirs.error, rel=0.33)
    assert last.stability.temperature == whole.temperature
    assert last.stability.folded_fraction == whole.folded_fraction


def test_layers_are_exact_for_a_linear_net() -> None:
    """Two layers of which the first is the identity: R_1 = 1 (the noise has the deformation's norm), by definition."""
    plain = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(256, 3))
    probes = draw_probes(IMAGES, rng=0)
    found = {one.name: one.stability for one in measure_layers(plain, probes)}
    assert found["0"].relative.value == pytest.approx(1, rel=1e-5)
    flat = probes.clean.flatten(1).double()
    distances = torch.cdist(flat, flat)[torch.triu_indices(60, 60, 1).unbind()] ** 2
    moved = ((probes.deformed - probes.clean).double() ** 2).flatten(1).sum(1).mean()
    assert found["0"].diffeo.value == pytest.approx(float(moved / distances.mean()), rel=1e-5)


def test_memory_bounds_the_layers_kept_and_changes_nothing() -> None:
    probes = draw_probes(IMAGES)
    calls = []
    model = net()
    model.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    once = measure_layers(model, probes)
    few = len(calls)
    again = measure_layers(model, probes, memory=1, batch_size=7)
    assert len(calls) > 5 * few
    for one, other in zip(once, again, strict=True):
        assert one.stability.relative.value == pytest.approx(other.stability.relative.value, rel=1e-3)
    assert not model._forward_hooks
    assert all(not module._forward_hooks for module in model.modules())


def test_probes_are_paired_between_nets_and_with_measure_stability() -> None:
    one, other = (draw_probes(IMAGES, rng=np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one.deformed, other.deformed)
    assert torch.equal(one.noisy, other.noisy)
    assert not torch.equal(one.noisy, draw_probes(IMAGES, rng=4).noisy)
    norms = [(part - one.clean).flatten(1).norm(dim=1) for part in (one.deformed, one.noisy)]
    assert torch.allclose(norms[0], norms[1], rtol=1e-5)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu, self.unused, self.last = nn.ReLU(), nn.Linear(2, 2), nn.Linear(256, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.last(self.relu(x.flatten(1))))


def test_layers_without_an_output_of_their_own_are_left_out_or_refused() -> None:
    probes = draw_probes(IMAGES)
    with pytest.warns(UserWarning, match=r"layers left out: relu \(reached more than once\); unused \(never reached\)"):
        assert [one.name for one in measure_layers(Twice(), probes)] == ["last"]
    for name, message in (
        ("relu", "layers = relu: is reached more than once"),
        ("unused", "layers = unused: is never reached"),
        ("nowhere", "layers = nowhere: must be names of the model's modules: relu, unused, last"),
    ):
        with pytest.raises(InputError, match=message):
            measure_layers(Twice(), probes, layers=[name])


def test_a_layer_that_is_not_finite_is_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 3), nn.Linear(3, 2))
    nn.init.constant_(model[1].bias, float("nan"))
    with pytest.raises(InputError, match="model output = of 1 not finite"):
        measure_layers(model, draw_probes(IMAGES))


@pytest.mark.slow
def test_layers_intervals_cover() -> None:
    """R_k of a layer with known ratio 0.25, 300 sets of 200 images, nominal 90 %; required as for whole nets.

    The model's one layer passes on what it is given: Gaussian outputs in the place of images. The control takes every
    image twice, as if they were 400, and must fall below.
    """
    rng = np.random.default_rng(0)
    layer = nn.Sequential(nn.Identity())
    inside = twice = 0
    for trial in range(300):
        clean = rng.standard_normal((200, 3))
        parts = clean, clean + 0.5 * rng.standard_normal((200, 3)), clean + rng.standard_normal((200, 3))
        for copies in (1, 2):
            batches = [torch.as_tensor(np.repeat(part, copies, axis=0)) for part in parts]
            probes = Probes(*batches, cutoff=3, displacement=1.0, temperature=1e-3, folded_fraction=0.0)
            found = measure_layers(layer, probes, rng=trial, resamples=200, confidence=0.9, batch_size=400)
            (one,) = (layer.stability.relative for layer in found)
            if copies == 1:
                inside += one.low <= 0.25 <= one.high
            else:
                twice += one.low <= 0.25 <= one.high
    low, high = stats.binom(300, 0.88).ppf([0.0005, 0.9995])
    assert low <= inside <= high
    assert twice < low


def test_batch_norm_at_initialisation() -> None:
    """Layers under the statistics that are named: the last one is the net's, whichever they are."""
    model = build("resnet-small", 1, 16, 10, 0)
    probes = draw_probes(IMAGES, displacement=0.5, rng=5)
    found = {}
    for batch_norm in ("running", "clean", "own"):
        whole = measure_probes(model, probes, batch_norm=batch_norm, resamples=0)
        with pytest.warns(UserWarning, match=r"3.relu, 4.relu, 5.relu \(reached more than once\)"):
            last = measure_layers(model, probes, batch_norm=batch_norm, resamples=0, batch_size=60)[-1]
        assert last.stability.relative.value == pytest.approx(whole.relative.value, rel=1e-3)
        found[batch_norm] = whole.relative.value
    assert len(set(found.values())) == 3
    assert all(module.num_batches_tracked == 0 for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    with pytest.raises(InputError, match="batch_norm = none"):
        measure_layers(model, probes, batch_norm="none")  # type: ignore[arg-type]
