"""Threads of compiled kernels: every part once, errors come back; forks, waits and read-only folders do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from theory import FlowConfig, InputError, Stripe, simulate
from theory.kernels.threads import get_threads, set_threads, share

ROOT = Path(__file__).parents[3]
SETTING = FlowConfig(width=20, test_size=50, unfit_fractions=(0.9,))


@pytest.fixture
def two_threads():  # type: ignore[no-untyped-def]
    before = get_threads()
    set_threads(2)
    yield
    set_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("parts", [0, 1, 5, 100])
def test_every_part_is_done_once_and_before_the_end(parts: int, threads: int) -> None:
    done: list[int] = []

    def slow(part: int) -> None:
        time.sleep(1e-4)
        done.append(part)

    share(slow, parts, threads)
    assert sorted(done) == list(range(parts))


def test_helpers_help() -> None:
    """Four parts that wait for each other end only if four threads are at them."""
    barrier = threading.Barrier(4, timeout=20)
    share(lambda part: barrier.wait(), 4, 4)


def test_an_error_of_a_part_is_raised_and_the_next_call_works() -> None:
    def broken(part: int) -> None:
        if part == 3:
            raise ZeroDivisionError(part)

    with pytest.raises(ZeroDivisionError, match="3"):
        share(broken, 8, 3)
    test_every_part_is_done_once_and_before_the_end(10, 3)


def test_a_part_may_share_and_so_may_several_threads() -> None:
    counts = np.zeros((6, 5, 4), int)

    def inner(place: tuple[int, int], part: int) -> None:
        counts[(*place, part)] += 1

    def outer(row: int) -> None:
        share(lambda column: share(lambda part: inner((row, column), part), 4, 2), 5, 2)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(outer, range(6)))
    assert np.all(counts == 1)


def test_threads_sleep_while_they_wait(two_threads: None) -> None:
    """Processor time of a wait of half a second for the slower part: below a tenth of it."""
    share(lambda part: None, 2)  # started
    began = time.process_time()
    share(lambda part: time.sleep(0.5 if part else 0), 2)
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_threads_are_a_whole_number(count: object) -> None:
    with pytest.raises(InputError, match="threads = "):
        set_threads(count)  # type: ignore[arg-type]


def _solve(queue) -> None:  # type: ignore[no-untyped-def]
    queue.put(simulate(Stripe(dim=5), 64, SETTING, seed=0).relative_stability[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_after_a_flow_solves_another(two_threads: None) -> None:
    expected = simulate(Stripe(dim=5), 64, SETTING, seed=0).relative_stability[0]
    share(lambda part: None, 2)
    context = get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_solve, args=(queue,), daemon=True)
    process.start()
    assert queue.get(timeout=60) == expected
    process.join(60)
    assert process.exitcode == 0


def test_flows_in_two_threads_are_what_they_are_alone(two_threads: None) -> None:
    alone = [simulate(Stripe(dim=5), 64, SETTING, seed=seed).records for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: simulate(Stripe(dim=5), 64, SETTING, seed=seed).records, range(4)))
    assert together == alone


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports_load_no_compiler() -> None:
    """Neither the packages nor what solves: numba comes with the first call of a kernel."""
    says = "; print('numba' in sys.modules)"
    modules = "theory.flow.simulation, theory.prediction.solution, theory.runs.curves"
    assert _python(f"import sys, theory, {modules}; from theory import simulate, predict{says}") == "False"
    flow = "simulate(Stripe(3), 4, FlowConfig(width=2, test_size=9, unfit_fractions=(1.0,)), seed=0)"
    assert _python(f"import sys; from theory import *; {flow}{says}") == "True"


@pytest.mark.slow
def test_where_nothing_can_be_written_kernels_are_compiled_for_the_process() -> None:
    """The patch stands for a read-only installation and home."""
    refuse = (
        "from numba.core import caching\n"
        "def refused(self): raise PermissionError('read-only')\n"
        "caching._CacheLocator.ensure_cache_path = refused\n"
    )
    solve = (
        "from theory import *\n"
        "print(simulate(Stripe(5), 64, FlowConfig(width=20, test_size=50, unfit_fractions=(0.9,)), seed=0).records)"
    )
    assert _python(refuse + solve) == _python(solve)
