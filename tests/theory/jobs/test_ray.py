"""Jobs on a Ray cluster of this machine: the same results, retries, workers and machines that go away."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from theory import FlowConfig, InputError, Stripe, curve
from theory.jobs.executors import RayCluster, chosen_executor, run_jobs
from theory.jobs.work import WorkerDied

ray = pytest.importorskip("ray", reason="ray is not installed (the extra `cluster`)")


#: Workers find this file, too.
QUIET: dict[str, Any] = {
    "log_to_driver": False, "logging_level": "ERROR",
    "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
}  # fmt: skip


def _refuse(value: int) -> int:
    if value == 2:
        raise InputError("value", value, "must not be 2")
    return value * value


def _die_once(folder: str, value: int) -> int:
    mark = Path(folder) / str(value)
    if value == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def _slow(folder: str, value: int) -> int:
    """Leaves a mark at the start of each try, and takes some seconds."""
    (Path(folder) / f"{value}-{time.time_ns()}").touch()
    time.sleep(3)
    return value


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two cores of this machine; `RayCluster` works in a cluster that is already connected.

    Always its own: another test process may have one running, which Ray would take.
    """
    ray.init(address="local", num_cpus=2, include_dashboard=False, **QUIET)
    yield RayCluster()
    ray.shutdown()


@pytest.mark.slow
def test_results_errors_and_retries(cluster: RayCluster, tmp_path: Path) -> None:
    """Every job ends once; an InputError is not tried again; one whose process was killed is."""
    found: list[tuple[int, int]] = []
    failed: list[tuple[int, str, int]] = []
    run_jobs(
        _refuse, {k: (k,) for k in range(5)}, cluster, lambda *result: found.append(result),
        retries=3, fail=lambda key, error, tries: failed.append((key, type(error).__name__, tries)),
    )  # fmt: skip
    assert sorted(found) == [(0, 0), (1, 1), (3, 9), (4, 16)]
    assert failed == [(2, "InputError", 1)]
    values: list[int] = []
    run_jobs(
        _die_once, {k: (str(tmp_path), k) for k in range(3)}, cluster, lambda key, value: values.append(value),
        retries=1,
    )  # fmt: skip
    assert sorted(values) == [0, 1, 2]
    (tmp_path / "1").unlink()
    with pytest.raises(WorkerDied, match="Ray lost it"):
        run_jobs(_die_once, {1: (str(tmp_path), 1)}, cluster, lambda *result: None)


@pytest.mark.slow
def test_a_curve_is_the_same_to_the_bit(cluster: RayCluster) -> None:
    config = FlowConfig(width=30, unfit_fractions=(0.5,), test_size=500)
    here, there = (curve(Stripe(5), [16, 32], [0, 1], config, workers=place) for place in (1, cluster))
    pd.testing.assert_frame_equal(here, there, check_exact=True)


@pytest.mark.slow
def test_a_machine_that_goes_away_takes_no_job_with_it(tmp_path: Path) -> None:
    """A second node of a local cluster is removed while it is at its jobs: these are done again, elsewhere."""
    from ray.cluster_utils import Cluster

    ray.shutdown()  # the other tests' cluster, if there is one
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second: Any = nodes.add_node(num_cpus=2)
    ray.init(address=nodes.address, **QUIET)
    try:

        def leave() -> None:
            deadline = time.monotonic() + 120
            while len(list(tmp_path.iterdir())) < 3 and time.monotonic() < deadline:  # all three cores are at work
                time.sleep(0.1)
            nodes.remove_node(second, allow_graceful=False)

        threading.Thread(target=leave).start()
        found: list[int] = []
        run_jobs(
            _slow, {k: (str(tmp_path), k) for k in range(5)}, RayCluster(), lambda key, value: found.append(value),
            retries=2,
        )  # fmt: skip
    finally:
        ray.shutdown()
        nodes.shutdown()
    assert sorted(found) == list(range(5))
    assert len(list(tmp_path.iterdir())) > 5  # the lost ones were begun again


def test_options_make_the_executor() -> None:
    assert chosen_executor(1, "local") == RayCluster()
    assert chosen_executor(3, "auto", cpus_each=2, gpus_each=0.25) == RayCluster("auto", 3, 2, 0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpus": 1.5}, "gpus = 1.5: must be a whole number above 1"),
        ({"gpus": -1}, "gpus = -1"),
        ({"cpus": 0}, "cpus = 0"),
        ({"workers": 0}, "workers = 0"),
    ],
)
def test_what_is_not_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RayCluster(**given)


def test_nobody_at_the_address_is_told_at_once() -> None:
    ray.shutdown()  # the other tests' cluster, if there is one, would be taken
    began = time.monotonic()
    with pytest.raises(InputError, match=r"ray = 127\.0\.0\.1:9: no cluster answers there"):
        run_jobs(_refuse, {0: (0,)}, RayCluster("127.0.0.1:9"), lambda *result: None)
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_more_than_this_machine_has_is_refused() -> None:
    """Ray itself would wait for ever, in silence."""
    ray.shutdown()
    with pytest.raises(InputError, match="ray = local: this machine has not the 10000 cores"):
        run_jobs(_refuse, {0: (0,)}, RayCluster(cpus=10_000), lambda *result: None)
