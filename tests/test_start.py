"""How the command line starts: what help imports, what it prints, and what a user's own theory.py does to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import compare.commands
import empirical.commands
import relstab
import theory.commands
from theory.common.commands import Command

ROOT = Path(relstab.__file__).parent
COMMANDS: dict[str, Command] = {
    **theory.commands.COMMANDS,
    **empirical.commands.COMMANDS,
    **compare.commands.COMMANDS,
}
#: Each takes a good part of a second to import.
HEAVY = {"numba", "pandas", "scipy.stats", "torch", "matplotlib"}


def fresh(code: str, folder: Path, first: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter, in `folder`, with the folder `first` and then the repository on its path."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{first}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def imported_by(arguments: str, folder: Path) -> set[str]:
    """The modules of `HEAVY` that are there after `relstab ARGUMENTS`, which must print something and exit with 0."""
    done = fresh(
        "import sys, relstab\n"
        "try:\n"
        f"    status = relstab.main({arguments.split()!r})\n"
        "except SystemExit as stop:\n"
        "    status = stop.code\n"
        f"print(*({HEAVY!r} & set(sys.modules)), sep=' ', end='', file=sys.stderr)\n"
        "sys.exit(status)",
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: relstab" in done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", ["--help", "theory --help"])
def test_help_imports_nothing_heavy(arguments: str, tmp_path: Path) -> None:
    assert imported_by(arguments, tmp_path) == set()


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    """Control: help of `theory simulate` reads its class, which imports pandas."""
    assert "pandas" in imported_by("theory simulate --help", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_one_command_compiles_nothing(name: str, tmp_path: Path) -> None:
    assert imported_by(f"{name} --help", tmp_path) & {"numba", "torch", "matplotlib"} == set()


def test_help_has_one_line_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the first line of the class's docstring, and fits a window of 100 columns."""
    assert relstab.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    for name, command in COMMANDS.items():
        first = (command.load().__doc__ or "").splitlines()[0]
        assert command.summary == first
        assert [line for line in lines if re.fullmatch(rf"  {name} +{re.escape(first)}", line)] != []
    assert len([line for line in lines if line.startswith("  ")]) == len(COMMANDS)


def test_help_of_a_group_lists_its_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(["theory", "--help"]) == 0
    listed = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == ["theory simulate", "theory predict"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulate"], "relstab: command = simulate: must be one of demo, theory simulate, theory predict, sample, "),
        (["theory", "solve"], "relstab: theory command = solve: must be one of simulate, predict\n"),
        ([], "usage: relstab [-h] [--version] COMMAND ..."),
        (["theory"], "usage: relstab [-h] theory COMMAND ..."),
    ],
)
def test_a_command_that_is_not_there_is_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert relstab.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(told)


def test_the_version_is_told_and_is_that_of_the_citation(capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(["--version"]) == 0
    assert capsys.readouterr().out == f"relstab {theory.__version__}\n"
    assert f"\nversion: {theory.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["theory", "empirical", "compare"])
def test_a_users_file_that_hides_a_package_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    own = tmp_path / f"{name}.py"
    own.write_text("raise RuntimeError('never imported')\n")
    done = fresh("import sys, relstab; sys.exit(relstab.main(['--help']))", tmp_path, first=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"relstab: {own} hides relstab's package {name}: rename it, or run elsewhere\n"


@pytest.mark.parametrize(
    "code", ["from compare import contrast", "import empirical", "import runpy; runpy.run_path('theory.py')"]
)
def test_an_import_beside_a_theory_py_says_so(code: str, tmp_path: Path) -> None:
    """Also where the script itself is the file."""
    own = tmp_path / "theory.py"
    own.write_text("from compare import contrast\n")
    done = fresh(code, tmp_path, first=tmp_path)
    assert done.returncode == 1
    told = f"ImportError: {own} hides relstab's package theory: rename it, or run elsewhere"
    assert done.stderr.splitlines()[-1] == told


def test_a_folder_without_such_a_file_is_none_of_it(tmp_path: Path) -> None:
    """Control: what the tests before refuse works beside a file of another name."""
    (tmp_path / "my_theory.py").write_text("")
    assert fresh("from compare import series", tmp_path, first=tmp_path).returncode == 0
    assert fresh("import relstab; relstab.main(['--version'])", tmp_path, first=tmp_path).stdout != ""
