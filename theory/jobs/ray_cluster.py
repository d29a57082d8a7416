"""Jobs on the machines of a Ray cluster, or on a local one made for the purpose."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from theory.common.errors import InputError, require_integer, require_real
from theory.jobs.work import Work, WorkerDied, attempt

__all__ = ["RayCluster"]

#: Seconds after which the number of runs that the cluster has room for is asked again: machines come and go.
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Jobs as Ray tasks, which share the cluster's cores and GPUs.

    relstab must be installed on every machine of it, and a store must be a folder that all of them see. A machine that
    goes away, or a worker that dies, fails the jobs that it had: they are tried again, elsewhere, as others that fail.

    Attributes
    ----------
    address : of a running cluster, "auto" for the one that this machine belongs to, None for a local one that ends
        with the work
    workers : most jobs at a time; None for as many as there is room for
    cpus : cores that a job takes
    gpus : GPUs that a job takes; 0.25 lets four jobs share one

    Raises
    ------
    InputError
        If Ray is not installed, no cluster answers at the address, this machine, as a local one, has not what a job is
        to take, or a value is out of range.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None:
            require_integer("workers", self.workers, 1)
        require_integer("cpus", self.cpus, 1)
        object.__setattr__(self, "gpus", require_real("gpus", self.gpus, minimum=0))
        if self.gpus > 1 and self.gpus != round(self.gpus):
            raise InputError("gpus", self.gpus, "must be a whole number above 1: parts of several cannot be taken")

    def distribute(self, work: Work) -> None:
        """Submit what waits as far as there is room, and settle what comes back."""
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        running: dict[Any, tuple[Any, int]] = {}
        try:
            call = ray.remote(_call).options(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)
            function = ray.put((work.function, work.initializer))
            while work.waiting or running:
                while work.waiting and len(running) < self._room(ray):
                    key, tries = work.waiting.popleft()
                    work.start(key)
                    running[call.remote(function, work.arguments[key])] = key, tries
                ready, _ = ray.wait(list(running), num_returns=1, timeout=_PATIENCE)
                for reference in ready:
                    key, tries = running.pop(reference)
                    work.settle(key, tries, _outcome(ray, reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        self._require_answer()
        local: dict[str, Any] = {}
        if self.address is None:
            # Ends with the work: a dashboard would be of use to nobody. Its workers import what this process can.
            path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            local = {"include_dashboard": False, "num_cpus": os.cpu_count(), "runtime_env": {"env_vars": path}}
        try:
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError("ray", self.address, f"no cluster answers there ({reason})") from error
        if not any(self._fits(node["Resources"]) for node in ray.nodes() if node["Alive"]):
            what = f"{self.cpus} cores" + f" and {self.gpus:g} GPUs" * bool(self.gpus)
            if self.address is None:
                ray.shutdown()
                raise InputError("ray", "local", f"this machine has not the {what} that a run is to take")
            warnings.warn(f"no machine of the cluster has {what}: the runs wait for one", RuntimeWarning, stacklevel=2)

    def _require_answer(self) -> None:
        """Ray tries for minutes where nobody listens, and says much."""
        host, colon, port = (self.address or "").rpartition(":")
        if not colon or not port.isdigit() or "/" in host:
            return
        try:
            socket.create_connection((host, int(port)), _PATIENCE).close()
        except OSError as error:
            raise InputError("ray", self.address, f"no cluster answers there ({error})") from error

    def _fits(self, resources: dict[str, float]) -> bool:
        return resources.get("CPU", 0) >= self.cpus and resources.get("GPU", 0) >= self.gpus

    def _room(self, ray: Any) -> int:
        """Jobs that the machines there are now can hold; one at least, which then waits for a machine."""
        there = ray.cluster_resources()
        room = there.get("CPU", 0.0) / self.cpus
        if self.gpus:
            room = min(room, there.get("GPU", 0.0) / self.gpus)
        return max(1, int(room) if self.workers is None else min(int(room), self.workers))


def _call(function: tuple[Callable[..., Any], Callable[[], None] | None], arguments: tuple[Any, ...]) -> Any:
    """On the cluster: one job. Ray keeps a process for many, so that the initializer must bear being called again."""
    call, initializer = function
    if initializer is not None:
        initializer()
    return attempt(call, arguments)


def _outcome(ray: Any, reference: Any) -> Any:
    """What a job came to; `WorkerDied` if its process or its machine went away."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # before the job began: what it needs cannot be imported there
        return RuntimeError(" ".join(str(error.cause).split()))
    except ray.exceptions.RayError as error:
        return WorkerDied(f"Ray lost it ({type(error).__name__})")


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError("ray", "not installed", "needs `pip install 'relstab[cluster]'`") from error
    return ray
