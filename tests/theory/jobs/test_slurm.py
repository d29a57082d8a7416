"""What is asked of Slurm, in its own words, and what is refused before anything is submitted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from theory.common.errors import InputError
from theory.common.locks import Holder
from theory.jobs import slurm
from theory.jobs.slurm import Slurm, ended, job_has_ended, requeue_this_task, submit

ANSWERS = {
    "sbatch": "echo '17;cluster'",
    "scontrol": 'if [ "$1" = show ]; then echo "MaxArraySize            = 4"; else echo "$@" > "$TOLD"; fi',
    "squeue": "case $2 in --jobs=17) echo RUNNING;; --jobs=18) echo COMPLETED;; "
    "*) echo 'Invalid job id' >&2; exit 1;; esac",
}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for Slurm's commands, first on the path; the folder that they are in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, answer in ANSWERS.items():
        (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    return folder


def test_the_batch_file(tmp_path: Path) -> None:
    array = Slurm(jobs=8, workers=2, time="4:00:00", options=("--partition=gpu", "--gres=gpu:1"))
    script = array.script(["relstab", "sweep", "a file.toml"], tmp_path, cpus=2)
    for line in ("--array=0-7", "--requeue", "--signal=B:USR1@120", "--time=4:00:00", "--cpus-per-task=2",
                 "--partition=gpu", "--gres=gpu:1", f"--output={tmp_path}/%A_%a.log"):  # fmt: skip
        assert f"\n#SBATCH {line}\n" in script
    assert script.startswith("#!/bin/sh\n")
    assert script.endswith("\nexec relstab sweep 'a file.toml'\n")
    assert "--signal=B:USR1@30\n" in Slurm(time="1").script([], tmp_path)  # half of a minute
    assert "--time" not in Slurm().script([], tmp_path)


@pytest.mark.parametrize("time", ["30", "30:15", "4:00:00", "1-12", "1-2:30", "2-0:0:5"])
def test_times_as_slurm_writes_them(time: str) -> None:
    assert Slurm(time=time).time == time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "soon"}, "time = soon: must be a time as sbatch takes it"),
        ({"time": "4h"}, "time = 4h: must be a time as sbatch takes it"),
        ({"time": ""}, "time = '': must be a time as sbatch takes it"),
        ({"jobs": 0}, "jobs = 0: must be a whole number, at least 1"),
        ({"workers": 1.5}, r"workers = 1\.5: must be a whole number, at least 1"),
        ({"options": ("gpu",)}, "sbatch = gpu: must be options of sbatch"),
    ],
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Slurm(**options)  # type: ignore[arg-type]


def test_a_job_is_submitted_and_numbered(commands: Path, tmp_path: Path) -> None:
    done = submit(Slurm(jobs=4), "#!/bin/sh\n", tmp_path / "runs" / ".slurm", {"experiments.toml": "kind"})
    assert (done.job, done.script.read_text()) == ("17", "#!/bin/sh\n")
    assert (done.script.parent / "experiments.toml").read_text() == "kind"


def test_an_array_beyond_the_cluster_s_limit(commands: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^jobs = 5: this cluster's arrays have at most 4 tasks$"):
        submit(Slurm(jobs=5), "", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_refusal_is_told_and_leaves_no_file(commands: Path, tmp_path: Path) -> None:
    (commands / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n")
    message = "^slurm = True: sbatch did not take the job: invalid partition specified: x$"
    store = tmp_path / "runs"
    with pytest.raises(InputError, match=message):
        submit(Slurm(), "", store / ".slurm", {"experiments.toml": "new"})
    assert not store.exists()
    (store / ".slurm").mkdir(parents=True)
    (store / ".slurm" / "experiments.toml").write_text("of an earlier array")
    with pytest.raises(InputError, match=message):
        submit(Slurm(), "", store / ".slurm", {"experiments.toml": "of an earlier array"})
    assert [path.name for path in (store / ".slurm").iterdir()] == ["experiments.toml"]


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="^slurm = True: needs sbatch on the path"):
        submit(Slurm(), "", tmp_path)
    assert not ended(Holder("elsewhere", 1, "17"))
    assert not job_has_ended("17")


def test_holders_of_locks_by_their_jobs(commands: Path) -> None:
    told = {job: ended(Holder("elsewhere", 1, job)) for job in ("", "17", "18", "19")}
    assert told == {"": False, "17": False, "18": True, "19": True}
    assert [job_has_ended(job) for job in ("17", "18", "19")] == [False, True, True]


def test_a_task_is_queued_again_by_its_name(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    assert not requeue_this_task()
    monkeypatch.setenv("SLURM_JOB_ID", "21")
    assert requeue_this_task()
    assert (tmp_path / "told").read_text() == "requeue 21\n"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "20")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert requeue_this_task()
    assert (tmp_path / "told").read_text() == "requeue 20_3\n"
    assert slurm._array_limit() == 4
