"""The page on the test error beside R_f: it takes tables of nets on all images when they are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from theory import curve_table, write_table

NETS = ("fc2", "fc4", "lenet", "vgg-small", "resnet-small", "airbench")


def planted() -> pd.DataFrame:
    """Nets on all images with eps_t = 0.5 R_f^(1/2), D_f unrelated; one net is finished at a smaller P alone."""
    rng = np.random.default_rng(0)
    rows = []
    for task in ("fashion-mnist", "images:cifar10-jpeg"):
        for place, net in enumerate((*NETS, "resnet18")):
            size = 4096 if net == "resnet18" else 50000
            key = {"source": "images", "task": task, "architecture": net, "train_size": size, "seed": 0}
            ratio = 0.06 * 2.0**place
            diffeo = float(np.exp(rng.normal()))
            rows.append({**key, "stage": "initial", "relative_stability": 1.0})
            rows.append({**key, "stage": "trained", "relative_stability": ratio, "diffeo_stability": diffeo,
                         "noise_stability": diffeo / ratio, "test_error": 0.5 * ratio**0.5})  # fmt: skip
    return curve_table(rows)


@pytest.mark.slow
def test_tables_of_nets_on_all_images_are_taken_when_they_are_there(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paper.numbers import net_laws as numbers
    from paper.scripts import net_laws as page

    monkeypatch.setattr(numbers, "DATA", tmp_path)
    assert numbers.full_tables() is None
    assert page._tests() == [
        "Nets trained on all images are not measured yet: image_nets_full.csv and image_curves_full.csv are not there."
    ]
    write_table(planted(), tmp_path / "image_nets_full.csv")
    table = numbers.full_tables()
    assert table is not None
    assert set(numbers.full_nets(table, "fashion-mnist")["train_size"]) == {50000}
    laws = [line for line in page._laws() if "P = 50000" in line]
    assert [line.split("|")[2:5] for line in laws] == 2 * [[" nets at P = 50000 ", " 6 ", " 6 nets "]]
    assert all(cell.startswith(" 0.5 ") for line in laws for cell in line.split("|")[5:8])
    falls = [line for line in page._falls() if "| 50000 |" in line and "published" not in line]
    assert len(falls) == 2 * len(NETS)
    assert falls[-1].endswith(f"| VGG-6 | 50000 | 1 | 1 | 0.48 | {-np.log10(0.06 * 2**3):.3g} |")
    text = "\n".join(page._tests())
    assert "| 6, FashionMNIST | log R_f | 1" in text
    assert "6, both together" in text
    assert "R_f tracks the test error better than D_f" in text


def test_the_power_is_that_of_the_command(paper: Path) -> None:
    """One row, computed anew."""
    from paper.scripts.swap_power import cells, power_table, row

    table = power_table()
    committed = table[(table["nets"] == 7) & (table["strata"] == 1) & (table["r"] == 0.95) & (table["d"] == 0)]
    again = pd.DataFrame([row(7, 1, 0.95, 0.0)])
    pd.testing.assert_frame_equal(committed.reset_index(drop=True), again, check_dtype=False, rtol=1e-5)
    assert len(cells(table)) == 20
