"""RelativeStability as a torchmetrics metric: the numbers of `measure_probes`, batch after batch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")

from empirical import RelativeStability, build, draw_probes, measure_probes  # noqa: E402
from empirical.stability.measure import Outputs, measure_outputs  # noqa: E402
from theory import InputError  # noqa: E402

IMAGES = torch.rand(30, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_one_batch_is_measure_probes() -> None:
    net = build("lenet", 1, 16, 10, 0)
    metric = RelativeStability(cutoff=3, displacement=0.5, seed=7)
    metric.update(net, IMAGES)
    probes = draw_probes(IMAGES, cutoff=3, displacement=0.5, rng=np.random.default_rng([7, 0, 0]))
    expected = measure_probes(net, probes, resamples=0)
    found = metric.compute()
    assert [float(found[name]) for name in ("D_f", "G_f", "R_f")] == [
        expected.diffeo.value, expected.noise.value, expected.relative.value,
    ]  # fmt: skip
    assert net.training  # its mode is put back


@pytest.mark.parametrize("average", ["mean", "median", "coordinate-median"])
def test_batches_are_pooled(average: str) -> None:
    """Three batches: the average over all their images, not that of three values; every batch has its own draws."""
    net = build("lenet", 1, 16, 10, 0)
    metric = RelativeStability(displacement=0.5, average=average)  # type: ignore[arg-type]
    parts: list[list[torch.Tensor]] = [[], [], []]
    for place, batch in enumerate(IMAGES.split(11)):
        metric.update(net, batch)
        probes = draw_probes(batch, displacement=0.5, rng=np.random.default_rng([0, 0, place]))
        with torch.no_grad():
            for kept, shown in zip(parts, (probes.clean, probes.deformed, probes.noisy), strict=True):
                kept.append(net.eval()(shown).double())
    outputs = Outputs(*(torch.cat(part).numpy() for part in parts))
    expected = measure_outputs(outputs, average=average, rng=np.random.default_rng(0), resamples=0)  # type: ignore
    found = metric.compute()
    assert [float(found[name]) for name in ("D_f", "G_f", "R_f")] == pytest.approx([one.value for one in expected])


def test_after_a_reset_the_same_batches_meet_the_same_probes() -> None:
    net, other = (build("lenet", 1, 16, 10, seed) for seed in (0, 1))
    metric = RelativeStability(displacement=0.5)

    def value(model: torch.nn.Module) -> float:
        metric.reset()
        for batch in IMAGES.split(10):
            metric.update(model, batch)
        return float(metric.compute()["R_f"])

    first = value(net)
    assert value(other) != first
    assert value(net) == first
    metric.update(net, IMAGES[:10])  # a fourth batch meets new ones
    assert torch.equal(metric.clean[3], metric.clean[0])
    assert not torch.equal(metric.deformed[3], metric.deformed[0])


def test_among_other_metrics_and_through_a_checkpoint() -> None:
    """In a collection, and its state saved in between: torchmetrics' own machinery works on it."""
    net = build("lenet", 1, 16, 10, 0)
    collection = torchmetrics.MetricCollection({"stability": RelativeStability(displacement=0.5)})
    collection.update(net, IMAGES)
    whole = RelativeStability(displacement=0.5)
    whole.persistent(True)
    whole.update(net, IMAGES)
    again = RelativeStability(displacement=0.5)
    again.persistent(True)
    again.load_state_dict(whole.state_dict())
    again._update_count = 1  # torchmetrics does not keep it in the state
    values = [float(one["R_f"]) for one in (collection.compute(), whole.compute(), again.compute())]
    assert values[0] == values[1] == values[2]


def test_refusals() -> None:
    with pytest.raises(InputError, match="cutoff = 1"):
        RelativeStability(cutoff=1)
    with pytest.raises(InputError, match="displacement, temperature"):
        RelativeStability(displacement=1.0, temperature=1e-3)
    with pytest.raises(InputError, match="average = mode"):
        RelativeStability(average="mode")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"images\.shape"):
        RelativeStability().update(build("lenet", 1, 16, 10, 0), IMAGES[0])
    with pytest.raises(InputError, match="batch_norm = none"):
        RelativeStability(batch_norm="none")  # type: ignore[arg-type]
    with (
        pytest.warns(UserWarning, match="compute"),
        pytest.raises(InputError, match="images = 0: at least 2 are needed"),
    ):
        RelativeStability().compute()


def test_called_it_updates_and_gives_the_batch_s_numbers() -> None:
    """metric(model, images): each batch has draws of its own, and compute pools them all."""
    net = build("lenet", 1, 16, 10, 0)
    called, updated = RelativeStability(displacement=0.5), RelativeStability(displacement=0.5)
    values = [float(called(net, IMAGES)["R_f"]) for _ in range(2)]
    for _ in range(2):
        updated.update(net, IMAGES)
    assert values[0] != values[1]
    assert float(called.compute()["R_f"]) == float(updated.compute()["R_f"])
    one = RelativeStability(displacement=0.5)
    one.update(net, IMAGES)
    assert float(one.compute()["R_f"]) == values[0]
