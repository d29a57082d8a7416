"""The command `relstab hierarchies`: lines, JSON, a figure; bad input in one line."""

from __future__ import annotations

import json

from relstab import main
from tests.compare.fits.test_sample_complexity import hierarchy_rows
from theory.common.table import curve_table, write_table


def test_lines_json_and_a_figure(tmp_path, capsys):
    table = tmp_path / "srhm.csv"
    write_table(curve_table(hierarchy_rows(4, 1, 3) + hierarchy_rows(4, 2, 3)), table)
    assert main(["hierarchies", str(table), "--figure", str(tmp_path / "figure.png")]) == 0
    shown = capsys.readouterr().out
    assert "P* at eps_t = 0.1:" in shown
    assert "HierarchyLaw(cnn-h8, L = 2: exponent of s0 + 1 = " in shown
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["hierarchies", str(table), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["laws"][0]["prefactor"]["value"] > 2
    assert len(numbers["crossings"]) == 2


def test_bad_input_is_one_line(tmp_path, capsys):
    table = tmp_path / "srhm.csv"
    write_table(curve_table(hierarchy_rows(4, 1, 2)), table)
    assert main(["hierarchies", str(table), "--figure", str(tmp_path / "figure.bmp")]) == 2
    assert "must end in .png, .pdf, .svg" in capsys.readouterr().err
    assert main(["hierarchies", str(tmp_path / "none.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
