"""The house: imports run one way, and nothing that a run leaves is tracked."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import rooms
from rooms import ROOMS, ROOT, Import, circles, imports, rank


def upward(edges: Iterable[Import]) -> set[Import]:
    return {edge for edge in edges if rank(edge.imported) > rank(edge.importer)}


@pytest.fixture(scope="module")
def edges() -> set[Import]:
    return imports()


def test_imports_run_one_way(edges: set[Import]) -> None:
    """Between packages and between the rooms of each, also inside functions and for types alone."""
    assert len(edges) > 300
    assert sorted(upward(edges)) == []


def test_there_is_no_circle(edges: set[Import]) -> None:
    assert circles(edges) == []


@pytest.mark.parametrize("package", [package for package, inside in ROOMS.items() if inside])
def test_every_room_has_its_place_in_the_order(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders <= set(ROOMS[package])
    assert [path.name for path in (ROOT / package).glob("*.py")] == ["__init__.py"]


def test_theory_does_without_torch() -> None:
    """Neither at the top nor in a function."""
    for path in (ROOT / "theory").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not [alias for alias in node.names if alias.name.startswith("torch")], path
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("torch"), path


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


PLANTED = [
    ("theory/flow/a.py", "from empirical.nets.b import c", Import("theory.flow.a", "empirical.nets.b")),
    ("theory/model/a.py", "def f():\n    import theory.flow.d", Import("theory.model.a", "theory.flow.d")),
    ("compare/curves/a.py", "if TYPE_CHECKING:\n import compare.fits.e", Import("compare.curves.a", "compare.fits.e")),
    ("compare/curves/a.py", "from compare.fits import Fit", Import("compare.curves.a", "compare.fits.e")),
    ("empirical/nets/a.py", "from empirical import thing", Import("empirical.nets.a", "empirical")),
    ("theory/flow/a.py", "import relstab", Import("theory.flow.a", "relstab")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "found"), PLANTED)
def test_an_import_against_the_order_is_found(name: str, text: str, found: Import, tmp_path: Path) -> None:
    """Control: planted in a small tree, in each of the ways in which it can be written."""
    plant(
        tmp_path,
        {
            "relstab.py": "", "theory/__init__.py": "", "theory/flow/d.py": "", "empirical/__init__.py": "",
            "empirical/nets/b.py": "from theory.flow.d import x", "compare/fits/e.py": "Fit = 1",
            "compare/fits/__init__.py": "_HOMES = {'e': ('Fit',)}",
        },
    )  # fmt: skip
    assert upward(imports(tmp_path)) == set()
    plant(tmp_path, {name: text})
    assert upward(imports(tmp_path)) == {found}


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Control: three modules, one of them importing in a function; what leads into the circle is not on it."""
    plant(
        tmp_path,
        {
            "theory/flow/a.py": "from theory.flow import b", "theory/flow/b.py": "import theory.flow.c",
            "theory/flow/c.py": "def f():\n    from theory.flow.a import g", "theory/flow/d.py": "import theory.flow.a",
        },
    )  # fmt: skip
    assert circles(imports(tmp_path)) == [["theory.flow.a", "theory.flow.b", "theory.flow.c"]]


def test_a_path_of_before_is_not_used_by_us(tmp_path: Path) -> None:
    """Control: it goes on working for others, and would hide an import from this test."""
    plant(tmp_path, {"theory/common/table.py": "", "theory/flow/a.py": "from theory.table import read_table"})
    with pytest.raises(LookupError, match=r"theory\.flow\.a imports theory\.table, which is not there"):
        imports(tmp_path)


#: All that may stand at the top of the repository.
TOP = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE",
    "MANIFEST.in", "Makefile", "README.md", "compare", "docs", "empirical", "paper", "pyproject.toml", "relstab.py",
    "setup.py", "tests", "theory",
}  # fmt: skip
#: What runs, builds, tests and editors leave behind; each is matched against one part of a path.
DEBRIS = re.compile(
    r"checkpoints?|\.locks|\.failures|\.logs|.*\.(safetensors|ckpt|pt|pth|npz|pyc|orig|rej|log|lock|tmp|swp)"
    r"|environment\.json|record\.json|.*\.egg-info|__pycache__|\..*_cache|\.hypothesis|\.coverage.*|build|dist"
    r"|\.venv.*|\.DS_Store|.*~"
)


def debris(paths: Iterable[str]) -> list[str]:
    """The paths that have no place in the repository."""
    return [
        path
        for path in paths
        if path.split("/")[0] not in TOP or any(DEBRIS.fullmatch(part) for part in path.split("/"))
    ]


def tracked() -> list[str]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, or git is not installed")
    return [path for path in listed.split("\0") if path]


def test_nothing_that_a_run_leaves_is_tracked() -> None:
    paths = tracked()
    assert len(paths) > 300
    assert debris(paths) == []


@pytest.mark.parametrize(
    "path",
    [
        "f1/1a2b/record.json", "f1/x.py", "paper/data/store/.locks/a", "paper/.failures/a.json", "docs/net.safetensors",
        "relstab.egg-info/PKG-INFO", "theory/__pycache__/a.py", "tests/.mypy_cache/x", "paper/data/environment.json",
        "tests/checkpoint/a.py", "runs/a.csv", "notes.txt", "empirical/.logs/x", "theory/a.py.orig",
    ],
)  # fmt: skip
def test_debris_is_found(path: str) -> None:
    """Control, beside files that have their place."""
    assert debris(["theory/flow/stepper.py", path, "paper/data/stripe_nets.csv"]) == [path]


def test_what_runs_leave_is_ignored_by_git() -> None:
    """So that `git add .` in a used checkout adds none of it."""
    left = ["relstab.egg-info/x", "runs/a/record.json", "theory/__pycache__/a.pyc", ".venv-floors/x", "f1/.locks/a",
            "net.safetensors", "a/checkpoints/x", "a/environment.json", ".pytest_cache/x", "dist/x"]  # fmt: skip
    tracked()  # skips where git is not
    told = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"], cwd=ROOT, input="\n".join([*left, "theory/flow/stepper.py"]),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == left


def test_contributing_shows_the_tree() -> None:
    """All rooms, in their order, a line each."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r"^ *(\w+)/ ", text.split("```")[3], re.MULTILINE)
    assert shown == [line.split("/")[0].strip() for line in rooms.tree().splitlines()]


@pytest.mark.parametrize("package", ["theory", "empirical", "compare"])
def test_a_public_name_is_listed_imported_for_types_and_looked_up(package: str) -> None:
    """The three lists of a package's __init__ are one."""
    source = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    tables = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("_HOMES", "__all__")
    }
    for_types = [
        alias.name
        for node in source.body
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    ]
    looked_up = [name for names in tables["_HOMES"].values() for name in names]
    assert sorted(looked_up) == sorted(for_types) == sorted(tables["__all__"])
