"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from theory import InputError
from theory.common.files import require_folder, require_writable_parent, write_whole


def test_a_file_and_its_folders_appear_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "table.csv"
    aside: list[Path] = []

    def write(path: Path) -> None:
        aside.append(path)
        assert path.parent == target.parent
        assert path.suffix == ".csv"
        assert not target.exists()
        path.write_text("whole")

    assert write_whole(target, write) == target
    assert target.read_text() == "whole"
    assert aside[0] != target
    assert [item.name for item in target.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write(path: Path) -> None:
        path.write_text("half of the n")
        raise failure

    with pytest.raises(type(failure)):
        write_whole(target, write)
    assert target.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_a_failing_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "table.csv", lambda path: 1 / 0)
    assert [item.name for item in tmp_path.iterdir()] == []


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    """mkstemp's private 0600 must not remain; the reference is a file that Python opens here and now."""
    (tmp_path / "reference").write_text("")
    write_whole(tmp_path / "written", lambda path: path.write_text(""))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("written", "reference")]
    assert modes[0] == modes[1]
    mask = os.umask(0)
    os.umask(mask)
    assert modes[0] == 0o666 & ~mask


def test_a_path_that_cannot_be_written_is_told_before(tmp_path: Path) -> None:
    assert require_writable_parent("output", tmp_path / "new" / "x.csv") == tmp_path / "new" / "x.csv"
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="its name must have at most 200 bytes"):
        require_writable_parent("output", tmp_path / ("a" * 300 + ".csv"))
    with pytest.raises(InputError, match=r"^output = .*is a folder; must be a file's path$"):
        require_writable_parent("output", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^output = .*its folder cannot be made"):
        require_writable_parent("output", tmp_path / "file" / "x.csv")


def test_a_folder_that_cannot_be_made_is_told_before(tmp_path: Path) -> None:
    assert require_folder("store", tmp_path / "new" / "runs") == tmp_path / "new" / "runs"
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^store = .*: cannot be made a folder \(file is a file\)$"):
        require_folder("store", tmp_path / "file" / "runs")
