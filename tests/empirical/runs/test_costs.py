"""What a sweep will take: timed once for each kind of net, and in proportion to the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import empirical.runs.costs  # noqa: E402
from empirical import Experiment, ImageConfig, StripeConfig  # noqa: E402
from empirical.runs.kinds import estimated_seconds  # noqa: E402

TINY = ImageConfig(image_size=16, train_size=16, epochs=1, min_steps=3, probe_size=20)


def test_a_net_of_a_kind_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 runs of two architectures at two image sizes, whose batches are of three sizes: four nets."""
    built: list[tuple[object, ...]] = []
    original = empirical.runs.costs.build

    def counted(*kind: object) -> object:
        built.append(kind)
        return original(*kind)  # type: ignore[arg-type]

    monkeypatch.setattr(empirical.runs.costs, "build", counted)
    grids = [
        Experiment(replace(TINY, image_size=side), (8, 16, 32), (0, 1), ("fc2", "vgg-small-bn")) for side in (8, 16)
    ]
    configs = [config for grid in grids for config in grid.configs()]
    assert len(configs) == 24
    told: list[tuple[float, str]] = []
    assert set(estimated_seconds(configs, progress=lambda *report: told.append(report))) == set(configs)
    assert len(built) == len(set(built)) == 4
    assert [part for part, _ in told] == [0, 0.25, 0.5, 0.75]
    assert {name for _, name in told} == {"fc2", "vgg-small-bn"}


def test_twice_the_steps_take_twice_the_time() -> None:
    """To the last digit, since what they share is timed once; a test set is evaluated in the end of either."""
    one, two, four = (replace(TINY, min_steps=steps) for steps in (1000, 2000, 4000))
    seconds = estimated_seconds([one, two, four, StripeConfig()])
    assert set(seconds) == {one, two, four}
    assert seconds[four] - seconds[two] == pytest.approx(2 * (seconds[two] - seconds[one]))
    assert seconds[two] > seconds[one] > 0


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        estimated_seconds([TINY])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
