"""`relstab sweep --track`: finished runs for TensorBoard, MLflow and Weights & Biases, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import relstab  # noqa: E402
from empirical.integrations.trackers import open_tracker, stage_values  # noqa: E402
from theory import InputError, read_table  # noqa: E402

EXPERIMENT = """
[[experiment]]
kind = "image"
dataset = "digits"
image_size = 16
architectures = ["fc2"]
train_sizes = [16, 32]
seeds = [0]
epochs = 1
min_steps = 1
probe_size = 20
"""


def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> Any:
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    assert relstab.main(["sweep", "e.toml"]) == 0  # both runs are done before a tracker is asked for
    for _ in range(2):  # the second time nothing is written
        assert relstab.main(["sweep", "e.toml", "--track", kind]) == 0
    return read_table("curve.csv")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    table = swept(tmp_path, monkeypatch, "tensorboard")
    folders = sorted((tmp_path / "tracked").iterdir())
    assert len(folders) == 2
    assert all(len(list(folder.iterdir())) == 1 for folder in folders)
    for folder in folders:
        events = EventAccumulator(str(folder)).Reload()
        found = [event.value for event in events.Scalars("relstab/R_f")]
        size = 16 if "P=16" in folder.name else 32
        assert found == pytest.approx(table[table["train_size"] == size]["relative_stability"].tolist(), rel=1e-5)
        assert "relstab/R_f_low" in events.Tags()["scalars"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    table = swept(tmp_path, monkeypatch, "mlflow")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "tracked").as_uri())
    runs = client.search_runs([client.get_experiment_by_name("relstab").experiment_id])
    assert {run.data.params["train_size"] for run in runs} == {"16", "32"}
    assert len(runs) == 2
    for run in runs:
        last = table[table["train_size"] == int(run.data.params["train_size"])].iloc[-1]
        assert run.data.metrics["relstab/R_f"] == pytest.approx(last["relative_stability"])
        assert run.data.metrics["test_error"] == pytest.approx(last["test_error"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    swept(tmp_path, monkeypatch, "wandb")
    assert len(list((tmp_path / "tracked" / "wandb").glob("offline-run-*"))) == 2


def test_a_tracker_that_is_missing_or_fails_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="track = comet: must be one of tensorboard, mlflow, wandb"):
        open_tracker("comet", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(InputError, match=r"wandb = not installed: track wandb needs pip install 'relstab\[wandb\]'"):
        open_tracker("wandb", tmp_path)

    class Broken:
        def add(self, *arguments: object) -> bool:
            raise RuntimeError("full")

    monkeypatch.setattr("empirical.integrations.trackers.open_tracker", lambda kind, folder: Broken())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    with pytest.warns(UserWarning, match="tensorboard has not taken .*: RuntimeError: full"):
        assert relstab.main(["sweep", "e.toml", "--track", "tensorboard"]) == 0
    assert relstab.main(["sweep", "e.toml", "--track", "tensorboard", "--status"]) == 2
    assert "track = tensorboard: must not be given with status" in capsys.readouterr().err
    assert len(stage_values(read_table("curve.csv"))) == len(read_table("curve.csv"))
