"""The parts on hierarchies of README.md and docs/hierarchies.md are what the committed tables give; sentences turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from theory import InputError


@pytest.mark.slow
def test_the_texts_are_those_of_the_tables(paper: Path) -> None:
    from paper.scripts import hierarchies

    readme = (paper.parent / "README.md").read_text(encoding="utf-8")
    page = (paper.parent / "docs" / "hierarchies.md").read_text(encoding="utf-8")
    assert hierarchies.first_screen() in readme
    assert hierarchies.details() in page
    for table in ("curves", "nets", "sparse", "augmentation"):
        first = (paper / "data" / f"srhm_{table}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# relstab sweep paper/experiments/srhm_{table}.toml"
    for table in ("fashion_augmentation", "channel_means", "two_points"):
        first = (paper / "data" / f"{table}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# relstab sweep paper/experiments/{table}.toml"


def test_that_a_small_ratio_is_not_enough_is_said_only_where_it_is_so(
    paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placements of the committed table, beside a curve of the usual training that lies below them, or through them."""
    from paper.numbers import hierarchies

    class Curve:
        points = pd.DataFrame({"relative_stability": np.geomspace(0.001, 1, 60)})

    def usual(error: float) -> type[Curve]:
        Curve.points["test_error"] = error
        return Curve

    monkeypatch.setattr(hierarchies, "output", lambda: usual(0.002))
    assert hierarchies.enough() == "a small R_f is not enough"
    monkeypatch.setattr(hierarchies, "output", lambda: usual(0.5))
    assert hierarchies.enough().startswith("nets with a small R_f have a small error")
    with pytest.raises(InputError, match="fewer than five nets"):
        hierarchies.curve_at(30.0)
