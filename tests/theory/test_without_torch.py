"""What must work on a machine without torch: theory, tables, compare, and the help of the command line.

Each test is a fresh interpreter in which importing torch or torchvision is an error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # a fresh interpreter each; test_relstab_commands has the essence of it

ROOT = Path(__file__).resolve().parents[2]
BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter that sees the repository, as an installed package would be seen."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=200
    )


@pytest.mark.parametrize(
    "module", ["theory", "theory.common.table", "compare", "empirical", "empirical.training.config", "relstab"]
)
def test_imports_without_torch(module: str) -> None:
    done = fresh(f"{BLOCK}\nimport {module}\nprint('imported')")
    assert (done.stdout, done.returncode) == ("imported\n", 0), done.stderr


def test_the_block_blocks() -> None:
    """Control: the same interpreter cannot import what needs torch."""
    done = fresh(f"{BLOCK}\nimport empirical.diffeo.fields")
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize("module", ["theory", "compare", "relstab"])
def test_torch_is_not_imported_where_it_is_installed(module: str) -> None:
    done = fresh(f"import sys, {module}\nprint(sorted({{'torch', 'torchvision'}} & set(sys.modules)))")
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_tables_are_written_and_read_without_torch(tmp_path: Path) -> None:
    done = fresh(
        f"""{BLOCK}
from theory import curve_table, read_table, write_table
row = dict(source="a", task="b", architecture="c", train_size=1, seed=0, stage="trained", relative_stability=0.5)
print(read_table(write_table(curve_table([row]), sys.argv[1])).relative_stability[0])
""",
        str(tmp_path / "table.csv"),
    )
    assert (done.stdout, done.returncode) == ("0.5\n", 0), done.stderr


def test_help_is_printed_without_torch() -> None:
    done = fresh(f"{BLOCK}\nimport relstab\nrelstab.main(['--help'])")
    assert done.returncode == 0, done.stderr
    assert "theory" in done.stdout
