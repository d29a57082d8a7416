"""Whatever is thrown at the commands: status 0, 1 or 2, one line where it is refused, and nothing half-written.

Files are drawn that are nearly right, as those of users are: right ones with some bytes changed, cut or doubled, and
right forms with strange contents. The commands run in this process, so that an error that is not told would end a test.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relstab

torch = pytest.importorskip("torch", reason="torch is not installed")
from PIL import Image  # noqa: E402
from safetensors.torch import save  # noqa: E402

COLUMNS = "source,task,architecture,train_size,seed,stage,relative_stability,test_error,cutoff,note"
ROWS = [
    f"mine,digits,net{a},{2**k},{s},trained,{0.9**k + 0.01 * s},0.{k}{s},3,é"
    for a in (0, 1)
    for k in (4, 5, 6)
    for s in (0, 1)
]
TABLE = "\n".join([COLUMNS, *ROWS, ""]).encode()
TOML = b"""# nets
[[experiment]]
kind = "image"
dataset = "digits"
architectures = ["lenet", "fc2"]
train_sizes = [32, 64]
seeds = [0, 1]
image_size = 16
epochs = 2

[[experiment]]
kind = "stripe"
train_sizes = [16]
seeds = [0]
dim = 5
"""
NETS = """
from torch import nn

def small(channels=1, size=8, classes=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
"""
FUZZ = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def damaged(draw: st.DrawFn, right: bytes, words: tuple[bytes, ...]) -> bytes:
    """A right file with up to four changes: bytes overwritten, taken out, doubled, or words put in."""
    content = bytearray(right)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["over", "out", "double", "word", "cut"]))
        if kind == "over":
            content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "out":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + 10 * length]
        elif kind == "word":
            content[place:place] = draw(st.sampled_from(words))
        elif draw(st.booleans()):
            del content[place:]
    return bytes(content)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELSTAB_DATA", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "fuzzed_nets", raising=False)
    (tmp_path / "fuzzed_nets.py").write_text(NETS)
    return tmp_path


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """What an example leaves is taken away, so that the next begins as it did."""
    kept = set(folder.iterdir())
    try:
        yield
    finally:
        for item in set(folder.iterdir()) - kept:
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def tried(arguments: str, folder: Path, output: str = "") -> int:
    """Run a command; what must hold whatever it was given. The status."""
    before = {path: path.stat().st_size for path in folder.rglob("*") if "__pycache__" not in path.parts}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = relstab.main(arguments.split())
    left = {path: path.stat().st_size for path in folder.rglob("*") if "__pycache__" not in path.parts}
    assert status in (0, 1, 2), arguments
    assert "Traceback" not in err.getvalue()
    if status == 2:
        told = [line for line in err.getvalue().splitlines() if "warning:" not in line and "%" not in line[:20]]
        assert len(told) == 1, told
        assert told[0].startswith("relstab: ")
        assert len(told[0]) < 2000
        assert out.getvalue() == ""
        assert left == before
    new = {path.name for path in left if path not in before}
    assert new <= {output} - {""}, new
    return status


def ways(tally: dict[int, int], status: int) -> None:
    tally[status] = tally.get(status, 0) + 1


@pytest.mark.slow
def test_tables(here: Path) -> None:
    tally: dict[int, int] = {}
    words = (
        b",",
        b";",
        b"\t",
        b"\r",
        b"\n",
        b'"',
        b"#",
        b"\xef\xbb\xbf",
        b"\0",
        b"nan",
        b"1e999",
        b"-1",
        b"\xff",
        b",,",
    )

    @FUZZ
    @given(content=damaged(TABLE, words), suffix=st.sampled_from([".csv", ".csv", ".tsv", ".csv.gz", ".parquet"]))
    def throw(content: bytes, suffix: str) -> None:
        with emptied(here):
            (here / f"t{suffix}").write_bytes(content)
            ways(tally, tried(f"compare t{suffix}", here))

    throw()
    assert {0, 2} <= set(tally)  # some were read, some refused


@pytest.mark.slow
def test_experiments(here: Path) -> None:
    tally: dict[int, int] = {}
    words = (
        b"[[",
        b"]]",
        b"=",
        b"\r",
        b"inf",
        b"nan",
        b"-1",
        b"99999999999999999999",
        b"true",
        b"'",
        b"[[[[" * 500,
        b"{",
        b".",
        b"\xef\xbb\xbf",
    )

    @FUZZ
    @given(
        content=st.one_of(damaged(TOML, words), st.just(b"a = " + b"[" * 5000), st.just(TOML.replace(b"\n", b"\r\n")))
    )
    def throw(content: bytes) -> None:
        with emptied(here):
            (here / "e.toml").write_bytes(content)
            ways(tally, tried("sweep e.toml --dry-run", here))

    throw()
    assert {0, 2} <= set(tally)


def png(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(stream, "png")
    return stream.getvalue()


def huge() -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


MEASURE = "measure --model fuzzed_nets:small --displacement 0.3 --images 8 --train-size 8 --output o.csv --data"


@pytest.mark.slow
def test_folders_of_pictures(here: Path) -> None:
    tally: dict[int, int] = {}
    names = st.sampled_from(
        [
            "a/1.png",
            "a/2.PNG",
            "b/1.png",
            "b/deep/2.png",
            ".h/1.png",
            "a/.h.png",
            "3.png",
            "a/x.txt",
            "test/a/1.png",
            "c/é 1.jpg",
        ]
    )
    contents = st.one_of(
        *[st.builds(png, st.integers(0, 99))] * 6,
        damaged(png(), (b"\0\0\0\0",)),
        st.just(huge()),
        st.binary(max_size=40),
    )

    @FUZZ
    @given(files=st.dictionaries(names, contents, min_size=1, max_size=5))
    def throw(files: dict[str, bytes]) -> None:
        with emptied(here):
            (here / "photos").mkdir()
            for name, content in files.items():
                (here / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
                (here / "photos" / name).write_bytes(content)
            ways(tally, tried(f"{MEASURE} photos", here, "o.csv"))

    throw()
    assert {0, 2} <= set(tally)


DTYPES = st.sampled_from(["u1", "u1", "f4", "f8", "f2", "i8", "i2", "?", "c8", "O", "U3", "M8[s]", "V4"])
SHAPES = st.sampled_from(
    [
        (6, 8, 8),
        (6, 8, 8),
        (6, 8, 8, 3),
        (6, 3, 8, 8),
        (6, 8, 9),
        (0, 8, 8),
        (6,),
        (),
        (1, 8, 8),
        (6, 1, 1),
        (6, 8, 8, 5),
    ]
)
FILLS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "numbers": lambda shape: np.random.default_rng(0).random(shape),
    "bytes": lambda shape: np.random.default_rng(0).integers(0, 256, shape),
    "nan": lambda shape: np.full(shape, np.nan),
    "negative": lambda shape: -np.ones(shape),
    "constant": lambda shape: np.full(shape, 3),
}


@pytest.mark.slow
def test_arrays(here: Path) -> None:
    tally: dict[int, int] = {}

    @FUZZ
    @given(
        dtype=DTYPES, shape=SHAPES, fill=st.sampled_from(sorted(FILLS)), name=st.sampled_from(["images", "x", "q"]),
        labels=st.sampled_from([None, [0, 1, 2, 0, 1, 2], [[0]] * 6, [0.5] * 6, [9] * 6, [-1] * 6, ["a"] * 6, [0]]),
        harm=st.integers(0, 3), bare=st.booleans(), place=st.integers(0, 400), data=st.binary(min_size=8, max_size=8),
    )  # fmt: skip
    def throw(
        dtype: str,
        shape: tuple[int, ...],
        fill: str,
        name: str,
        labels: Any,
        harm: int,
        bare: bool,
        place: int,
        data: bytes,
    ) -> None:
        with emptied(here), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                images = np.asarray(FILLS[fill](shape)).astype(dtype)
            except (TypeError, ValueError):
                images = np.zeros(shape, dtype)
            file = here / ("x.npy" if bare else "x.npz")
            if bare:
                np.save(file, images)
            elif labels is None:
                np.savez_compressed(file, **{name: images})
            else:
                np.savez(file, **{name: images}, labels=np.asarray(labels))
            if harm == 3:
                content = bytearray(file.read_bytes())
                content[place : place + 8] = data
                file.write_bytes(content)
            ways(tally, tried(f"{MEASURE} {file.name}", here, "o.csv"))

    throw()
    assert {0, 2} <= set(tally)


@pytest.mark.slow
def test_weights(here: Path) -> None:
    tally: dict[int, int] = {}
    state = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)).state_dict()
    stream = io.BytesIO()
    torch.save(state, stream)
    rights = {"w.safetensors": save(state), "w.pt": stream.getvalue()}
    np.savez(here / "x.npz", images=np.random.default_rng(0).random((6, 8, 8)), labels=[0, 1, 2, 0, 1, 2])

    @FUZZ
    @given(data=st.data(), name=st.sampled_from(sorted(rights)))
    def throw(data: st.DataObject, name: str) -> None:
        with emptied(here):
            (here / name).write_bytes(data.draw(damaged(rights[name], (b"\0", b"{", b"PK"))))
            ways(tally, tried(f"{MEASURE} x.npz --weights {name}", here, "o.csv"))

    throw()
    assert {0, 2} <= set(tally)


def test_where_nothing_can_be_written(here: Path) -> None:
    """A folder without rights, a file in the place of a folder: told before anything is computed."""
    (here / "t.csv").write_bytes(TABLE)
    np.savez(here / "x.npz", images=np.random.default_rng(0).random((6, 8, 8)))
    (here / "file").write_text("x")
    (here / "closed").mkdir(mode=0o500)
    places = ["file/o", "x" * 250, *([] if os.access(here / "closed", os.W_OK) else ["closed/o"])]
    for place, (command, suffix) in itertools.product(
        places,
        [
            ("report t.csv --output", ".html"),
            (f"{MEASURE} x.npz --output", ".csv"),
            ("theory predict --output", ".csv"),
        ],
    ):
        assert tried(f"{command.replace('--output o.csv', '')} {place}{suffix}", here) == 2
