"""The law eps_t = a R_f^b in the text: its intervals are over nets, whatever the number of seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare import clustered_error_law
from theory import InputError


def test_the_law_in_the_text_counts_nets(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from paper.numbers import errors
    from paper.numbers.formats import full, short
    from paper.numbers.image_table import NETS, TASKS, image_table

    found = errors.numbers()
    table = image_table()
    for task in TASKS:
        law = clustered_error_law(table[table["task"] == task])
        assert law.n_units == len(NETS)
        assert found[f"{task}.law.exponent"] == full(law.exponent)
        assert found[f"{task}.law.amplitude"] == short(law.amplitude)
    monkeypatch.setattr(errors, "image_table", lambda: table[table["architecture"].isin(["fc2", "fc4"])])
    with pytest.raises(InputError, match="fewer than three nets"):
        errors.numbers()
