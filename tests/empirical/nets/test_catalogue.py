"""The table of `relstab nets` against the nets themselves."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import relstab  # noqa: E402
from empirical import ARCHITECTURES, build  # noqa: E402
from empirical.nets.catalogue import catalogue  # noqa: E402
from theory import InputError  # noqa: E402


@pytest.mark.slow
def test_the_table_is_what_the_nets_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert relstab.main(["nets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(ARCHITECTURES)
    for name in ("fc2", "lenet", "resnet-small", "vgg-small", "airbench", "vit-small"):
        net = build(name, 3, 32, 10, 0)
        assert rows[name]["parameters"] == sum(one.numel() for one in net.parameters())
        least = rows[name]["smallest_image"]
        assert build(name, 3, least, 10, 0).eval()(torch.zeros(2, 3, least, least)).shape == (2, 10)
        if least > 2:
            with pytest.raises((InputError, RuntimeError)):
                build(name, 3, least - 1, 10, 0).eval()(torch.zeros(2, 3, least - 1, least - 1))
    assert rows["resnet18"]["smallest_image"] == 28
    assert rows["resnet18"]["parameters"] == 11_173_962
    assert relstab.main(["nets", "--image-size", "8", "--channels", "1"]) == 0
    shown = capsys.readouterr().out
    assert "24 nets, for 8 x 8 images" in shown
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("resnet18")] == ["-"]


def test_refusals() -> None:
    with pytest.raises(InputError, match="image_size = 1"):
        catalogue(size=1)
