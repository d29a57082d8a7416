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
                         "noise_stability": diffeo / ratio, "test_error": 0.5 * ratio**0.5,
                         "train_error": 0.02 * place})  # fmt: skip
    return curve_table(rows).assign(
        parameters=1000, epochs=10, precision="float32", device="cpu", core_seconds=1800.0
    )  # fmt: skip


@pytest.mark.slow
def test_tables_of_nets_on_all_images_are_taken_when_they_are_there(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paper.numbers import net_laws as numbers
    from paper.scripts import net_laws as page

    monkeypatch.setattr(numbers, "DATA", tmp_path)
    monkeypatch.setattr(page, "DATA", tmp_path)
    assert numbers.full_table() is None
    assert page._tests() == ["Nets trained on all images are not measured yet: image_nets_full.csv is not there."]
    assert (list(page._full_rows()), page._progress()) == ([], "no run yet")
    few = planted().query("architecture in ('fc2', 'fc4')")
    write_table(few, tmp_path / "image_nets_full.csv", "made\n4 of 14 runs, 10 missing")
    assert page._progress() == "4 of 14 runs, 10 missing"
    assert "nothing to correlate yet" in page._tests()[0]
    assert len(list(page._full_rows())) == 4
    write_table(planted(), tmp_path / "image_nets_full.csv")
    table = numbers.full_table()
    assert table is not None
    assert set(numbers.full_nets(table, "fashion-mnist")["train_size"]) == {50000}
    laws = [line for line in page._laws() if "P = 50000" in line]
    assert [line.split("|")[2:5] for line in laws] == 2 * [[" nets at P = 50000 ", " 6 ", " 6 nets "]]
    assert all(cell.startswith(" 0.5 ") for line in laws for cell in line.split("|")[5:8])
    rows = [line.split("|")[2:11] for line in page._full_rows()]
    assert rows[1] == [" fc2 ", " 1,000 ", " 10 ", " cpu ", " 0.50 ", " 1 ", " 0.000 ", " 0.122 ", " yes "]
    assert sum(row[-1] == " yes " for row in rows) == 2
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


def test_the_public_nets_of_the_page_are_those_of_the_table(paper: Path) -> None:
    from theory import Estimate, read_table

    page = (paper.parent / "docs" / "measure.md").read_text(encoding="utf-8")
    table = read_table(paper / "data" / "public_nets.csv")
    assert len(table) == page.count("| CIFAR-10 (JPEG) |")
    for _, row in table.iterrows():
        names = ("relative_stability", "diffeo_stability", "noise_stability")
        values = [Estimate(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))).short for name in names]
        assert f"| CIFAR-10 (JPEG) | {' | '.join(values)} | {row['test_error']:.3f} |" in page


def test_keras_weights_are_turned_the_right_way(paper: Path, tmp_path: Path) -> None:
    """A planted file: the first convolution reads one pixel of one channel, the dense layers pass one number on."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    import torch

    from empirical.nets.weights import load_weights
    from paper.scripts.keras_cifar_net import convert, make

    net = make().eval()
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for name, module in net.named_children():
            kind, _, place = name.partition("-")
            layer = file.require_group("model_weights").require_group(kind if place == "0" else f"{kind}_{place}")
            own = layer.create_group(layer.name.rpartition("/")[2])
            if kind == "batch_normalization":
                for key, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1 - 1e-3)):
                    own[f"{key}:0"] = np.full(module.num_features, value, dtype="float32")
            elif kind in ("conv2d", "dense"):
                first = name == "conv2d-0"
                shape = tuple(module.weight.shape)
                kernel = np.zeros(shape[::-1] if kind == "dense" else (*shape[2:], shape[1], shape[0]), dtype="float32")
                # Row 0, column 2, blue for the first; afterwards channel 5 of the middle pixel.
                place_of_one = (0, 2, 2, 5) if first else (1, 1, 5, 5) if kind == "conv2d" else (5, 5)
                kernel[place_of_one] = 1
                own["kernel:0"], own["bias:0"] = kernel, np.zeros(shape[0], dtype="float32")
    convert(tmp_path / "net.h5", tmp_path / "net.safetensors")
    load_weights(net, tmp_path / "net.safetensors")
    image = torch.zeros(1, 3, 32, 32)
    image[0, 2, :, :] = 3
    assert net(image)[0].tolist() == pytest.approx([0, 0, 0, 0, 0, 3, 0, 0, 0, 0])
    red = torch.zeros(1, 3, 32, 32)
    red[0, 0, :, :] = 3
    assert net(red).abs().max() == 0
    dot = torch.zeros(1, 3, 5, 5)
    dot[0, 2, 1, 3] = 1  # read at row 0, column 2 of the window whose middle is at row 2, column 2
    assert net.get_submodule("conv2d-0")(dot)[0, 5].nonzero().tolist() == [[1, 1]]
