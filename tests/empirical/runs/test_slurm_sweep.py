"""Sweeps on a real Slurm of this machine: the table to the bit, what is refused, and a task that is told to stop."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, missing, slurm_cluster

pytest.importorskip("torch", reason="torch is not installed")

from empirical import Experiment, ImageConfig, RunStore, StripeConfig, TheoryConfig, read_experiments, sweep
from empirical.runs.slurm_sweep import as_toml
from theory import InputError, Slurm

ROOT = Path(__file__).parents[3]
GRID = Experiment(TheoryConfig(dim=5, width=50), (16, 32), (0, 1))

needs_slurm = pytest.mark.skipif(missing() is not None, reason=f"no Slurm here: {missing()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as running:
        running.environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        yield running


def relstab(cluster: SlurmCluster, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relstab", "sweep", str(folder / "grid.toml"), f"--store={folder / 'runs'}"]
    return subprocess.run(
        [*command, *options], env=cluster.environment, cwd=folder, capture_output=True, text=True, timeout=200
    )


@pytest.mark.parametrize(
    "experiment",
    [
        GRID,
        Experiment(TheoryConfig(scale=math.inf, noise_norms=(0.1, 1.0)), (8,), (3,)),
        Experiment(StripeConfig(dim=7), (16,)),
        Experiment(ImageConfig(dataset="digits", image_size=16, epochs=3), (16, 64), (0,), ("lenet", "my_nets:make")),
        Experiment(ImageConfig(dataset="digits", image_size=16, architecture="fc2"), (16,)),
    ],
)
def test_experiments_are_written_as_they_are_read(experiment: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(as_toml([experiment, experiment]))
    assert [one.configs() for one in read_experiments(path)] == [experiment.configs()] * 2


@pytest.mark.slow
@needs_slurm
def test_the_table_of_an_array_is_that_of_one_process(
    cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the executor, which waits for the array's end."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    table = sweep(GRID, tmp_path / "runs", Slurm(jobs=2, time="10")).drop(columns="seconds")
    assert table.equals(sweep(GRID).drop(columns="seconds"))
    assert len(list((tmp_path / "runs" / ".slurm").glob("experiments-*.toml"))) == 1
    logs = sorted((tmp_path / "runs" / ".slurm").glob("*_*.log"))
    assert len(logs) == 2
    assert all("nothing is free" in log.read_text() for log in logs)


@pytest.mark.slow
@needs_slurm
def test_a_task_that_is_told_keeps_its_state_and_is_queued_again(cluster: SlurmCluster, tmp_path: Path) -> None:
    """Its run goes on from the epoch that it had come to; `--status` says where it runs."""
    net = ImageConfig(dataset="digits", image_size=16, min_steps=60000, epochs=1, batch_size=16, probe_size=20)
    grid = Experiment(replace(net, architecture="fc2"), (16,), (0,))
    (tmp_path / "grid.toml").write_text(as_toml([grid]))
    told = relstab(cluster, tmp_path, "--slurm", "--json")
    job = json.loads(told.stdout)["job"]
    store, config = RunStore(tmp_path / "runs"), grid.configs()[0]
    log = store.log(config)
    wait_for(lambda: log.is_file() and len(log.read_text().splitlines()) > 2, tmp_path)
    status = json.loads(relstab(cluster, tmp_path, "--status", "--json").stdout)
    assert f"job {job}" in status["at_work"][0]["by"]
    cluster.call("scancel", "--batch", "--signal=USR1", f"{job}_0")
    task = tmp_path / "runs" / ".slurm" / f"{job}_0.log"
    wait_for(lambda: "states are kept" in task.read_text(), tmp_path)
    assert store.checkpoint(config).is_file()
    cluster.wait(job, 200)
    assert store.state(config) == "done"
    assert "nothing is free" in task.read_text()


def wait_for(happened: object, folder: Path, seconds: float = 150) -> None:
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if happened():  # type: ignore[operator]
                return
        if time.monotonic() > until:
            logs = "".join(log.read_text() for log in (folder / "runs" / ".slurm").glob("*.log"))
            raise TimeoutError(logs)
        time.sleep(0.1)


@pytest.mark.slow
@needs_slurm
def test_slurm_s_own_refusal_is_one_line_and_nothing_is_submitted(cluster: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(as_toml([GRID]))
    done = relstab(cluster, tmp_path, "--slurm", "--sbatch=--partition=nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sbatch did not take the job" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
    assert cluster.call("squeue", "--noheader", "--states=PENDING,RUNNING") == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--slurm --jobs 5", "jobs = 5: must be at most 4, the number of runs that are to be done"),
        ("--slurm --time soon", "time = soon: must be a time as sbatch takes it: 30, 4:00:00 or 1-12"),
        ("--slurm", "slurm = True: needs sbatch on the path: call it on a machine that submits to Slurm"),
        ("--slurm --ray local", "ray = local: must not be given with slurm"),
        ("--slurm --status", "slurm = True: must not be given with status or export"),
        ("--jobs 2", "jobs = 2: is read with slurm only"),
        ("--time 10", "time = 10: is read with slurm only"),
        ("--take-free --dry-run", "take_free = True: must be given alone: such a task does runs and nothing else"),
    ],
)
def test_what_is_refused(
    options: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import relstab as command

    (tmp_path / "grid.toml").write_text(as_toml([GRID]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main(["sweep", "grid.toml", *options.split()]) == 2
    assert capsys.readouterr().err == f"relstab: {message}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.toml"]


def test_a_store_in_one_machine_s_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cluster has others; a cluster of this machine alone may have it."""
    from empirical.runs import slurm_sweep

    monkeypatch.setattr(slurm_sweep, "_file_system", lambda path: "tmpfs")
    monkeypatch.setattr(slurm_sweep, "_other_machines", lambda: False)
    slurm_sweep._require_shared(tmp_path)
    monkeypatch.setattr(slurm_sweep, "_other_machines", lambda: True)
    with pytest.raises(InputError, match="is in this machine's memory"):
        slurm_sweep._require_shared(tmp_path)
    with pytest.raises(InputError, match="does not see it: it must be a folder that all machines share"):
        slurm_sweep.require_seen(tmp_path / "runs" / ".slurm" / "experiments.toml", tmp_path / "runs")


def test_a_task_takes_what_is_free_and_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import relstab as command

    (tmp_path / "grid.toml").write_text(as_toml([GRID]))
    store = RunStore(tmp_path / "runs")
    store.make()
    taken = GRID.configs()[0]
    with store.lock(taken, wait=False):
        assert command.main(["sweep", str(tmp_path / "grid.toml"), f"--store={store.folder}", "--take-free"]) == 0
        states = [store.state(config) for config in GRID.configs()]
    assert states == ["running", "done", "done", "done"]
    assert "nothing is free" in capsys.readouterr().out
    assert not (tmp_path / "curve.csv").exists()
    assert os.listdir(tmp_path / "runs" / ".locks")  # noqa: PTH208
