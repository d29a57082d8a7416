"""Folders of pictures: one rule for `--data FOLDER` and images:NAME, and nothing left out unsaid."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from PIL import Image  # noqa: E402

from empirical import load_data  # noqa: E402
from empirical.data.user_images import read_images  # noqa: E402
from theory import InputError  # noqa: E402

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8)


def save(file: Path, pixels: np.ndarray = RAMP, mode: str | None = None, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(file, **options)


def both(root: Path, fill: Callable[[Path], None]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """What `fill` puts into a folder, read by both readers, which must agree: images in [0, 1], labels, classes."""
    for folder in (root / "one", root / "set" / "train", root / "set" / "test"):
        folder.mkdir(parents=True)
        fill(folder)
    found = read_images(root / "one")
    data = load_data("images:set", root)
    assert found.labels is not None
    assert found.classes == data.classes
    np.testing.assert_allclose(found.images, data.train_images / 255, atol=0.51 / 255)
    assert torch.equal(found.labels, data.train_labels)
    assert torch.equal(data.test_images, data.train_images)
    return found.images.numpy(), found.labels.numpy(), found.classes


def test_sixteen_bits_of_grey(tmp_path: Path) -> None:
    """v / 65535, to the rounding of a byte where bytes are kept; also beside pictures of eight bits."""
    wide = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)

    def fill(folder: Path) -> None:
        save(folder / "a" / "1.png", wide)
        save(folder / "a" / "2.tif", wide)
        save(folder / "b" / "3.png", np.round(wide / 257).astype(np.uint8))

    images, _, _ = both(tmp_path, fill)
    np.testing.assert_allclose(images, np.broadcast_to(wide / 65535, (3, 1, 8, 8)), atol=0.51 / 255)
    assert len(np.unique(images)) > 64  # not rounded to bytes


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_of_grey_and_colour(mode: str, tmp_path: Path) -> None:
    """Grey modes, and palettes of greys, are one channel; the others are three."""
    suffix = {"CMYK": "tif", "YCbCr": "jpg"}.get(mode, "png")

    def fill(folder: Path) -> None:
        save(folder / "a" / f"1.{suffix}", RAMP * 3, mode)

    images, _, _ = both(tmp_path, fill)
    assert images.shape == (1, 1 if mode in ("1", "L", "LA", "P") else 3, 8, 8)
    if mode not in ("1", "YCbCr"):
        np.testing.assert_allclose(images[0, 0], RAMP * 3 / 255, atol=1e-6)


def test_grey_among_colour_is_colour(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        save(folder / "a" / "1.png")
        save(folder / "a" / "2.png", np.stack([RAMP, RAMP * 2, RAMP * 3], axis=-1))
        save(folder / "b" / "3.png")

    images, _, _ = both(tmp_path, fill)
    assert images.shape == (3, 3, 8, 8)
    assert sorted(float(image[2, -1, -1]) for image in images) == pytest.approx([63 / 255, 63 / 255, 189 / 255])


def test_which_files_count(tmp_path: Path) -> None:
    """Any depth, capitals, other formats; hidden ones and those of file managers do not, and need no word."""

    def fill(folder: Path) -> None:
        for name in ("a/1.PNG", "a/deep/er/2.Bmp", "a/3.ppm", "b/4.webp", "b/5.JPEG", "b/6.pgm"):
            save(folder / name)
        for name in ("a/.7.png", ".ipynb_checkpoints/8.png", "__MACOSX/9.png", "a/.hidden/10.png"):
            save(folder / name)
        (folder / "a" / "Thumbs.db").write_bytes(b"x")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, labels, classes = both(tmp_path, fill)
    assert classes == ("a", "b")
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]


def test_a_class_without_pictures_keeps_its_place(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "b").mkdir()
        save(folder / "a" / "1.png")
        save(folder / "c" / "2.png", RAMP.T)

    with pytest.warns(UserWarning, match="no pictures in the class b, which keeps its place"):
        _, labels, classes = both(tmp_path, fill)
    assert classes == ("a", "b", "c")
    assert sorted(labels) == [0, 2]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        save(folder / "a" / "1.png")
        save(folder / "beside.png")
        (folder / "a" / "labels.txt").write_text("x")
        (folder / "a" / "2.heic").write_text("x")
        frames = [Image.fromarray(RAMP), Image.fromarray(RAMP.T)]
        frames[0].save(folder / "a" / "3.gif", save_all=True, append_images=frames[1:])

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        both(tmp_path, fill)
    words = " ".join(str(one.message) for one in told)
    for part in ("1 pictures beside the classes' folders", "1 of .heic, 1 of .txt", "1 pictures have several frames"):
        assert part in words


def test_orientation_is_applied(tmp_path: Path) -> None:
    """EXIF orientation 6: the camera was turned; what is shown is the stored picture turned clockwise."""

    def fill(folder: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        save(folder / "a" / "1.png", exif=exif)

    images, _, _ = both(tmp_path, fill)
    np.testing.assert_allclose(images[0, 0], np.rot90(RAMP, -1) / 255, atol=1e-6)


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        save(folder / "a" / "1.png")
        (folder / "a" / "again").symlink_to(folder / "a")

    assert len(both(tmp_path, fill)[0]) == 1


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


HUGE = png((b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
BROKEN = {
    "huge.png": HUGE,
    "empty.png": b"",
    "text.jpg": b"<html>not found</html>",
    "head.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 20,
    "head.tif": b"II*\0\x08\0\0\0\xff\xff",
    "head.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "head.bmp": b"BM" + b"\xff" * 40,
    "head.gif": b"GIF89a" + b"\xff" * 20,
    "head.ppm": b"P6 99999999999 2 255\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_picture_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    save(tmp_path / "one" / "a" / "0.png")
    (tmp_path / "one" / "a" / name).write_bytes(BROKEN[name])
    with pytest.raises(InputError, match=f"data = a/{name}: cannot be read as an image") as caught:
        read_images(tmp_path / "one")
    assert "\n" not in str(caught.value)


def test_a_picture_cut_short_is_named(tmp_path: Path) -> None:
    save(tmp_path / "0.png", np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"data = 0.png: cannot be read as an image"):
        read_images(tmp_path)


def test_other_refusals(tmp_path: Path) -> None:
    save(tmp_path / "parts" / "train" / "a" / "0.png")
    save(tmp_path / "parts" / "val" / "0.png")
    with pytest.raises(InputError, match=r"holds the parts of a data set: give one of them \(train, val\)"):
        read_images(tmp_path / "parts")
    save(tmp_path / "parts" / "test" / "a" / "0.png")
    assert read_images(tmp_path / "parts").classes == ("a",)
    save(tmp_path / "capitals" / "Train" / "a" / "0.png")
    save(tmp_path / "capitals" / "annotations" / "0.png")
    assert read_images(tmp_path / "capitals").classes == ("Train", "annotations")  # one part alone may be a class
    save(tmp_path / "capitals" / "Test" / "b" / "0.png")
    assert read_images(tmp_path / "capitals").classes == ("b",)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.heic").write_text("x")
    with pytest.raises(InputError, match=r"holds no images .*; it holds 1 of .heic"):
        read_images(tmp_path / "none")
    save(tmp_path / "sizes" / "a" / "0.png")
    save(tmp_path / "sizes" / "b" / "1.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match="data = b/1.png: is 9 x 9 pixels, the first 8 x 8"):
        read_images(tmp_path / "sizes")
    save(tmp_path / "float" / "f.tif", RAMP.astype(np.float32))
    with pytest.raises(InputError, match="data = f.tif: .* its grey has no known white"):
        read_images(tmp_path / "float")


def test_arrays_that_could_be_taken_for_others(tmp_path: Path) -> None:
    """An overshoot of numbers in [0, 1] is none of bytes, rounding is no overshoot, and labels are not lost unsaid."""
    numbers = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    np.save(tmp_path / "over.npy", numbers * 1.1 / numbers.max())
    with pytest.raises(InputError, match=r"numbers up to 1.1: must be in \[0, 1\], or else in \[0, 255\]: clip them"):
        read_images(tmp_path / "over.npy")
    np.save(tmp_path / "round.npy", numbers * np.float32(1.000001) / numbers.max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_images(tmp_path / "round.npy").pixels.max() == 1
    np.savez(tmp_path / "strange.npz", images=numbers, classes=[0, 1, 2, 3])
    with pytest.warns(UserWarning, match="holds images, classes: images is measured, without labels"):
        assert read_images(tmp_path / "strange.npz").labels is None


@pytest.mark.parametrize("place", range(56, 136, 8))
def test_a_damaged_archive_is_named_in_one_line(place: int, tmp_path: Path) -> None:
    """Bytes overwritten in the compressed array and its header, from a place on."""
    np.savez_compressed(tmp_path / "x.npz", images=RAMP[None] + np.arange(4, dtype=np.uint8)[:, None, None])
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[place : place + 16] = b"\xff" * 16
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError, match="x.npz") as caught:
        read_images(tmp_path / "x.npz")
    assert "\n" not in str(caught.value)
