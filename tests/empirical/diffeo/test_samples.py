"""Samples as torchvision's v2 transforms take them: each part moved as its kind is, all by the field of their image."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402
from torchvision.transforms.v2 import functional  # noqa: E402

from empirical import MaxEntropyDiffeo, RandomDiffeo, displacement_fields, inverse_fields  # noqa: E402
from empirical.diffeo.sine_series import folded, moved_points  # noqa: E402
from theory import InputError  # noqa: E402

SIZE = (40, 56)
needs_key_points = pytest.mark.skipif(
    not hasattr(tv_tensors, "KeyPoints"), reason="this torchvision has no key points: they came with 0.23"
)
Pair = namedtuple("Pair", "image label")


def transform(seed: int = 0, **options: Any) -> Any:
    return RandomDiffeo(cutoff_max=4, generator=torch.Generator().manual_seed(seed), **options)


def positions() -> Any:
    """An image whose channels are the places x and y of its pixels."""
    height, width = SIZE
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    return torch.stack([x, y])


def read(image: Any, points: Any) -> Any:
    """The image between pixels, at (x, y)."""
    height, width = image.shape[-2:]
    grid = points / torch.tensor([width - 1, height - 1]) * 2 - 1
    found = torch.nn.functional.grid_sample(image[None], grid[None, None], align_corners=True)
    return found[0, :, 0].T


def boxes(kind: str = "XYXY", values: Any = ((10.0, 8.0, 30.0, 24.0), (3.0, 20.0, 50.0, 37.0))) -> Any:
    corners = tv_tensors.BoundingBoxes(torch.tensor(values), format="XYXY", canvas_size=SIZE)
    return functional.convert_bounding_box_format(corners, new_format=kind)


@needs_key_points
@pytest.mark.parametrize("seed", range(4))
def test_key_points_go_where_the_image_shows_what_they_stood_on(seed: int) -> None:
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([55.0, 39.0])
    sample = {"image": tv_tensors.Image(positions()), "points": tv_tensors.KeyPoints(points, canvas_size=SIZE)}
    found = transform(seed)(sample)
    there = read(found["image"].as_subclass(torch.Tensor), found["points"].as_subclass(torch.Tensor))
    # The image is linear in the place, and read linearly between pixels: what is left is the field's curvature.
    assert float((there - points).abs().max()) < 0.1
    # Control: the opposite direction is off by pixels.
    wrong = 2 * points - found["points"].as_subclass(torch.Tensor)
    assert float((read(found["image"].as_subclass(torch.Tensor), wrong) - points).abs().max()) > 0.5


def test_points_on_the_grid_are_moved_by_the_inverse_fields() -> None:
    coefficients = MaxEntropyDiffeo(3, 2.0, generator=torch.Generator().manual_seed(0)).sample(5, SIZE, torch.float64)
    assert not folded(coefficients, SIZE).any()
    grid = positions().double().flatten(1).T.expand(5, -1, 2)
    expected = grid - inverse_fields(coefficients, SIZE).flatten(2).transpose(1, 2)
    torch.testing.assert_close(moved_points(coefficients, SIZE, grid), expected, rtol=0, atol=1e-5)


def test_strong_fields_lose_no_point() -> None:
    """Up to T_max, of fields that do not fold on the pixels: what is shown where a point goes is the point."""
    diffeo = RandomDiffeo(8, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    coefficients = diffeo.coefficients(40, (32, 32)).double()
    points = 31 * torch.rand(40, 30, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = moved_points(coefficients, 32, points)
    fields = displacement_fields(coefficients, 32)
    shown = torch.stack([
        p - torch.nn.functional.grid_sample(f[None], (p / 31 * 2 - 1)[None, None], align_corners=True)[0, :, 0].T
        for p, f in zip(found, fields, strict=True)
    ])  # fmt: skip
    assert float((shown - points).norm(dim=-1).max()) < 1.0


@pytest.mark.parametrize("kind", ["XYXY", "XYWH", "CXCYWH"])
def test_a_box_stays_around_what_it_was_drawn_around(kind: str) -> None:
    given = boxes(kind)
    masks = torch.zeros(2, *SIZE, dtype=torch.uint8)
    masks[0, 8:24, 10:30], masks[1, 20:37, 3:50] = 1, 1
    sample = (tv_tensors.Image(positions()), tv_tensors.Mask(masks), given)
    for seed in range(5):
        _, moved, found = transform(seed)(*sample)
        assert found.format == given.format
        assert found.canvas_size == SIZE
        corners = functional.convert_bounding_box_format(found, new_format="XYXY")
        for mask, box in zip(moved, corners.tolist(), strict=True):
            rows, columns = (np.nonzero(np.asarray(mask).any(axis))[0] for axis in (1, 0))
            around = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(np.array(around) - box).max() <= 1  # a mask has whole pixels


@needs_key_points
def test_without_a_deformation_all_stays_as_it_is() -> None:
    points = tv_tensors.KeyPoints(torch.tensor([[0.0, 0.0], [55.0, 39.0], [20.2, 3.3]]), canvas_size=SIZE)
    mask = tv_tensors.Mask(torch.randint(0, 2**40, SIZE))
    given = (tv_tensors.Image(positions()), mask, boxes(), points, torch.tensor(7), "name")
    found = transform(probability=0.0)(given)
    assert [type(one) for one in found] == [type(one) for one in given]
    for one, other in zip(found[:5], given[:5], strict=True):
        torch.testing.assert_close(one.as_subclass(torch.Tensor), other.as_subclass(torch.Tensor), rtol=0, atol=1e-4)
        assert one.dtype == other.dtype
    assert torch.equal(found[1], mask)  # to the last bit


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_images_and_masks_are_those_of_torchvisions_elastic(dtype: Any) -> None:
    """Given the same field, in its convention: displacements in half sides, added."""
    image = torch.randint(0, 256, (3, *SIZE), generator=torch.Generator().manual_seed(0)).to(dtype)
    mask = torch.randint(0, 5, SIZE, generator=torch.Generator().manual_seed(1))
    diffeo = transform()
    found, labels = diffeo(tv_tensors.Image(image), tv_tensors.Mask(mask))
    field = displacement_fields(diffeo.drawn, SIZE)[0].movedim(0, -1)
    theirs = -2 * field / torch.tensor([SIZE[1], SIZE[0]])
    expected = functional.elastic(tv_tensors.Image(image), theirs[None], fill=None)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(
        found.float()[inside], expected.float()[inside], rtol=0, atol=1 if dtype == torch.uint8 else 0.02
    )
    same = labels == functional.elastic(tv_tensors.Mask(mask), theirs[None], fill=None)
    assert float(same[1:-1, 1:-1].float().mean()) > 0.999  # but where a position is half way, to rounding


def test_a_video_has_one_field_and_batches_one_each() -> None:
    frames = torch.rand(1, 3, *SIZE).expand(4, -1, -1, -1).contiguous()
    video = transform()(tv_tensors.Video(frames))
    assert isinstance(video, tv_tensors.Video)
    assert all(torch.equal(video[0], frame) for frame in video)
    batch = transform()(frames)
    assert not torch.equal(batch[0], batch[1])
    images, videos, masks = transform()(
        (tv_tensors.Image(frames), tv_tensors.Video(frames[:, None]), tv_tensors.Mask(frames[:, :1].bool()))
    )
    torch.testing.assert_close(images.as_subclass(torch.Tensor), videos[:, 0].as_subclass(torch.Tensor))
    assert masks.dtype == torch.bool


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "F", "CMYK"])
def test_pillows_images_keep_their_mode(mode: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    picture = Image.fromarray(colours).convert(mode)
    picture.info["dpi"] = (72, 72)
    still = transform(probability=0.0)(picture)
    assert still.mode == mode
    assert still.info["dpi"] == (72, 72)
    np.testing.assert_array_equal(np.asarray(still.convert("RGB")), np.asarray(picture.convert("RGB")))
    moved = transform()(picture)
    assert moved.size == picture.size
    assert np.asarray(moved.convert("RGB")).tolist() != np.asarray(picture.convert("RGB")).tolist()


def test_nested_samples_keep_their_form() -> None:
    image = torch.rand(3, *SIZE)
    found = transform()({"a": [Pair(tv_tensors.Image(image), 3)], "weights": torch.rand(5), "b": (None, "x")})
    assert isinstance(found["a"][0], Pair)
    assert found["a"][0].label == 3
    assert found["b"] == (None, "x")
    plain = transform()(image, torch.tensor(4))
    assert torch.equal(plain[0], found["a"][0].image)  # the same seed
    assert plain[1] == 4
    counted = transform()(defaultdict(list, image=image, label=4))
    assert torch.equal(counted["image"], plain[0])
    assert counted["more"] == []
    two = transform()([image, image])  # the second plain tensor is none of the sample's images
    assert torch.equal(two[1], image)
    assert not torch.equal(two[0], image)


def test_what_was_drawn_can_be_repeated() -> None:
    diffeo, image = transform(), torch.rand(3, *SIZE)
    with pytest.raises(InputError, match="sample = replayed before any: must follow one that was deformed"):
        diffeo.replay(image)
    first = diffeo(image)
    assert torch.equal(diffeo.replay(image), first)
    with pytest.raises(InputError, match="sample = 2 images: must be 1, as in the one that was deformed"):
        diffeo.replay(torch.rand(2, 3, *SIZE))
    assert not torch.equal(diffeo(image), first)


class Scenes(Dataset):  # type: ignore[type-arg]
    """Eight times the same image, through a transform of torchvision's kind."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        image = Image.fromarray((positions()[0].numpy() * 4).astype(np.uint8))
        return self.change(image, tv_tensors.Mask(torch.zeros(SIZE)), boxes(), index)


@pytest.mark.slow
def test_in_compose_and_a_loaders_workers() -> None:
    """With a generator of its own, no two of two epochs alike, and the same again from the same loader's seed."""
    change = v2.Compose([v2.RandomHorizontalFlip(0), transform(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])

    def sums(seed: int) -> list[float]:
        loader = DataLoader(Scenes(change), num_workers=2, generator=torch.Generator().manual_seed(seed))
        return [float(image.double().square().sum()) for _ in range(2) for image, *_ in loader]

    once = sums(1)
    assert len(set(once)) == 16
    assert once == sums(1)
    assert once != sums(2)


@pytest.mark.slow
def test_in_torch_compile() -> None:
    """Before a net, for batches of several lengths, what it draws is what it draws without."""
    for make in (transform, lambda: MaxEntropyDiffeo(3, 1.0, generator=torch.Generator().manual_seed(0))):
        net = torch.nn.Sequential(make(), torch.nn.Flatten(), torch.nn.Linear(256, 3))
        plain = torch.nn.Sequential(make(), *net[1:])
        compiled = torch.compile(net, backend="eager")
        for count in (4, 4, 3):
            images = torch.rand(count, 1, 16, 16)
            torch.testing.assert_close(compiled(images), plain(images))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((tv_tensors.Image(torch.rand(3, 8, 8)), tv_tensors.Mask(torch.zeros(9, 8))), "must all have one (height"),
        ((tv_tensors.Image(torch.rand(2, 3, *SIZE)), boxes()), "boxes beside a batch of 2: must be deformed one"),
        ((tv_tensors.Image(torch.rand(2, 3, *SIZE)), tv_tensors.Video(torch.rand(3, 1, 1, *SIZE))), "of 2 and 3"),
        ((tv_tensors.Image(torch.rand(2, 3, *SIZE)), tv_tensors.Mask(torch.zeros(SIZE))), "must begin with 2"),
        (tv_tensors.Image(torch.rand(2, 2, 3, *SIZE)), "images.shape = (2, 2, 3, 40, 56): must be (channels, height,"),
        ({"label": 3}, "images = dict: must be or hold an image"),
        (Image.new("I;16", (8, 8)), "images.mode = I;16: must be one of L, LA"),
    ],
)  # fmt: skip
def test_refusals(sample: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        transform()(sample)
    assert message in str(error.value)


@pytest.mark.skipif(not hasattr(tv_tensors.BoundingBoxFormat, "XYWHR"), reason="this torchvision has no turned boxes")
def test_turned_boxes_are_refused() -> None:
    turned = tv_tensors.BoundingBoxes(torch.rand(1, 5), format="XYWHR", canvas_size=SIZE)
    with pytest.raises(InputError, match="boxes.format = XYWHR: must be XYXY, XYWH or CXCYWH"):
        transform()(turned)


def test_the_transforms_need_torch_alone() -> None:
    """No sweep, data set, net or compiler is loaded with them."""
    code = (
        "import sys\n"
        "from empirical.diffeo.augmentation import RandomDiffeo\n"
        "from empirical import MaxEntropyDiffeo\n"
        "heavy = ('numba', 'scipy', 'pandas', 'torchvision', 'torchmetrics', 'PIL', 'rich', 'tyro')\n"
        "print([name for name in sys.modules if name in heavy or name.startswith(('empirical.runs', 'empirical.tr'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
