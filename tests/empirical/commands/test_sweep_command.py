"""The command `relstab sweep` beside the sweep itself: a dry run, the status, an export, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import relstab  # noqa: E402
from empirical import ImageConfig, RunStore  # noqa: E402
from empirical.runs.store import Failure  # noqa: E402
from empirical.training.config import config_hash  # noqa: E402
from theory import read_table  # noqa: E402

TINY = ImageConfig(architecture="fc2", image_size=16, train_size=16, epochs=1, min_steps=3, probe_size=20)
GRID = """
[[experiment]]
kind = "image"
architectures = ["fc2"]
image_size = 16
epochs = 1
min_steps = 3
probe_size = 20
train_sizes = [{}]
seeds = [{}]
"""
DONE, WAITING = GRID.format(16, "0, 1"), GRID.format(32, "0, 1, 2")
BAD = GRID.format(24, "0") + "learning_rate = 1e20\n"
STRIPE = '[[experiment]]\nkind = "stripe"\ntrain_sizes = [32]\nseeds = [0]\ndim = 5\nwidth = 30\nprobe_size = 100\n'
FAILED = replace(TINY, train_size=24, learning_rate=1e20)

Json = Callable[[str], Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with an experiment of six runs, three of which are to wait."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(DONE + BAD)
    (tmp_path / "more.toml").write_text(DONE + BAD + WAITING)
    return tmp_path


@pytest.fixture
def as_json(capsys: pytest.CaptureFixture[str]) -> Json:
    """What `relstab sweep` prints for a program; it must end well."""

    def run(arguments: str) -> Any:
        assert relstab.main(["sweep", *arguments.split(), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def as_text(capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """The lines that it prints for a person."""

    def run(arguments: str) -> list[str]:
        assert relstab.main(["sweep", *arguments.split()]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_a_sweep_its_status_its_export_and_what_is_left(
    here: Path, as_json: Json, as_text: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs are done and one fails for good; a larger grid has three more."""
    assert relstab.main(["sweep", "e.toml", "--json"]) == 1
    captured = capsys.readouterr()
    failure = {"hash": config_hash(FAILED)}
    assert json.loads(captured.out)["missing"][0].items() >= failure.items()
    assert captured.err.splitlines()[-1].startswith("relstab: 1 of 3 runs missing")

    status = as_json("more.toml --status")
    assert {name: status[name] for name in ("runs", "done", "running", "cut", "failed", "waiting")} == {
        "runs": 6, "done": 2, "running": 0, "cut": 0, "failed": 1, "waiting": 3
    }  # fmt: skip
    (told,) = status["failures"]
    assert told["hash"] == config_hash(FAILED)
    assert "P = 24, seed 0" in told["run"]
    assert told["why"].startswith("learning_rate = 1e+20: the loss became")
    lines = as_text("more.toml --status")
    assert lines[0].strip() == "6 runs in runs"
    assert lines[2].split() == ["2", "0", "0", "1", "3"]
    assert lines[3].startswith("failed: digits, fc2, ")

    exported = as_json("more.toml --export sub/so_far.csv")
    assert exported == {"output": "sub/so_far.csv", "runs": 2, "of": 6, "rows": 4}
    pd.testing.assert_frame_equal(read_table("sub/so_far.csv"), read_table("curve.csv"), check_exact=True)

    dry = as_json("more.toml --dry-run")
    assert (dry["runs"], dry["to_do"], dry["unknown"]) == (6, 3, 0)
    assert dry["seconds"] > 0
    assert dry["failures"] == status["failures"]
    lines = as_text("more.toml --dry-run")
    assert lines[:2] == ["6 runs, 3 to do", "1 failed for good, skipped; --retry-failed tries them again"]
    assert lines[2].startswith("failed: digits, fc2, ")
    assert lines[3].startswith("3 image nets: about ")
    retried = as_json("more.toml --dry-run --retry-failed")
    assert (retried["to_do"], retried["failures"]) == (4, [])
    assert as_json("e.toml --dry-run") == {
        "runs": 3, "to_do": 0, "failures": status["failures"], "seconds": 0, "unknown": 0
    }  # fmt: skip


def test_a_dry_run_leaves_nothing_and_says_what_it_cannot_know(here: Path, as_json: Json) -> None:
    (here / "mixed.toml").write_text(DONE + STRIPE)
    dry = as_json("mixed.toml --dry-run")
    assert (dry["runs"], dry["to_do"], dry["unknown"], dry["failures"]) == (3, 3, 1, [])
    assert sorted(path.name for path in here.iterdir()) == ["e.toml", "mixed.toml", "more.toml"]


def test_what_may_succeed_when_tried_again_is_to_do(here: Path, as_json: Json) -> None:
    """The sweep tries it again, and so the dry run counts it."""
    RunStore(here / "runs").keep_failure(TINY, Failure("OSError", "disk full", 2, False))
    dry = as_json("e.toml --dry-run")
    assert (dry["to_do"], dry["failures"]) == (3, [])
    assert as_json("e.toml --status")["failed"] == 1


def test_failures_are_told_apart_that_differ_in_a_rare_setting(
    here: Path, as_json: Json, as_text: Callable[[str], list[str]]
) -> None:
    configs = [replace(TINY, momentum=momentum) for momentum in (0.1, 0.2)]
    grids = [GRID.format(16, "0") + f"momentum = {config.momentum}\n" for config in configs]
    (here / "e.toml").write_text("".join(grids))
    for config in configs:
        RunStore(here / "runs").keep_failure(config, Failure("InputError", "no", 1, True))
    status = as_json("e.toml --status")
    assert status["failed"] == 2
    assert [(one["hash"], one["why"]) for one in status["failures"]] == [
        (config_hash(config), "no (tried once)") for config in configs
    ]
    assert as_text("e.toml --status")[3:] == [
        f"failed: digits, fc2, P = 16, seed 0, momentum = {config.momentum}: no (tried once)" for config in configs
    ]


@pytest.mark.parametrize("option", ["--status", "--export so_far.csv", "--dry-run"])
def test_what_is_not_written_need_not_be_writable(option: str, here: Path, as_json: Json) -> None:
    (here / "e.toml").write_text(GRID.format(16, "0"))
    as_json("e.toml")
    as_json(f"e.toml {option} --output e.toml/curve.csv")


REFUSED = [
    ("--status --export x.csv", "export = x.csv: must not be given with status"),
    ("--status --dry-run", "dry_run = True: must not be given with status"),
    ("--dry-run --export x.csv", "export = x.csv: must not be given with dry_run"),
    ("--status", "store = runs: no such folder"),
    ("--export x.csv", "store = runs: no such folder"),
    ("--export x.txt", "export = x.txt: must end in .csv or .parquet"),  # before the store is looked for
    ("--export e.toml/x.csv", "export = e.toml/x.csv: its folder cannot be made (e.toml is a file)"),
    ("--export x.csv --store .", "store = .: holds none of the 3 runs of e.toml"),
    ("--output x.txt", "output = x.txt: must end in .csv or .parquet"),
    ("--dry-run --workers 0", "workers = 0: must be a whole number, at least 1"),
]
#: What the sweep refuses before it begins, and so the dry run.
EITHER = [
    ("--device foo", "device = foo: is not here ("),
    ("--device meta", "device = meta: holds no numbers"),
    ("--store e.toml", "store = e.toml: cannot be made a folder (e.toml is a file)"),
    ("--gpus-per-run 1", "gpus_per_run = 1.0: is read with ray only"),
    ("--ray auto --device cuda", "gpus_per_run = 0.0: must be above 0 for runs on the cluster's GPUs"),
]
BOTH = [(f"{option} {options}", message) for options, message in EITHER for option in ("", "--dry-run")]


@pytest.mark.parametrize(("options", "message"), [*REFUSED, *BOTH])
def test_it_refuses_in_one_line(
    options: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert relstab.main(["sweep", "e.toml", *options.split()]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"relstab: {message}")
    assert captured.out == ""
    assert sorted(path.name for path in here.iterdir()) == ["e.toml", "more.toml"]


@pytest.mark.parametrize("option", ["", "--dry-run"])
def test_rows_must_be_distinct(option: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "e.toml").write_text(DONE + DONE.replace("epochs = 1", "epochs = 2"))
    assert relstab.main(["sweep", "e.toml", *option.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relstab: experiments = 4 runs: two differ only in settings")


@pytest.mark.parametrize("option", ["", "--dry-run"])
def test_finished_runs_must_be_of_the_same_images(
    option: str, here: Path, as_json: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "e.toml").write_text(DONE)
    as_json("e.toml")
    place = RunStore(here / "runs").path(TINY)
    (place / "checksums.json").unlink()  # as in stores from before
    environment = json.loads((place / "environment.json").read_text())
    (place / "environment.json").write_text(json.dumps(environment | {"data": "0123456789abcdef"}))
    assert relstab.main(["sweep", "e.toml", *option.split()]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("relstab: ")]
    assert line.startswith("relstab: data = digits: the store's run of P = 16, seed 0 was made on other images")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_only_the_cluster_has_cannot_be_timed(here: Path, as_json: Json) -> None:
    """The sweep does not refuse it, and so the dry run does not; without the cluster both do."""
    dry = as_json("e.toml --dry-run --ray auto --device cuda --gpus-per-run 0.5")
    assert (dry["to_do"], dry["unknown"], dry["seconds"]) == (3, 3, 0)
    assert relstab.main(["sweep", "e.toml", "--dry-run", "--device", "cuda"]) == 2
