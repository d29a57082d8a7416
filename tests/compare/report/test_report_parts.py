"""Parts of the report without a browser: what can be toggled, the explorer's images, tables and downloads."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compare import write_report
from compare.contrasts import comparison
from compare.curves import series as series_module
from compare.curves.series import Curves
from compare.fits import law_fits, power_law
from compare.report import page
from compare.report.choices import series_choices
from compare.report.findings import find
from compare.report.interactive import panel_html
from compare.report.panels import Line, Panel, collapse_panel
from compare.report.sections import answer_section, curve_download, downloads, left_out, sections
from empirical.diffeo.explorer_images import SampleImage, drawn_pattern, photographs, sample_images
from theory.common import table as table_module
from theory.common.errors import InputError
from theory.common.table import curve_table, read_table, write_table


def rows(*keys: tuple[str, str, str, str], variant: str = "") -> pd.DataFrame:
    random = np.random.default_rng(0)
    names = ("source", "task", "architecture", "stage")
    return curve_table(
        {
            **dict(zip(names, key, strict=True)),
            "variant": variant,
            "train_size": size,
            "seed": 0,
            "relative_stability": random.random() / 3,
            "test_error": random.random(),
        }
        for key in keys
        for size in (100, 1000, 10000)
    )


def test_choices_are_the_columns_that_differ() -> None:
    table = rows(("theory", "stripe-d30", "h1000", "q=0.3"), ("images", "stripe-d30", "h1000", "trained"))
    choices = series_choices(Curves.of(table))
    assert {facet.name: facet.boxes for facet in choices.facets} == {
        "source": (("theory", True), ("images", True)),
        "stage": (("q=0.3", True), ("trained", True)),
    }
    assert list(choices.numbers.values()) == [0, 1]
    assert [str(key) for key in choices.numbers] == ["theory stripe-d30 q=0.3", "images stripe-d30 h1000 trained"]
    assert choices.series[1]["source"] == "images"
    hinge = rows(("theory", "stripe-d30", "h1000", "q=0.3"), variant="hinge")
    several = series_choices(Curves.of(pd.concat([table, hinge])))
    assert [facet.name for facet in several.facets] == ["source", "variant", "stage"]


def test_stages_inside_training_start_hidden_only_among_many_series() -> None:
    stages = ["initial", "epoch=16", "epoch=3", "trained"]
    few = series_choices(Curves.of(rows(*(("images", "digits", "lenet", stage) for stage in stages))))
    assert dict(few.facets[0].boxes) == dict.fromkeys(stages, True)
    nets = [f"net{i}" for i in range(7)]
    many = series_choices(Curves.of(rows(*(("images", "digits", net, stage) for stage in stages for net in nets))))
    stage = many.facets[-1]
    assert stage.boxes == (("initial", True), ("trained", True), ("epoch=3", False), ("epoch=16", False))
    keys = [("images", "digits", f"net{i}", f"epoch={epoch}") for epoch in (1, 2) for i in range(13)]
    inside = series_choices(Curves.of(rows(*keys)))
    assert all(seen for _, seen in inside.facets[-1].boxes)  # else nothing would be seen at all


def test_sample_images() -> None:
    pattern = drawn_pattern(40)
    embedded = pattern.embedded()
    assert json.dumps(embedded)
    read = np.frombuffer(base64.b64decode(embedded["pixels"]), np.uint8).reshape(embedded["size"], -1)
    assert np.array_equal(read, pattern.pixels)
    assert pattern.pixels.std() > 40
    with pytest.raises(InputError, match="pixels"):
        SampleImage("no bytes", np.zeros((4, 4)))
    for shape in ((3, 4), (1, 1), (4, 4, 2), (600, 600), (4,)):
        with pytest.raises(InputError, match="pixels"):
            SampleImage("bad", np.zeros(shape, np.uint8))


def test_photographs_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn, which ships the photographs")
    coloured = photographs(64)
    assert [image.pixels.shape for image in coloured] == [(64, 64, 3)] * 2
    assert [image.label for image in sample_images()][-1] == "test pattern"
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # as if it were not installed
    assert [image.label for image in sample_images()] == ["test pattern"]


def test_samples_of_a_data_set() -> None:
    pytest.importorskip("torch", reason="needs torch, which reads the data sets")
    from compare.report.explorer import data_set_samples

    images = data_set_samples("digits", count=3)
    assert [image.pixels.shape for image in images] == [(16, 16)] * 3
    assert len({image.pixels.tobytes() for image in images}) == 3
    assert all(image.label.startswith("digits: ") for image in images)


def test_the_page_holds_the_table_to_the_last_bit(tmp_path: Path) -> None:
    table = rows(("theory", "007, \"a\" # b", "h", "q=0.3"), ("images", "NA", "lenet", "trained"))
    page = write_report(table, tmp_path / "r.html", samples=[drawn_pattern()], command="one\ntwo").read_text("utf-8")
    (encoded,) = re.findall(r'download="curves.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    text = base64.b64decode(encoded)
    (tmp_path / "back.csv").write_bytes(text)
    assert text.startswith(b"# one\n# two\n")
    pd.testing.assert_frame_equal(read_table(tmp_path / "back.csv"), table, check_exact=True)
    rounded = read_table(write_table(table, tmp_path / "rounded.csv"))  # seven digits are not enough
    assert (rounded["relative_stability"] != table["relative_stability"]).any()
    assert curve_download(table, "one\ntwo").text.encode() == text


def test_what_is_left_out_is_grouped_by_reason() -> None:
    assert left_out([("a", "a = 2 points: too few"), ("b", "b = 2 points: too few"), ("c", "other")]) == [
        ("2 points: too few", ["a", "b"]),
        ("other", ["c"]),
    ]


def test_a_power_law_is_drawn_bent_and_others_as_they_are() -> None:
    lines = (Line("law", (1.0, 100.0), (1.0, 0.01)), Line("own", (1.0, 2.0, 3.0), (1.0, 5.0, 2.0)))
    page = panel_html(Panel("name", "title", "training-set size P", "relative stability R_f", (), lines, ()))
    call = page.split("Plotly.newPlot(")[1]
    data, _ = json.JSONDecoder().raw_decode(call[call.index("[") :])
    law, own = ([np.array(trace[axis], dtype=float) for axis in "xy"] for trace in data)
    assert len(law[0]) == 60
    assert law[1] == pytest.approx(1 / law[0])
    assert own[1].tolist() == [1.0, 5.0, 2.0]


def test_a_report_needs_an_image_to_deform(tmp_path: Path) -> None:
    table = rows(("theory", "stripe-d30", "h", "q=0.3"))
    with pytest.raises(InputError, match="samples"):
        write_report(table, tmp_path / "r.html", samples=[])
    assert list(tmp_path.iterdir()) == []


def _curves(source: str, net: str, scale: float, exponent: float, stage: str = "trained") -> pd.DataFrame:
    random = np.random.default_rng(list(net.encode()))
    key = {"source": source, "task": "stripe-d30", "architecture": net, "stage": stage}
    sizes = (64, 256, 1024, 4096, 16384)
    return curve_table(
        {
            **key,
            "train_size": size,
            "seed": seed,
            "relative_stability": (size / scale) ** exponent * np.exp(0.03 * random.normal()),
            "diffeo_stability": 0.1 * np.exp(0.1 * random.normal()),
            "noise_stability": 0.1 * np.exp(0.1 * random.normal()),
            "test_error": 0.3 * (size / scale) ** (exponent / 3),
        }
        for seed in range(4)
        for size in sizes
    )


@pytest.mark.slow
def test_findings_hold_the_planted_scale_and_law() -> None:
    nets = {"lenet": 4.0, "vgg": 9.0, "fc": 12.0}
    theory = _curves("theory", "h1000", 1.0, -1.0, "q=0.3")
    table = pd.concat([theory, *(_curves("images", net, s, -1.0) for net, s in nets.items())], ignore_index=True)
    short = _curves("images", "two", 2.0, -1.0)
    table = pd.concat([table, short[short["train_size"] < 300]], ignore_index=True)
    found = find(Curves.of(table))
    tables = {section.title: section for section in sections(found)}
    scales = {row[0]: float(row[2].split(" ")[0]) for row in tables["Effective scale of P"].rows}
    for net, s in nets.items():
        assert scales[f"images stripe-d30 {net} trained"] == pytest.approx(s, rel=0.15)
    laws = tables["Which law"]
    assert len(scales) == 3
    assert sum("chosen" in row[1] for row in laws.rows) == 3
    assert any("1 series of fewer than 3" in note for note in laws.notes)
    assert found.scales is not None
    assert len(collapse_panel(found.curves, found.scales).curves) == 3
    # At 95 % each, two or more of four miss by chance with probability 1.4 %; the seeds are fixed.
    assert re.match(r"The simple model explains (all 4|3 of 4) curves", found.sentences[0])
    pooled = [row for row in tables["Test error across nets"].rows if "pooled" in row[1]]
    assert pooled[0][2] == "3"
    assert [file.name for file in downloads(found, None)] == ["curves.csv", "fits.csv", "correlations.csv"]
    slow = pd.concat([theory, _curves("images", "lenet", 4.0, -0.2)], ignore_index=True)  # negative control
    assert find(Curves.of(slow)).sentences[0].endswith("R_f falls more slowly than it predicts.")


def test_findings_without_a_theory_say_so() -> None:
    nets = pd.concat([_curves("images", net, 3.0, -0.5) for net in ("lenet", "vgg")], ignore_index=True)
    found = find(Curves.of(nets))
    assert found.sentences[0] == "These tables hold no series of the theory: there is nothing to compare with."
    assert found.scales is None
    laws = next(section for section in sections(found) if section.title == "Which law")
    assert not any("theory" in row[1] for row in laws.rows)
    assert answer_section(found) is None
    bare = find(Curves.of(nets.assign(test_error=np.nan).iloc[:1]))
    assert len(bare.sentences) == 1
    assert any("No correlation with the test error" in note for section in sections(bare) for note in section.notes)


def test_a_report_reads_its_table_once_and_fits_each_curve_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine series: one validation to read, one of the copy that the page holds; a power law for each series, one for
    each range of P compared, and each law once; only what is asked of a law again is counted."""
    theory = [_curves("theory", "h1000", 1.0, -1.0, stage) for stage in ("q=0.9", "q=0.5", "q=0.3")]
    nets = [_curves("images", net, s, -1.0) for s, net in enumerate(("a", "b", "c", "d", "e", "f"), 1)]
    short = [net[net["train_size"] < 5000] for net in nets]
    table = pd.concat([*theory, *short])
    calls: dict[str, list[object]] = {"validated": [], "power": [], "laws": []}

    def count(module: object, name: str, kind: str, what: Callable[..., object]) -> None:
        real = getattr(module, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls[kind].append(what(*args))
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    for module in (series_module, page, table_module):
        count(module, "validate_table", "validated", lambda table, *_: len(table))
    for module in (power_law, comparison):
        count(module, "fit_series", "power", lambda key, rows, *_: (key, tuple(sorted(set(rows["train_size"])))))
    count(law_fits, "_fit", "laws", lambda key, rows, errors, name, theory, *_: (key, name))
    write_report(table, tmp_path / "r.html", samples=[drawn_pattern(8)])
    assert len(calls["validated"]) == 2
    assert len(calls["power"]) == len(set(calls["power"])) == 9 + 1
    assert len(calls["laws"]) == len(set(calls["laws"]))


@pytest.mark.slow
def test_the_error_law_says_over_what_its_intervals_are(tmp_path: Path) -> None:
    table = rows(*(("images", "digits", net, "trained") for net in ("a", "b", "c")))
    random = np.random.default_rng(1)
    table["test_error"] = random.random(len(table))
    two = table[table["architecture"] != "c"]
    again = pd.concat([two, two.assign(seed=1, test_error=random.random(len(two)))])
    # 3 points each of a net, all of seed 0 as published ones are: an interval over nets, none, one over seeds.
    for name, part, words in (
        ("three", table, "intervals over whole series"),
        ("two", two, "too few nets and seeds for an interval"),
        ("seeds", again, "fewer than three series: intervals over their seeds alone"),
    ):
        assert words in write_report(part, tmp_path / f"{name}.html").read_text("utf-8"), name
