"""Jobs over processes: order, errors, retries, workers that are killed, and a first process that is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theory.common.errors import InputError
from theory.jobs.executors import Processes, run_jobs
from theory.jobs.work import WorkerDied

ROOT = Path(__file__).parents[3]


def square(value: int) -> int:
    return value * value


def refuse(value: int) -> int:
    if value == 2:
        raise InputError("value", value, "must not be 2")
    return value


def fails_at_first(folder: str, value: int) -> int:
    """Every job fails at its first try, and job 3 kills its process."""
    mark = Path(folder) / str(value)
    if not mark.exists():
        mark.touch()
        if value == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("not yet")
    return value


def die(value: int) -> int:
    if value == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


class Unsendable(Exception):
    def __reduce__(self) -> str:
        raise TypeError("no")


def unsendable(value: int) -> int:
    raise Unsendable


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_job_ends_once(workers: int) -> None:
    found: list[tuple[int, int]] = []
    run_jobs(square, {k: (k,) for k in range(4)}, workers, lambda key, value: found.append((key, value)))
    assert sorted(found) == [(k, k * k) for k in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_without_fail_the_first_error_ends_it(workers: int) -> None:
    found: list[int] = []
    with pytest.raises(InputError, match="value = 2: must not be 2"):
        run_jobs(refuse, {k: (k,) for k in range(20)}, workers, lambda key, value: found.append(key))
    assert {0, 1} <= set(found)
    assert len(found) < 6  # those that had not started were dropped


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_with_fail_the_others_go_on(workers: int) -> None:
    """An InputError would come again: it is not tried twice."""
    found: list[int] = []
    failed: list[tuple[int, str, int]] = []
    run_jobs(
        refuse, {k: (k,) for k in range(5)}, workers, lambda key, value: found.append(key),
        retries=3, fail=lambda key, error, tries: failed.append((key, type(error).__name__, tries)),
    )  # fmt: skip
    assert sorted(found) == [0, 1, 3, 4]
    assert failed == [(2, "InputError", 1)]


@pytest.mark.slow
def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    """Errors and a killed process: second tries succeed, nothing comes twice."""
    found: list[int] = []
    started: list[int] = []
    run_jobs(
        fails_at_first, {k: (str(tmp_path), k) for k in range(6)}, 2, lambda key, value: found.append(value),
        retries=1, start=started.append,
    )  # fmt: skip
    assert sorted(found) == list(range(6))
    assert sorted(started) == sorted([*range(6), *range(6)])


@pytest.mark.slow
def test_a_bounded_number_of_times() -> None:
    failed: list[tuple[int, Exception, int]] = []
    found: list[int] = []
    run_jobs(
        die, {k: (k,) for k in range(4)}, 2, lambda key, value: found.append(value),
        retries=2, fail=lambda *arguments: failed.append(arguments),
    )  # fmt: skip
    assert sorted(found) == [0, 2, 3]
    ((key, error, tries),) = failed
    assert (key, tries) == (1, 3)
    assert isinstance(error, WorkerDied)
    assert str(error) == f"its process ended with status {-signal.SIGKILL}"
    with pytest.raises(WorkerDied):
        run_jobs(die, {k: (k,) for k in range(4)}, 2, lambda key, value: None)


@pytest.mark.slow
def test_an_error_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(RuntimeError, match="Unsendable could not be sent back"):
        run_jobs(unsendable, {0: (0,), 1: (1,)}, 2, lambda key, value: None)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_do_not_outlive_a_first_process_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from theory.jobs.executors import Processes, run_jobs\n"
        "def job(folder, k):\n"
        "    (Path(folder) / f'pid{os.getpid()}').touch()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    run_jobs(job, {k: (sys.argv[1], k) for k in range(2)}, 2, print)\n"
    )
    first = subprocess.Popen([sys.executable, str(program), str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while len(pids := list(tmp_path.glob("pid*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    first.kill()
    first.wait()
    workers = [int(pid.name[3:]) for pid in pids]
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, workers))


def gpu(value: int) -> str:
    time.sleep(0.5)  # so that both workers get jobs
    return os.environ.get("CUDA_VISIBLE_DEVICES", "none")


@pytest.mark.slow
def test_gpus_are_dealt_out_to_the_workers() -> None:
    """Each sees one; a single job, too, does not see all. Without, what the first process sees is left as it is."""
    found: list[str] = []
    run_jobs(gpu, {k: (k,) for k in range(6)}, Processes(2, ("3", "5")), lambda key, seen: found.append(seen))
    assert set(found) == {"3", "5"}
    run_jobs(gpu, {0: (0,)}, Processes(2, ("3", "5")), lambda key, seen: found.append(seen))
    assert found[-1] == "3"
    run_jobs(gpu, {0: (0,)}, Processes(2), lambda key, seen: found.append(seen))
    assert found[-1] == os.environ.get("CUDA_VISIBLE_DEVICES", "none")


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "two", None])
def test_what_is_no_executor(wrong: object) -> None:
    with pytest.raises(InputError, match=r"workers = .*: must be a whole number, at least 1"):
        run_jobs(square, {0: (0,)}, wrong, lambda key, value: None)  # type: ignore[arg-type]


class Odd(Exception):
    """Can be pickled, and not be unpickled: that calls it with one argument."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def odd(value: int) -> int:
    if value == 1:
        raise Odd("a", "b")
    return value


@pytest.mark.slow
def test_an_error_that_cannot_be_read_stops_no_other_job() -> None:
    found: list[int] = []
    failed: list[tuple[int, str]] = []
    run_jobs(
        odd, {k: (k,) for k in range(4)}, 2, lambda key, value: found.append(value),
        fail=lambda key, error, tries: failed.append((key, str(error))),
    )  # fmt: skip
    assert sorted(found) == [0, 2, 3]
    ((key, message),) = failed
    assert key == 1
    assert message.startswith("its result could not be read: TypeError")


def test_workers_never_hear_an_interrupt() -> None:
    """Not even while they start, before our own code runs in them; control: what is started outside does."""
    from theory.jobs.processes import _deaf_to_interrupts

    ask = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT).__class__.__name__)"]
    # Whoever started the tests may have had them ignore interrupts, which is inherited.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _deaf_to_interrupts():
            inside = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        outside = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        assert (inside, outside) == ("Handlers\n", "builtin_function_or_method\n")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, found)
