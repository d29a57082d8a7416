"""Locks on folders that several machines may share: one holder at a time, and nothing stays locked when it dies.

A lock is two files. `NAME` is locked by the system (`flock`): it is free at once when its process ends, however that
ends. But a cluster's file system may keep such locks to each machine (Lustre mounted with `localflock`), without a
word. So the holder also makes `NAME.held`, which only one can make wherever it runs (`O_CREAT | O_EXCL`). It names the
host, process and job, and its time is renewed as long as the holder lives. Whoever finds it

- waits, or goes on to something else, while the holder is alive;
- takes it over if its process was on this machine, where the system would still hold `NAME` for it;
- takes it over if its job has ended, or its time was not renewed for `EXPIRY` seconds.

Times are those of the file system, not of the machines' clocks. Two that take over in the same instant can at worst do
the same work twice; a store keeps what is finished first.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: the second file alone must do
    fcntl = None  # type: ignore[assignment]

__all__ = ["EXPIRY", "Holder", "Lock"]

#: Seconds without renewal after which a holder on another machine counts as dead.
EXPIRY = 120.0
_POLL = 0.25  # seconds between looks at a lock that is waited for


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: the machine, its process there, and the scheduler's job, if it is one's."""

    host: str
    process: int
    job: str = ""
    machine: str = ""
    token: str = ""

    def __str__(self) -> str:
        named = f"{self.host or 'this machine'}, process {self.process}" if self.process else "a process"
        return f"{named}, job {self.job}" if self.job else named

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        job = os.environ.get("SLURM_JOB_ID", "")
        return cls(platform.node(), os.getpid(), job, _machine(), secrets.token_hex(8))


class Lock:
    """The lock named by a file's path, in a folder that is there.

    `gone` tells of a holder on another machine whether its job has ended, where a scheduler can be asked.
    """

    def __init__(self, path: Path, *, expiry: float = EXPIRY, gone: Callable[[Holder], bool] | None = None) -> None:
        self.path, self.expiry, self.gone = path, expiry, gone
        self.claim = path.with_name(f"{path.name}.held")

    @contextmanager
    def hold(self, *, wait: bool) -> Iterator[bool]:
        """Whether this process has the lock, inside; with `wait` it is waited for until it has."""
        with self.path.open("a") as file:
            while (ours := self._take(file)) is None:
                if not wait:
                    yield False
                    return
                time.sleep(_POLL)
            done = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(ours, done), daemon=True)
            renewing.start()
            try:
                yield True
            finally:
                done.set()
                renewing.join()
                if self._read() == ours:
                    self.claim.unlink(missing_ok=True)

    def holder(self) -> Holder | None:
        """Who holds it, as far as can be seen without writing; None if it is free."""
        found = self._read()
        try:
            with self.path.open() as file:
                locked = _system_lock(file, shared=True) is False
        except FileNotFoundError:
            locked = False
        if found is None or found.machine == _machine():
            if locked:
                return found or Holder("", 0)  # one of a version that makes no second file
            return found if found is not None and fcntl is None and self._age() < self.expiry else None
        alive = self._age() < self.expiry and not (self.gone is not None and self.gone(found))
        return found if alive else None

    def _take(self, file: IO[str]) -> Holder | None:
        """This process as the holder, or None if there is another."""
        system = _system_lock(file)
        if system is False:
            return None
        ours = Holder.here()
        try:
            handle = os.open(self.claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if self._dead(file, system) and self._replace(ours):
                return ours
            _unlock(file)
            return None
        with os.fdopen(handle, "w") as claim:
            json.dump(asdict(ours), claim)
        return ours

    def _dead(self, file: IO[str], system: bool | None) -> bool:
        """Whether the one that made the claim does not live any more."""
        os.utime(file.name)
        found = self._read()
        if found is not None and found.machine == _machine() and system:
            return True
        if found is not None and found.job and found.job == os.environ.get("SLURM_JOB_ID"):
            return True  # this job, as it ran on another machine before it was requeued
        try:
            silent = self.path.stat().st_mtime - self.claim.stat().st_mtime
        except FileNotFoundError:
            return False  # given back this moment
        return silent > self.expiry or (found is not None and self.gone is not None and self.gone(found))

    def _replace(self, ours: Holder) -> bool:
        """Put our claim in the place of a dead one; one process at a time, and only if the claim is still that one."""
        guard = self.claim.with_name(f"{self.claim.name}.taking")
        dead = self._read()
        try:
            os.close(os.open(guard, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            with suppress(FileNotFoundError):
                if self.path.stat().st_mtime - guard.stat().st_mtime > self.expiry:  # killed in the middle
                    guard.unlink()
            return False
        try:
            if self._read() != dead:
                return False
            aside = self.claim.with_name(f"{self.claim.name}.{ours.token}")
            aside.write_text(json.dumps(asdict(ours)))
            aside.replace(self.claim)
            return True
        finally:
            guard.unlink(missing_ok=True)

    def _renew(self, ours: Holder, done: threading.Event) -> None:
        while not done.wait(self.expiry / 6):
            if self._read() != ours:
                return
            with suppress(OSError):
                os.utime(self.claim)

    def _read(self) -> Holder | None:
        """What the claim says; None if there is none, or if it is being written."""
        try:
            found = json.loads(self.claim.read_text())
            texts = (str(found[name]) for name in ("job", "machine", "token"))
            return Holder(str(found["host"]), int(found["process"]), *texts)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _age(self) -> float:
        try:
            return time.time() - self.claim.stat().st_mtime
        except FileNotFoundError:
            return float("inf")


def _machine() -> str:
    """What machine this is: containers on one may have names of their own, and those on two the same."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node()


def _system_lock(file: IO[str], *, shared: bool = False) -> bool | None:
    """Whether the system gave its lock on the file; None where it has none to give."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _unlock(file: IO[str]) -> None:
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
