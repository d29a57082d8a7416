"""Panels, figures, the report and the commands: complete, escaped, whole or not written at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro
from matplotlib.figure import Figure

from compare import DeformedGrid, fit_all, load_reference, write_report
from compare.commands.compare import Compare, Report
from compare.curves.averages import average_over_seeds
from compare.report.figures import draw, plot_deformed_grid, save
from compare.report.panels import diffeo_panel, error_panel, log_ticks, stability_panel
from theory.common.errors import InputError
from theory.common.table import curve_table, write_table

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = "<script>alert(1)</script>"


def curves(source: str = "theory", stage: str = "q=0.3", seeds: int = 3, **columns: object) -> pd.DataFrame:
    random = np.random.default_rng(len(source) + len(stage))
    key = {"source": source, "task": "stripe-d30", "architecture": "one-hidden", "stage": stage}
    return curve_table(
        {
            **key,
            "train_size": size,
            "seed": seed,
            "relative_stability": 20 / size * np.exp(0.1 * random.normal()),
            "diffeo_stability": 0.05 * np.exp(0.1 * random.normal()),
            "test_error": 3 * size**-0.5,
            **columns,
        }
        for seed in range(seeds)
        for size in (64, 256, 1024, 4096)
    )


@pytest.fixture
def table() -> pd.DataFrame:
    images = curves("images", "trained", task="digits", architecture="lenet")
    return pd.concat([curves(), curves(stage="q=0.1"), curves("stripe-net"), images], ignore_index=True)


def test_averages_over_seeds() -> None:
    rows = curves()
    rows.loc[rows["train_size"] == 64, "relative_stability"] = [1.0, 2.0, 4.0]
    rows.loc[rows["train_size"] == 64, "test_error"] = [0.0, 0.1, 0.2]
    first = average_over_seeds(rows).iloc[0]
    assert first["relative_stability"] == pytest.approx(2.0)
    assert first["relative_stability_low"] < 1 < 4 < first["relative_stability_high"]
    assert first["test_error"] == pytest.approx(0.1)
    assert first["test_error_low"] == 0.0
    assert first["n"] == 3
    single = curves(seeds=1, relative_stability=0.5, relative_stability_low=0.4, relative_stability_high=0.7)
    averaged = average_over_seeds(single)
    assert set(averaged["relative_stability_low"]) == {0.4}
    assert set(averaged["relative_stability_high"]) == {0.7}
    assert averaged["test_error_low"].isna().all()


def test_panels_hold_all_series_in_stable_styles(table: pd.DataFrame) -> None:
    fits = fit_all(table)
    panels = [stability_panel(table, fits), error_panel(table), diffeo_panel(table)]
    assert [len(panel.curves) for panel in panels] == [4, 4, 4]
    assert len(panels[0].lines) == 4
    (law,) = panels[1].lines
    assert np.array(law.y) == pytest.approx(0.2 * np.sqrt(law.x))
    styles = {curve.label: curve.style for curve in panels[0].curves}
    for panel in panels[1:]:
        assert {curve.label: curve.style for curve in panel.curves} == styles
    assert styles["theory stripe-d30 q=0.3"].colour == styles["theory stripe-d30 q=0.1"].colour
    assert styles["theory stripe-d30 q=0.3"].dash != styles["theory stripe-d30 q=0.1"].dash
    assert len({(style.colour, style.marker) for style in styles.values()}) == 4
    low, high = panels[0].limits("x")
    assert low < 64 < 4096 < high


def test_points_at_zero_are_counted_not_hidden(table: pd.DataFrame) -> None:
    panel = error_panel(table.assign(test_error=table["test_error"].where(table["train_size"] < 4096, 0.0)))
    assert panel.notes == ("4 points at 0 cannot stand on logarithmic axes and are left out.",)
    assert {len(curve.x) for curve in panel.curves} == {3}


@pytest.mark.parametrize(
    ("low", "high"), [(0.9, 1.1), (64, 4096), (0.002, 7), (1e-8, 1e3), (0.31, 0.62), (50, 60000)]
)
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.slow
def test_figures_are_written_and_the_same_each_time(table: pd.DataFrame, tmp_path: Path) -> None:
    big = pd.concat([table, load_reference()])
    grid = np.random.default_rng(0).random((2, 3, 8, 8))
    figures = [
        draw(stability_panel(big, fit_all(big))),
        draw(error_panel(big)),
        draw(diffeo_panel(big)),
        plot_deformed_grid(grid, ["a$b", "c"], ["1", "2", "3"]),
    ]
    for i, figure in enumerate(figures):
        assert isinstance(figure, Figure)
        path = save(figure, tmp_path / f"{i}.png")
        assert path.read_bytes().startswith(PNG)
        assert path.stat().st_size > 3000
    again = save(plot_deformed_grid(grid, ["a$b", "c"], ["1", "2", "3"]), tmp_path / "again.png")
    assert again.read_bytes() == (tmp_path / "3.png").read_bytes()
    assert len(figures[1].axes[0].lines) > 4
    with pytest.raises(InputError, match="must end in"):
        save(figures[0], tmp_path / "figure.jpg")
    with pytest.raises(InputError, match="images"):
        plot_deformed_grid(np.zeros((2, 3, 8)), ["a", "b"], ["1", "2", "3"])
    with pytest.raises(InputError, match="labels"):
        plot_deformed_grid(grid, ["a"], ["1", "2", "3"])


@pytest.mark.slow
def test_the_report_is_self_contained_small_and_deterministic(table: pd.DataFrame, tmp_path: Path) -> None:
    grid = DeformedGrid(np.random.default_rng(0).random((2, 2, 8, 8, 3)), ["a", "b"], ["c", "d"])
    options = {"images": grid, "notes": ["A note."], "command": "relstab report x.csv", "title": "A & B"}
    path = write_report(table, tmp_path / "a" / "report.html", **options)
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 8e6
    for outside in ('src="http', "src='http", "<link", "@import", "url(http"):
        assert outside not in page.split("</style>")[0] + page.rsplit("</head>", 1)[1]
    assert 'src="http' not in page
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1
    assert page.count('class="plotly-graph-div"') == 4
    assert "<title>A &amp; B</title>" in page
    said = ("A note.", "relstab report x.csv", "The simple model explains", "Broken lines", "95 % intervals")
    headings = ("The answer in detail", "Power laws", "Which law", "Effective scale of P")
    for words in (*said, *(f"<h2>{heading}</h2>" for heading in headings)):
        assert words in page
    assert '"modeBarButtons": [["toImage"' in page
    figures = sorted(figure.name for figure in (path.parent / "report_figures").iterdir())
    assert figures == [
        "collapse-on-theory.png",
        "deformed-images.png",
        "error-against-diffeo-stability.png",
        "error-against-stability.png",
        "stability-against-train-size.png",
    ]
    twin = write_report([table.iloc[:5], table.iloc[5:]], tmp_path / "b" / "report.html", **options)
    assert twin.read_bytes() == path.read_bytes()


def test_names_from_a_file_cannot_become_markup(tmp_path: Path) -> None:
    """A task named as a script comes out as text, in HTML, in plotly's labels and in its JSON."""
    evil = pd.concat(
        [curves(task=EVIL), curves("images", "trained", task=EVIL, architecture='</script>"$x_{')]
    )
    page = write_report(evil, tmp_path / "r.html", title=EVIL, notes=[EVIL], command=EVIL).read_text("utf-8")
    assert EVIL not in page
    body = page.rsplit("</head>", 1)[1]
    assert body.count("<script") == body.count("</script>")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert "alert(1)" in body
    for chart in body.split('class="plotly-graph-div"')[1:]:
        data = chart.split("</script>")[0]
        assert "\\u0026lt;script" in data or "&lt;script" in data
        assert "<script>alert" not in data
        assert "&quot;" not in data  # plotly would show this as it stands
        assert "\\u003cscript" not in data  # plotly would read this as a tag


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["no theory", "theory alone", "one series", "one seed", "no test errors", "one row", "all zero"]
)
def test_degenerate_tables_have_a_report(case: str, table: pd.DataFrame, tmp_path: Path) -> None:
    tables = {
        "no theory": table[table["source"] != "theory"],
        "theory alone": table[table["source"] == "theory"],
        "one series": curves("images", "trained"),
        "one seed": table[table["seed"] == 0],
        "no test errors": table.assign(test_error=np.nan),
        "one row": table.iloc[:1],
        "all zero": table.assign(relative_stability=0.0, test_error=0.0),
    }
    page = write_report(tables[case], tmp_path / "r.html").read_text("utf-8").rsplit("</head>", 1)[1]
    expected = {
        "no theory": "no series of the theory: there is nothing to compare with",
        "theory alone": "the theory alone",
        "one series": "no series of the theory",
        "one seed": "pooled",
        "no test errors": "cannot be fitted",
        "one row": "No series can be fitted.",
        "all zero": "No figure can be drawn",
    }
    assert expected[case] in page
    # What is left without the page's own scripts and what is in base64.
    words = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.split('<script type="application/json"')[0])
    assert "How this report was made" in words
    assert "nan" not in words.lower()


def test_bad_input_leaves_the_old_report_untouched(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    twice = pd.concat([table, table.iloc[:1]])
    for bad in (twice, [], [tmp_path / "absent.csv"], table.drop(columns="seed"), table.iloc[:0]):
        with pytest.raises(InputError):
            write_report(bad, path)
    with pytest.raises(InputError, match="stage"):
        write_report(table, path, stage="q=7")
    with pytest.raises(InputError, match="images"):
        write_report(table, path, images=DeformedGrid(np.zeros((1, 1, 8)), ["a"], ["b"]))
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match=r"path = .*must end in \.html"):
        write_report(table, tmp_path / "deep" / "report.pdf")
    assert not (tmp_path / "deep").exists()


def test_compare_command(table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theory = write_table(table[table["source"] == "theory"], tmp_path / "theory.csv")
    nets = write_table(table[table["source"] != "theory"], tmp_path / "nets.csv")
    output = tmp_path / "out" / "fits.csv"
    found = tyro.cli(Compare, args=[str(theory), str(nets), "--output", str(output)]).run()
    printed = capsys.readouterr().out
    assert "R_f / theory" in printed
    assert printed.startswith("The simple model ")
    assert max(map(len, printed.splitlines())) <= max(100, len(str(output)) + 6)
    assert len(pd.read_csv(output)) == 4
    assert len(found["comparisons"]) == 2
    silent = Compare((theory, nets), stage="q=0.1", json=True).run()
    assert capsys.readouterr().out == ""
    assert json.loads(json.dumps(silent, allow_nan=False))["rows"] == len(table)
    plot = tmp_path / "plots" / "curves.png"
    assert Compare((theory, nets), plot=plot).run()["plot"] == str(plot)
    assert plot.read_bytes().startswith(PNG)
    assert f"wrote {plot}" in capsys.readouterr().out.replace("\n", "")
    alone = Compare((nets,)).run()
    assert "These files hold no rows of the theory" in capsys.readouterr().out
    assert len(alone["fits"]) == 2
    for bad in (
        Compare(()),
        Compare((nets,), stage="q=0.3"),
        Compare((theory, nets), output=tmp_path / "fits.txt"),
        Compare((theory, nets), plot=tmp_path / "fits.txt"),
        Compare((theory, theory)),
        Compare((tmp_path / "absent.csv",)),
    ):
        with pytest.raises(InputError):
            bad.run()
    assert not (tmp_path / "fits.txt").exists()


@pytest.mark.slow
def test_report_command(table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = write_table(table, tmp_path / "all.csv")
    output = tmp_path / "new" / "page.html"
    found = tyro.cli(Report, args=[str(curve), "--output", str(output), "--title", "Mine"]).run()
    assert capsys.readouterr().out.startswith(f"wrote {output}")
    assert output.is_file()
    assert len(list(Path(found["figures"]).iterdir())) == 4
    assert f"relstab report {curve} --output {output} --title Mine" in output.read_text()
    assert json.loads(json.dumps(found))["report"] == str(output)


def test_import_is_light_and_free_of_torch() -> None:
    heavy = ("torch", "matplotlib", "plotly", "lmfit", "jinja2", "empirical")
    code = f"import compare, sys; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
