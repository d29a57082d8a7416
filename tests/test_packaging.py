"""What is shipped: the wheel's and the sdist's files, and the description that a package index shows."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.version import Version

import theory

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # setuptools writes words of its own over them
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(text: str) -> list[str]:
    """Addresses that mean nothing outside the repository."""
    return [path for path in re.findall(r"\]\(([^)\s]+)\)", text) if not path.startswith(("https://", "#"))]


def test_a_package_index_shows_no_broken_picture(setup: ModuleType) -> None:
    """With a public address they are there, without one there are words; the README itself is the control."""
    pictures = [path for path in relative(README) if path.endswith(".png")]
    assert pictures
    without = setup.described(README, None)
    assert relative(without) == []
    assert "![" not in without
    assert "*Figure: R_f against the number of training points" in without
    source = "https://example.org/relstab"
    with_address = setup.described(README, source)
    assert relative(with_address) == []
    assert all(f"]({source}/raw/HEAD/{path})" in with_address for path in pictures)
    assert f"]({source}/blob/HEAD/docs/results.md)" in with_address


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of the files that are tracked."""
    setuptools = pytest.importorskip("setuptools", reason="setuptools is not installed")
    if Version(setuptools.__version__) < Version("77"):
        pytest.skip("setuptools 77 or later is not installed")
    folder = tmp_path_factory.mktemp("built")
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, or git is not installed")
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=folder / "source", check=True, capture_output=True, text=True
    )
    return folder


SHIPPED = [
    "relstab.py", "theory/py.typed", "empirical/py.typed", "compare/py.typed", "theory/kernels/field.cu",
    "compare/report/assets/report.html.j2", "empirical/diffeo/explorer.js",
    "compare/curves/published/petrini2021_early_R_f_per_seed.csv.gz",
    "compare/curves/published/petrini2021_early_D_G_vs_temperature.csv.gz",
]  # fmt: skip


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_their_data_alone(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    files = [path for package in ("theory", "empirical", "compare") for path in (ROOT / package).rglob("*.py")]
    code = [str(path.relative_to(ROOT)) for path in files]
    assert [name for name in (*SHIPPED, *code) if name not in names] == []
    information = f"relstab-{theory.__version__}.dist-info"
    tops = {name.split("/")[0] for name in names}
    assert tops == {"relstab.py", "theory", "empirical", "compare", information}
    assert f"{information}/licenses/LICENSE" in names
    metadata = zipfile.ZipFile(wheel).read(f"{information}/METADATA").decode()
    for line in (f"Version: {theory.__version__}", "License-Expression: MIT", "Classifier: Typing :: Typed",
                 "Description-Content-Type: text/markdown"):  # fmt: skip
        assert f"\n{line}\n" in metadata
    assert relative(metadata.partition("\n\n")[2]) == []


@pytest.mark.slow
def test_the_sdist_holds_what_its_tests_need_and_they_run(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as stream:
        stream.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"relstab-{theory.__version__}"
    listed = {str(path.relative_to(built / "source")) for path in (built / "source").rglob("*") if path.is_file()}
    left_out = {name for name in listed if not (unpacked / name).is_file()}
    assert {name for name in left_out if not name.startswith((".", "build/", "relstab.egg-info/"))} == set()
    assert (unpacked / "LICENSE").is_file()
    some = [
        "tests/test_rooms.py", "tests/theory/common/test_table.py",
        "tests/test_readme.py::test_the_values_before_training_are_those_of_the_data",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *some],
        cwd=unpacked, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
