"""A grid of runs on this machine: a store of finished ones, worker processes, one curve table.

One finished run is one folder of the store, named by the hash of its configuration, written aside and
renamed when whole: config.json, record.csv, environment.json and the net's weights.safetensors. A folder that is
there is not run again.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from empirical.config import config_hash, config_to_dict
from empirical.devices import require_device
from empirical.experiments import Config, Experiment
from empirical.training import Run, check, train
from empirical.weights import save_weights
from theory.errors import InputError, require_integer
from theory.files import make_folder
from theory.table import read_table, validate_table, write_table
from theory.workers import run_jobs

__all__ = ["Experiment", "RunStore", "SweepProgress", "sweep"]

#: Called after every run with (runs done, runs in all, the run's configuration).
SweepProgress = Callable[[int, int, Config], None]


class RunStore:
    """A folder of finished runs, content-addressed by their configurations."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = make_folder("store", folder)

    def path(self, config: Config) -> Path:
        """Where the run of `config` is, or will be."""
        return self.folder / config_hash(config)

    def read(self, config: Config) -> pd.DataFrame | None:
        """The rows of a finished run, None if there is none."""
        record = self.path(config) / "record.csv"
        return read_table(record) if record.is_file() else None

    def write(self, run: Run, device: str = "cpu", weights: bool = True) -> None:
        """Keep a finished run; one that was finished meanwhile by somebody else stays."""
        aside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.folder))
        try:
            (aside / "config.json").write_text(json.dumps(config_to_dict(run.config), indent=1) + "\n")
            (aside / "environment.json").write_text(json.dumps(_environment(device), indent=1) + "\n")
            write_table(run.table, aside / "record.csv", digits=17)
            if weights:
                save_weights(run.model, aside / "weights.safetensors")
            aside.chmod(0o755)
            if self.path(run.config).is_dir() and not (self.path(run.config) / "record.csv").is_file():
                shutil.rmtree(self.path(run.config))  # somebody's remains, not a run
            aside.rename(self.path(run.config))
        except OSError:
            if not self.path(run.config).is_dir():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _environment(device: str) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": device,
        "threads": str(torch.get_num_threads()),
    }


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's CPU threads set to `count` inside: sums depend on how they are divided among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(
    config: Config, data_folder: str | None, download: bool, device: str, store: RunStore | None, weights: bool
) -> pd.DataFrame:
    """Train on one thread, whoever the caller: the same table from one process as from many."""
    with _threads(1):
        run = train(config, data_folder=data_folder, download=download, device=device)
        if store is not None:
            store.write(run, device, weights)
    return run.table


def _require_distinct_rows(configs: list[Config]) -> None:
    """InputError if two runs would fill the same rows of the curve table, which does not hold every setting."""
    seen: dict[tuple[object, ...], Config] = {}
    for config in configs:
        names = ("dataset", "image_size", "architecture", "dim", "width", "train_size", "seed",
                 "average", "cutoff", "displacement", "noise_norm", "loss", "scale")  # fmt: skip
        key = (type(config).__name__, *(getattr(config, name, None) for name in names))
        if key in seen:
            raise InputError(
                "experiments", f"{len(configs)} runs",
                "two differ only in settings that the curve table does not hold: sweep them into tables of their own",
            )  # fmt: skip
        seen[key] = config


def sweep(
    experiments: Experiment | Iterable[Experiment],
    store: str | Path | RunStore | None = None,
    executor: int = 1,
    *,
    data_folder: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    keep_weights: bool = True,
    progress: SweepProgress | None = None,
) -> pd.DataFrame:
    """Run every configuration of `experiments` that the store does not hold; the curve table of them all.

    Parameters
    ----------
    store : folder (or `RunStore`) of finished runs, read and added to; None keeps nothing
    executor : number of worker processes; 1 runs in this process. Every run takes one thread, and the table
        is the same, row for row, whatever their number
    data_folder, download : see `empirical.load_data`
    keep_weights : whether the store also keeps the trained nets, as weights.safetensors; a run that was finished
        without is not done again for them
    device : where image nets are trained; the stripe's are on the CPU

    Raises
    ------
    InputError
        Before anything runs, if a configuration cannot be run (see `empirical.check`); later, if a run's
        loss stops being finite. Finished runs stay in the store.
    """
    require_integer("executor", executor, 1)
    grids = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    configs = list(dict.fromkeys(config for grid in grids for config in grid.configs()))
    require_device(device)
    for config in configs:
        check(config, data_folder, download)
    _require_distinct_rows(configs)
    keep = RunStore(store) if isinstance(store, str | Path) else store
    folder = None if data_folder is None else str(data_folder)
    tables: dict[Config, pd.DataFrame] = {}
    for config in configs:
        held = keep.read(config) if keep is not None else None
        if held is not None:
            tables[config] = held
    waiting = [config for config in configs if config not in tables]

    def finish(config: Config, table: pd.DataFrame) -> None:
        tables[config] = table
        if progress is not None:
            progress(len(tables), len(configs), config)

    options = folder, download, device, keep, keep_weights
    run_jobs(_run, {config: (config, *options) for config in waiting}, executor, finish)
    return validate_table(pd.concat([tables[config] for config in configs], ignore_index=True))
