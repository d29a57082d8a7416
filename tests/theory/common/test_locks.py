"""One holder at a time, on one machine and on several whose system locks do not see each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theory.common import locks
from theory.common.locks import Holder, Lock

HOLD = """
import sys, time
from pathlib import Path
from theory.common import locks
host, local, path, seconds = sys.argv[1], sys.argv[2] == "local", Path(sys.argv[3]), float(sys.argv[4])
locks.platform.node = locks._machine = lambda: host
if local:  # a mount that keeps the system's locks to each machine
    locks._system_lock = lambda file, shared=False: True
with locks.Lock(path, expiry=1.0).hold(wait=False) as mine:
    print("mine" if mine else "taken", flush=True)
    time.sleep(seconds if mine else 0)
"""
ROOT = str(Path(locks.__file__).parents[2])


def other(host: str, path: Path, seconds: float = 30, kind: str = "shared") -> tuple[subprocess.Popen[str], str]:
    """A process on `host` that tries to hold the lock, and what came of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, host, kind, str(path), str(seconds)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ROOT},
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_one_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run")
    with lock.hold(wait=False) as mine:
        assert mine
        with lock.hold(wait=False) as again:
            assert not again
        found = lock.holder()
        assert found is not None
        assert (found.host, found.process) == (Holder.here().host, os.getpid())
    assert lock.holder() is None
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    process, told = other(Holder.here().machine, tmp_path / "run")
    lock = Lock(tmp_path / "run")
    with lock.hold(wait=False) as mine:
        assert (told, mine) == ("mine", False)
    kill(process)
    assert lock.holder() is None
    with lock.hold(wait=False) as mine:
        assert mine


@pytest.mark.parametrize("kind", ["shared", "local"])
def test_another_machine_is_seen_whatever_the_mount(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with the system's lock alone both have it on the mount that keeps locks to each machine."""
    process, told = other("elsewhere", tmp_path / "run", kind=kind)
    lock = Lock(tmp_path / "run", expiry=1.0)
    time.sleep(1.5)  # longer than the expiry: the holder renews
    with lock.hold(wait=False) as mine:
        assert (told, mine) == ("mine", False)
    assert str(lock.holder()) == f"elsewhere, process {process.pid}"
    with (tmp_path / "run").open("a") as file:
        assert locks._system_lock(file) is (kind == "local")
    kill(process)
    began = time.monotonic()
    with lock.hold(wait=True) as mine:
        assert mine
    assert 0.3 < time.monotonic() - began < 10


def test_a_job_that_ended_holds_nothing_and_one_requeued_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock(tmp_path / "run", gone=lambda holder: holder.job == "17")
    for job, free in (("17", True), ("18", False)):
        lock.claim.write_text(json.dumps({"host": "elsewhere", "process": 1, "job": job, "machine": "", "token": "a"}))
        assert (lock.holder() is None) == free
        with lock.hold(wait=False) as mine:
            assert mine == free
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    with lock.hold(wait=False) as mine:
        assert mine


def test_a_claim_that_says_nothing_expires(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run", expiry=1.0)
    lock.claim.write_text("")
    with lock.hold(wait=False) as mine:
        assert not mine
    with lock.hold(wait=True) as mine:
        assert mine


@pytest.mark.slow
def test_many_want_it_and_one_has_it(tmp_path: Path) -> None:
    """Six processes whose system locks do not see each other, after a holder was killed: one takes over."""
    process, told = other("first", tmp_path / "run", kind="local")
    assert told == "mine"
    kill(process)
    time.sleep(1.2)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, f"host{i}", "local", str(tmp_path / "run"), "3"],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ROOT},
        )
        for i in range(6)
    ]  # fmt: skip
    assert sorted(one.communicate(timeout=60)[0].strip() for one in started).count("mine") == 1


def test_without_system_locks_a_store_still_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    lock = Lock(tmp_path / "run", expiry=1.0)
    with lock.hold(wait=False) as mine:
        assert mine
        assert lock.holder() is not None
        with lock.hold(wait=False) as again:
            assert not again
    assert lock.holder() is None
