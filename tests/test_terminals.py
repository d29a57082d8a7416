"""Output that cannot be written as it is, and figures whatever matplotlib is told elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import pytest

import relstab
from compare import write_report
from theory import curve_table, write_table
from theory.common.streams import plain_signs

ROWS = [
    {"source": "mine", "task": "digits", "architecture": "net", "train_size": 2**k, "seed": seed, "stage": "trained",
     "relative_stability": (1 + 0.1 * seed) * 2 ** (-k / 2)}
    for k in range(6, 11) for seed in range(3)
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [("0.32 ± 0.05", "0.32 +- 0.05"), ("16 × 16 – été", "16 x 16 - ete"), ("雪", "?"), ("plain", "plain")],
)
def test_signs_that_a_terminal_has_not(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with plain_signs():
        print(text, flush=True)
    assert raw.getvalue().decode("ascii") == shown + "\n"
    assert sys.stdout.errors == "strict"


def test_commands_on_an_ascii_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(curve_table([{**row, "task": "été"} for row in ROWS]), tmp_path / "t.csv")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert relstab.main(["compare", str(table)]) == 0
    sys.stdout.flush()
    assert b"+-" in raw.getvalue()
    assert b"ete" in raw.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_stops_early(options: list[str], tmp_path: Path) -> None:
    """Nothing is said, and the status is 1; more is written than a pipe holds."""
    rows = [{**row, "architecture": f"net{place}"} for place in range(400) for row in ROWS[::3]]
    table = write_table(curve_table(rows), tmp_path / "t.csv")
    command = [sys.executable, relstab.__file__, "compare", str(table), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_a_pipe_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> int:
        raise BrokenPipeError(32, "of a worker")

    monkeypatch.setattr(relstab, "_main", broken)
    assert relstab.main([]) == 2
    assert "BrokenPipeError: [Errno 32] of a worker" in capsys.readouterr().err


def test_nothing_is_left_changed(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout.errors, sys.stderr.errors
    relstab.main(["--version"])
    assert (sys.stdout.errors, sys.stderr.errors) == before


@pytest.mark.slow
def test_figures_of_a_report_follow_no_matplotlibrc(tmp_path: Path) -> None:
    """Dark styles, cut margins and LaTeX of a preamble that fails: the same bytes, and the settings are put back."""
    table = curve_table(ROWS)
    settings = {
        "usual": {},
        "dark": dict(mpl.style.library["dark_background"]),
        "tight": {"savefig.bbox": "tight", "savefig.dpi": 30, "font.size": 30},
        "tex": {"text.usetex": True, "text.latex.preamble": "\\undefined"},
    }
    pictures = {}
    for name, given in settings.items():
        with mpl.rc_context(given):
            page = write_report(table, tmp_path / name / "r.html")
            assert mpl.rcParams["text.usetex"] == (name == "tex")
        pictures[name] = {file.name: file.read_bytes() for file in page.with_name("r_figures").glob("*.png")}
    assert pictures["usual"]
    assert all(found == pictures["usual"] for found in pictures.values())


def test_a_closed_standard_output_ends_quietly() -> None:
    """`>&-`: there is no standard output at all."""
    run = subprocess.run(
        f"{sys.executable} {relstab.__file__} --version >&-", shell=True, capture_output=True, text=True, env=os.environ
    )
    assert "Traceback" not in run.stderr
