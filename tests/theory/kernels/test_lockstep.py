"""Trajectories that meet at a kernel: together what each is alone, and no thread left waiting."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence

import numpy as np
import pytest

from theory import FlowConfig, InputError, Stripe
from theory.flow import simulation as flow
from theory.flow.state import LeftRange
from theory.kernels import Field, get_kernel
from theory.kernels.lockstep import in_step
from theory.model.network import Network

CONFIG = FlowConfig(width=30, test_size=200, unfit_fractions=(0.9, 0.5))


class NumpyBatch:
    """A batch as a GPU has it, on the reference kernel; `launches` holds the slots of each."""

    def __init__(self, problems: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], scale: float, loss: str) -> None:
        self.fields = [get_kernel("numpy")(*problem, scale, loss) for problem in problems]
        self.launches: list[list[int]] = []

    def __call__(
        self, networks: Sequence[Network], points: Sequence[np.ndarray | None], slots: Sequence[int]
    ) -> list[tuple[np.ndarray, Network]]:
        self.launches.append(list(slots))
        asked = zip(slots, networks, points, strict=True)
        return [self.fields[slot](network, chosen) for slot, network, chosen in asked]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[NumpyBatch]:
    """Flows go through `NumpyBatch`; those made."""
    made: list[NumpyBatch] = []

    def batch(*arguments) -> NumpyBatch:  # type: ignore[no-untyped-def]
        made.append(NumpyBatch(*arguments))
        return made[-1]

    monkeypatch.setattr(flow, "get_batch_kernel", lambda backend: batch)
    return made


@pytest.mark.parametrize("loss", ["softhinge", "hinge"])
def test_together_they_are_bit_for_bit_what_each_is_alone(loss: str, batches: list[NumpyBatch]) -> None:
    """Ten seeds, records and nets; every launch serves all that still run, and callbacks never overlap."""
    config = FlowConfig(width=30, loss=loss, test_size=200, unfit_fractions=(0.9, 0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "get_batch_kernel", lambda backend: None)
        alone = [flow.simulate(Stripe(6), 100, config, seed=seed, backend="numpy") for seed in range(10)]
    ended: list[int] = []
    parts: list[float] = []
    together = flow.simulate_many(
        Stripe(6), 100, config, seeds=range(10), progress=parts.append, finish=lambda path: ended.append(path.seed)
    )
    for one, other in zip(together, alone, strict=True):
        assert one.records == other.records
        assert one.network is not None
        assert other.network is not None
        assert np.array_equal(one.network.flat, other.network.flat)
        assert (one.evaluations, one.points_looked_at) == (other.evaluations, other.points_looked_at)
    counts = [len(slots) for slots in batches[0].launches]
    assert counts == sorted(counts, reverse=True)  # none waits for a launch that it could have had
    assert counts[0] == 10
    assert len(counts) == max(path.evaluations for path in alone)
    assert ended == [path.seed for path in sorted(alone, key=lambda path: (path.evaluations, path.seed))]
    assert parts[-1] == pytest.approx(1)


def test_a_failure_of_one_leaves_the_others_and_is_raised_at_the_end(
    batches: list[NumpyBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = flow.Stepper.step
    failed: list[int] = []
    ended: list[int] = []

    def step(self, state, field):  # type: ignore[no-untyped-def]
        if state.steps == 5 and not failed:
            failed.append(state.steps)
            raise LeftRange
        return original(self, state, field)

    monkeypatch.setattr(flow.Stepper, "step", step)
    with pytest.raises(InputError, match=r"scale = 1e-06: the flow left the range of float32 after 5 steps"):
        flow.simulate_many(Stripe(6), 50, CONFIG, seeds=(0, 1, 2), finish=lambda path: ended.append(path.seed))
    assert len(ended) == 2
    assert len(batches[0].launches[-1]) < 3


@pytest.mark.parametrize("where", ["kernel", "settle"])
def test_what_breaks_the_meeting_ends_every_thread(where: str) -> None:
    """An interrupt in the kernel or in the caller's callback is raised at once, and nobody sleeps on."""
    before = threading.active_count()

    def batch(networks, points, slots):  # type: ignore[no-untyped-def]
        if where == "kernel":
            raise KeyboardInterrupt
        return [(np.zeros(1), network) for network in networks]

    def run(field: Field) -> int:
        try:
            return len(field(Network(np.zeros((1, 1)), np.zeros(1), np.zeros(1)))[0])
        except Exception:
            pytest.fail("an end is no exception that a run may handle")

    def settle(slot: int, outcome: int | BaseException) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_step(batch, [run] * 4, settle)
    assert threading.active_count() == before


def test_a_trajectory_that_is_cut_says_so_from_its_thread(batches: list[NumpyBatch]) -> None:
    cut = FlowConfig(width=30, test_size=50, max_steps=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flow.simulate_many(Stripe(6), 50, cut, seeds=(0, 1))
    said = [str(one.message) for one in caught if "max_steps after 3 steps" in str(one.message)]
    assert len(said) == 2
    assert len(batches) == 1
