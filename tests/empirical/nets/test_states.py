"""States of nets that are no plain set of tensors: tied weights, extra state, in weights and in checkpoints."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

import empirical.nets.architectures as architectures  # noqa: E402
from empirical import ImageConfig, build, train  # noqa: E402
from empirical.nets.states import packed, unpacked  # noqa: E402
from empirical.nets.weights import load_weights, save_weights  # noqa: E402
from theory import InputError  # noqa: E402


class Tied(nn.Module):
    """Two layers of one matrix, a buffer that is a part of another, and extra state of JSON's kinds."""

    def __init__(self, side: int = 4, extra: object = None) -> None:
        super().__init__()
        self.flat, self.first, self.second = nn.Flatten(), nn.Linear(side, side), nn.Linear(side, side)
        self.second.weight = self.first.weight
        self.register_buffer("whole", torch.arange(6.0))
        self.register_buffer("part", self.whole[2:4])
        self.extra = {"scale": 1.5, "names": ["a", "é"], "none": None} if extra is None else extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(self.flat(x))))[:, :10]

    def get_extra_state(self) -> object:
        return self.extra

    def set_extra_state(self, state: object) -> None:
        self.extra = state


def test_tied_weights_and_extra_state_are_kept(tmp_path: Path) -> None:
    net, other = Tied(), Tied(extra={"scale": 7})
    save_weights(net, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    assert other.extra == net.extra
    for name, value in net.named_parameters():
        assert torch.equal(value, dict(other.named_parameters())[name])
    assert other.second.weight is other.first.weight
    assert torch.equal(other.part, net.part)
    state = net.state_dict()
    again = unpacked(packed(state))
    assert list(again) == list(state)
    tensors = [value for value in again.values() if isinstance(value, torch.Tensor)]
    assert len({value.data_ptr() for value in tensors}) == len(tensors)


@pytest.mark.parametrize("extra", [{1, 2}, {"f": float("nan")}, {1: "a"}, (1, 2), object()])
def test_state_that_cannot_be_kept_is_refused_and_nothing_is_written(extra: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="_extra_state, .*: cannot be kept"):
        save_weights(Tied(extra=extra), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_it_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(architectures.ARCHITECTURES, "odd", lambda channels, size, classes: Tied(256, {1, 2}))
    with pytest.raises(InputError, match="cannot be kept"):
        train(ImageConfig(architecture="odd", image_size=16, train_size=16, epochs=1, min_steps=1, probe_size=20))


@pytest.mark.slow
def test_a_checkpoint_keeps_them_and_training_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after an epoch and taken up: the same weights to the bit as without."""
    monkeypatch.setitem(architectures.ARCHITECTURES, "tied", lambda channels, size, classes: Tied(256))
    config = ImageConfig(architecture="tied", image_size=16, train_size=64, epochs=4, min_steps=4, probe_size=20)
    whole = train(config).model.state_dict()
    file = tmp_path / "state"

    class Interrupted(Exception):
        pass

    def stop(part: float) -> None:
        if part >= 0.75:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, checkpoint=file, checkpoint_seconds=0, progress=stop)
    assert file.exists()
    again = train(config, checkpoint=file).model.state_dict()
    assert not file.exists()
    for name, value in whole.items():
        assert torch.equal(again[name], value) if isinstance(value, torch.Tensor) else again[name] == value


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", b"{}", b"weights"])
def test_a_file_that_is_none_of_torchs_is_told_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_weights(nn.Linear(2, 2), tmp_path / "net.pt")
    assert "run its code" not in str(caught.value)


def test_threads_build_the_nets_of_their_seeds() -> None:
    """Eight at a time draw from one generator of torch's; each net is that of its seed."""
    right = [build("lenet", 1, 16, 10, seed).state_dict() for seed in range(8)]
    found: dict[int, dict[str, torch.Tensor]] = {}
    start = threading.Barrier(8)

    def make(seed: int) -> None:
        start.wait()
        found[seed] = build("lenet", 1, 16, 10, seed).state_dict()

    threads = [threading.Thread(target=make, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, state in enumerate(right):
        assert all(torch.equal(found[seed][name], value) for name, value in state.items())
