"""A real Slurm of this machine alone: munged, slurmctld and two slurmd's, all in one folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SlurmCluster", "missing", "slurm_cluster"]

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
_CONFIGURATION = """
ClusterName=relstab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,requeue_setup_env_fail
ReturnToService=2
SlurmdTimeout=10
KillWait=5
OverTimeLimit=0
MaxArraySize=64
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """What such a cluster needs and this machine lacks."""
    # Services lie where only an administrator's path looks.
    absent = [name for name in _PROGRAMS if _program(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian's slurm-wlm and munge)"
    return None if os.geteuid() == 0 else "slurmd must be started by root"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(slots=True)
class SlurmCluster:
    """The running cluster; `environment` is what its users' commands need."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints; its failure is an error."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def jobs(self, job: str) -> list[tuple[str, str, str]]:
        """(task, state, node) of what is left of an array job."""
        done = subprocess.run(
            ["squeue", "--noheader", "--array", f"--jobs={job}", "--format=%i %T %N"],
            env=self.environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
        found = [(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows]
        return [row for row in found if row[1] not in ("COMPLETED", "CANCELLED", "FAILED")]

    def wait(self, job: str, seconds: float) -> None:
        """Until the array has ended; TimeoutError with what is left of it."""
        until = time.monotonic() + seconds
        while left := self.jobs(job):
            if time.monotonic() > until:
                raise TimeoutError(f"after {seconds:g} s: {left}")
            time.sleep(0.5)

    def hit_limit(self, job: str) -> bool:
        """Whether a task of an array that has ended was queued again, or ended by its time limit."""
        told = self.call("scontrol", "show", "job", job)
        return "JobState=TIMEOUT" in told or any(int(count) for count in re.findall(r"Restarts=(\d+)", told))

    def start_node(self, name: str) -> None:
        subprocess.run([str(_program("slurmd")), "-N", name], env=self.environment, check=True, timeout=60)

    def lose_node(self, name: str) -> None:
        """Kill everything that runs on the node at once, as when its power is cut, and the node's service."""
        number = int((self.folder / f"slurmd-{name}.pid").read_text())
        service = _descendants(number)
        steps = _steps(self.folder / f"slurmd-{name}.log")
        for process in [number, *service, *steps]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found.setdefault(parent, []).append(int(folder.name))
    return found


def _descendants(process: int) -> list[int]:
    tree, found, waiting = _children(), [], [process]
    while waiting:
        for child in tree.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def _steps(log: Path) -> list[int]:
    """slurmstepd's of a node, which outlive its service and write to its log, and what they started."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip() == "slurmstepd" and any(
                link.readlink() == log for link in (folder / "fd").iterdir()
            ):
                found += [*_descendants(int(folder.name)), int(folder.name)]
    return found


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Started inside, and gone with all its jobs afterwards. `missing` must be None."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    text = _CONFIGURATION.format(host=socket.gethostname().partition(".")[0], ports=_free_ports(3), folder=folder)
    (folder / "slurm.conf").write_text(text)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    cluster = SlurmCluster(folder, environment)
    subprocess.run(
        [
            str(_program("munged")), f"--key-file={key}", f"--socket={folder}/munge.socket", "--num-threads=2",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed",
            "--force",
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    try:
        subprocess.run([str(_program("slurmctld")), "-c"], env=environment, check=True, timeout=60)
        for name in ("node1", "node2"):
            cluster.start_node(name)
        until = time.monotonic() + 60
        while "idle" not in _idle(cluster):
            if time.monotonic() > until:
                raise TimeoutError(f"no node is up: {(folder / 'slurmctld.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield cluster
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(["scancel", "--user=root"], env=environment, timeout=30, check=False)
        for name in ("node1", "node2"):
            with contextlib.suppress(OSError, ValueError):
                cluster.lose_node(name)
        for name in ("slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGKILL)


def _idle(cluster: SlurmCluster) -> str:
    with contextlib.suppress(subprocess.SubprocessError):
        states = cluster.call("sinfo", "--noheader", "--Node", "--format=%T").split()
        return "idle" if states.count("idle") == 2 else ""
    return ""
