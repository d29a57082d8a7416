"""The manuscript is not built when a number or figure is missing, and says which in one line."""

from __future__ import annotations

from pathlib import Path

import pytest


def write(folder: Path, text: str) -> list[Path]:
    file = folder / "part.typ"
    file.write_text(text, encoding="utf-8")
    return [file]


def test_a_number_that_is_not_computed_is_refused(paper: Path, tmp_path: Path) -> None:
    from paper.scripts import build_manuscript

    files = write(tmp_path, '#num("here") and #num("gone"), #say("here")')
    build_manuscript.require(files, {"here": "1", "gone": "2"})  # control: with it, all is well
    with pytest.raises(build_manuscript.Missing, match=r"^number gone: part\.typ asks for it, and it is not computed$"):
        build_manuscript.require(files, {"here": "1"})
    with pytest.raises(build_manuscript.Missing, match=r"^number gone"):
        build_manuscript.require(write(tmp_path, '#say("gone")'), {"here": "1"})


@pytest.mark.parametrize("text", ["nan", "1.0 ± nan", "from inf to 2"])
def test_a_number_that_is_none_is_refused(paper: Path, tmp_path: Path, text: str) -> None:
    from paper.scripts import build_manuscript

    build_manuscript.require([], {"fine": "no infinity here, 1.2 [0.3, 4]"})
    with pytest.raises(build_manuscript.Missing, match="^number broken: it comes out as"):
        build_manuscript.require([], {"broken": text})


def test_a_figure_that_is_not_drawn_is_refused(paper: Path, tmp_path: Path) -> None:
    from paper.scripts import build_manuscript

    build_manuscript.require(write(tmp_path, '#plot("folding", [caption])'), {})
    with pytest.raises(build_manuscript.Missing, match="^figure unheard-of: "):
        build_manuscript.require(write(tmp_path, '#plot(\n  "unheard-of", [caption])'), {})


def test_typst_itself_stops_at_a_missing_number(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that the text puts together, as its tables do, are not seen before; the compiler stops at them."""
    from paper.scripts import build_manuscript

    monkeypatch.setattr(build_manuscript, "ROOT", tmp_path)
    (tmp_path / "build" / "paper").mkdir(parents=True)
    (tmp_path / "build" / "paper" / "numbers.json").write_text('{"a.b": "1.0"}')
    (tmp_path / "numbers.typ").write_text((paper / "text" / "numbers.typ").read_text(encoding="utf-8"))
    whole, broken = tmp_path / "whole.typ", tmp_path / "broken.typ"
    whole.write_text('#import "numbers.typ": num\n#num("a" + ".b")')
    broken.write_text('#import "numbers.typ": num\n#num("a" + ".c")')
    assert build_manuscript.compiled(whole).startswith(b"%PDF")
    with pytest.raises(build_manuscript.Missing, match=r"number a\.c: the text asks for it") as caught:
        build_manuscript.compiled(broken)
    assert "\n" not in str(caught.value)


def test_the_command_ends_with_one_line_and_writes_nothing(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from paper.numbers import all_numbers
    from paper.scripts import build_manuscript

    monkeypatch.setattr(all_numbers, "all_numbers", lambda: {"theory.seeds": "16"})
    before = build_manuscript.TARGET.read_bytes() if build_manuscript.TARGET.exists() else None
    assert build_manuscript.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("paper: number ")
    assert err.count("\n") == 1
    assert (build_manuscript.TARGET.read_bytes() if build_manuscript.TARGET.exists() else None) == before


def test_a_table_without_a_net_of_the_text_is_refused(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paper.numbers import image_table
    from theory import InputError, curve_table, write_table

    monkeypatch.setattr(image_table, "DATA", tmp_path)
    row = {"source": "images", "train_size": 64, "seed": 0, "stage": "trained", "relative_stability": 1.0}
    rows = [{**row, "task": task, "architecture": net} for task in image_table.TASKS for net in image_table.NETS]
    write_table(curve_table(rows), tmp_path / "image_curves.csv")
    assert len(image_table.image_table()) == len(rows)
    write_table(curve_table([r for r in rows if r["architecture"] != "fc4"]), tmp_path / "image_curves.csv")
    with pytest.raises(InputError, match="^image_curves.csv = fc4: is no architecture of the table"):
        image_table.image_table()
