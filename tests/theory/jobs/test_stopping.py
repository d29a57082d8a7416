"""A sweep that is asked to stop: what runs keeps its state, what waits is not begun, and nothing counts as failed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from theory.jobs.executors import InProcess, Processes, run_jobs
from theory.jobs.stopping import Stopped, asked_to_stop, stop_politely

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")


def patient(folder: str, name: str, polite: bool) -> str:
    """A job that takes a minute, unless it is asked to stop and polite."""
    (Path(folder) / f"{name}.began").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
        if polite and asked_to_stop():
            (Path(folder) / f"{name}.kept").touch()
            raise Stopped
    return name


def signal_when_begun(folder: Path, count: int) -> None:
    """Ask this process to stop once that many jobs have begun."""

    def watch() -> None:
        while len(list(folder.glob("*.began"))) < count:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.slow
@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_runs_keeps_its_state_and_the_rest_is_not_begun(tmp_path: Path, workers: int, polite: bool) -> None:
    """Control: jobs that do not look are ended after the grace, and keep nothing."""
    jobs = {name: (str(tmp_path), name, polite) for name in "abcd"}
    done: list[str] = []
    failed: list[str] = []
    signal_when_begun(tmp_path, workers)
    began = time.monotonic()
    with stop_politely(grace=2) as received, pytest.raises(Stopped):
        run_jobs(
            patient, jobs, InProcess() if workers == 1 else Processes(workers), lambda key, _: done.append(key),
            retries=1, fail=lambda key, error, tries: failed.append(key),
        )  # fmt: skip
    assert time.monotonic() - began < 50
    assert (received, done, failed) == ([signal.SIGUSR1], [], [])
    assert len(list(tmp_path.glob("*.began"))) == workers
    assert len(list(tmp_path.glob("*.kept"))) == (workers if polite else 0)
    assert not asked_to_stop()


def test_a_job_that_is_done_in_time_is_done(tmp_path: Path) -> None:
    with stop_politely():
        done: list[int] = []

        def finish(key: int, result: int) -> None:
            done.append(result)
            os.kill(os.getpid(), signal.SIGUSR1)

        run_jobs(abs, {1: (-1,)}, 1, finish)  # nothing is left: not stopped
        with pytest.raises(Stopped):
            run_jobs(abs, {2: (-2,), 3: (-3,)}, 1, finish)
    assert done == [1]
    run_jobs(abs, {2: (-2,)}, 1, lambda key, result: done.append(result))
    assert done == [1, 2]
