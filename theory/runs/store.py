"""The store of runs: one folder for each, whole or not there, checked when it is read.

    HASH/                   a finished run, named by the hash of its configuration: config.json, record.csv, log.csv,
                            environment.json, what was trained, why it ended early (shortfall.txt), and
                            checksums.json over these
    .logs/HASH.csv          what a run that is going on, or failed, says of its training
    .failures/HASH.json     why the run of that configuration failed, and how often it was tried
    .checkpoints/HASH       the state of one that was cut
    .locks/HASH             held by the process that is at it, on whatever machine (`theory.common.locks`)
    .damaged-HASH-...       what stood in the place of a run and was none

Any number of processes, of any number of sweeps and curves, may work on one store at the same time.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import pandas as pd

from theory.common.errors import InputError
from theory.common.files import make_folder, require_folder, write_whole
from theory.common.locks import Holder, Lock
from theory.common.table import read_table, write_table
from theory.jobs.slurm import ended
from theory.runs.run_config import Config, config_hash, config_to_dict

__all__ = ["Failure", "RunState", "RunStore"]

RunState = Literal["done", "running", "failed", "cut", "waiting"]
_CHECKSUMS, _SHORTFALL = "checksums.json", "shortfall.txt"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run is missing: the error's kind and words, how often it was tried, and whether it would come again."""

    kind: str
    message: str
    tries: int
    final: bool

    def __str__(self) -> str:
        if not self.tries:
            return self.message
        times = "once" if self.tries == 1 else f"{self.tries} times"
        return f"{self.message} (tried {times})"


class RunStore:
    """A folder of finished runs, content-addressed by their configurations; made when a run is first written."""

    #: Files of a run that may be deleted to save space; the run stays finished.
    dispensable: frozenset[str] = frozenset()

    def __init__(self, folder: str | Path) -> None:
        # Absolute, since runs may be done by processes that work elsewhere.
        target = Path(folder).absolute()
        self.folder = target if target.is_dir() else require_folder("store", folder)

    def make(self) -> None:
        """The folder, if it is not there; InputError if it cannot be made."""
        make_folder("store", self.folder)

    def path(self, config: Config) -> Path:
        """Where the run of `config` is, or will be."""
        return self.folder / config_hash(config)

    def checkpoint(self, config: Config) -> Path:
        """Where the state of the run is kept while it goes on."""
        return self.folder / ".checkpoints" / config_hash(config)

    def log(self, config: Config) -> Path:
        """Where the run can be watched while it goes on."""
        return self.folder / ".logs" / f"{config_hash(config)}.csv"

    def read(self, config: Config, *, aside: bool = True) -> pd.DataFrame | None:
        """The rows of a finished run; None if there is none.

        What stands in its place and is not whole, or not what was written, is put aside, to be done again, unless
        told not to. A file that is there and cannot be read, by its rights or the disk's fault, is an OSError: the run
        may be whole.
        """
        kept = self.path(config)
        if not kept.is_dir():
            return None
        try:
            sums = self._checksums(kept)
            deleted = {name for name in self.dispensable if not (kept / name).exists()}
            found = {name: _digest(kept / name) for name in {"record.csv", *sums} - deleted}
            if any(digest != sums.get(name, digest) for name, digest in found.items()):
                raise ValueError("not what was written")
            return read_table(kept / "record.csv")
        except (FileNotFoundError, ValueError):
            with suppress(OSError):  # another process may have been faster
                if aside:
                    kept.rename(self.folder / f".damaged-{kept.name}-{secrets.token_hex(4)}")
            return None

    def _checksums(self, kept: Path) -> dict[str, str]:
        """Those of the run's files; none in stores from before."""
        sums = kept / _CHECKSUMS
        if not sums.is_file():
            return {}
        found = json.loads(sums.read_text())
        if not isinstance(found, dict) or "record.csv" not in found:
            raise ValueError("no checksums")
        return found

    def shortfall(self, config: Config) -> str:
        """In words why a finished run ended before its goal; empty if it did not, or nobody wrote it down."""
        try:
            return (self.path(config) / _SHORTFALL).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def keep(
        self,
        config: Config,
        table: pd.DataFrame,
        *,
        log: pd.DataFrame | None = None,
        shortfall: str = "",
        environment: Mapping[str, str] | None = None,
        more: Callable[[Path], None] | None = None,
    ) -> None:
        """Keep a finished run; one that was finished meanwhile by somebody else stays.

        `environment` is added to the versions and the machine; `more` writes further files into the folder it is given.
        """
        kept = self.path(config)
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".unfinished-{kept.name}-", dir=self.folder))
        try:
            (aside / "config.json").write_text(json.dumps(config_to_dict(config), indent=1) + "\n")
            told = _environment() | dict(environment or {})
            (aside / "environment.json").write_text(json.dumps(told, indent=1) + "\n")
            write_table(table, aside / "record.csv", digits=17)
            if log is not None and len(log):
                log.to_csv(aside / "log.csv", index=False, lineterminator="\n")
            if shortfall:
                (aside / _SHORTFALL).write_text(shortfall + "\n", encoding="utf-8")
            if more is not None:
                more(aside)
            sums = {file.name: _digest(file) for file in sorted(aside.iterdir())}
            (aside / _CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n")
            aside.chmod(0o755)
            self.read(config)  # puts aside what is no run
            aside.rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self.tidy(config)

    def tidy(self, config: Config) -> None:
        """What a finished run leaves, unless it was killed at the last moment, is of no use any more."""
        for left in (self._failure_path(config), self.log(config), self.checkpoint(config)):
            with suppress(OSError):
                left.unlink(missing_ok=True)

    @contextmanager
    def lock(self, config: Config, *, wait: bool) -> Iterator[bool]:
        """Whether this process may run `config`; with `wait` it is waited for until it may.

        What a process that was killed left half-written is removed by the next one that may.
        """
        name = config_hash(config)
        (self.folder / ".locks").mkdir(exist_ok=True)  # a store that is not there on this machine is an error
        with self._lock(config).hold(wait=wait) as mine:
            if not mine:
                yield False
                return
            for left in self.folder.glob(f".unfinished-{name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            for left in self.folder.glob(f".checkpoints/.{name}-*"):
                left.unlink(missing_ok=True)
            (self.folder / ".checkpoints").mkdir(exist_ok=True)
            yield True

    def _lock(self, config: Config) -> Lock:
        return Lock(self.folder / ".locks" / config_hash(config), gone=ended)

    def holder(self, config: Config) -> Holder | None:
        """Who is at the run; changes nothing, so that a store can be looked at that may not be written to."""
        return self._lock(config).holder()

    def _failure_path(self, config: Config) -> Path:
        return self.folder / ".failures" / f"{config_hash(config)}.json"

    def failure(self, config: Config) -> Failure | None:
        """Why the run is missing, if it was tried and failed."""
        try:
            found = json.loads(self._failure_path(config).read_text())
            return Failure(found["kind"], found["message"], int(found["tries"]), bool(found["final"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_failure(self, config: Config, failure: Failure) -> None:
        """Write down why a run is missing; on a disk that is full that cannot be, and nothing is lost by it."""
        text = json.dumps({"config": config_to_dict(config), **asdict(failure)}, indent=1) + "\n"
        with suppress(OSError, InputError):
            make_folder("store", self.folder, ".failures")
            write_whole(self._failure_path(config), lambda aside: aside.write_text(text))

    def state(self, config: Config) -> RunState:
        """How far the run is: done, running (somewhere), failed, cut with a checkpoint to go on from, or waiting."""
        if not self.path(config).is_dir() and self.holder(config) is not None:
            return "running"
        if self.path(config).is_dir():  # now at the latest
            return "done"
        if self.failure(config) is not None:
            return "failed"
        return "cut" if self.checkpoint(config).is_file() else "waiting"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _environment() -> dict[str, str]:
    try:
        ours = version("relstab")
    except PackageNotFoundError:
        ours = "not installed"
    return {"relstab": ours, "python": platform.python_version(), "machine": platform.machine()}
