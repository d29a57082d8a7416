"""Scale detection on a line and on a square: labels, counts, moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.common.errors import InputError
from theory.hierarchies import ScaleDetection, TwoPoints

LINES = [
    ScaleDetection(task="block"),
    ScaleDetection(task="distance"),
    ScaleDetection(64, 16, 3, "distance"),
    ScaleDetection(65, 16, 0, "block"),
]


@pytest.mark.parametrize("task", LINES, ids=lambda task: task.name)
def test_moves_keep_the_label_and_move_by_one_pixel(task):
    pixels, labels = task.sample(600, np.random.default_rng(0))
    assert np.array_equal(task.label(pixels), labels)
    moved = task.move(pixels, np.random.default_rng(1))
    steps = np.abs(moved - pixels)
    assert steps.max() == 1
    assert steps.mean() > 0.8  # most do move
    assert moved.min() >= 0
    assert moved.max() < task.size
    assert np.all(moved[:, 0] != moved[:, 1])
    near = task._distance(moved) < task.scale if task.task == "distance" else task.label(moved) == 1
    assert np.array_equal(near, labels == 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 40), st.data())
def test_labels_are_those_of_the_definition(size, draws):
    scale = draws.draw(st.integers(2, size // 2))
    block, distance = ScaleDetection(size, scale, task="block"), ScaleDetection(size, scale, task="distance")
    for first in range(size):
        for second in range(first + 1, size):
            pair = np.array([first, second])
            assert block.label(pair) == (1 if first // scale == second // scale else -1)
            assert distance.label(pair) == (1 if min(second - first, size - second + first) < scale else -1)


def test_the_number_of_data_of_the_paper():
    # Four blocks of 32: 4 (32 choose 2) = 1984 pairs in one block, and as many of the others.
    task = ScaleDetection(128, 32, task="block")
    assert task.data_count == 2 * 1984
    pixels, labels = task.sample(task.data_count, np.random.default_rng(0))
    assert len(np.unique(pixels, axis=0)) == task.data_count
    assert labels.sum() == 0
    # On a ring a distance below 32 leaves 31 partners on one side: 128 * 31 pairs, fewer than half of all.
    assert ScaleDetection(128, 32, task="distance").data_count == 2 * 128 * 31


def test_training_and_test_pairs_are_disjoint():
    train, test = ScaleDetection().split(2968, 4000, np.random.default_rng(0))
    assert (len(train), len(test)) == (2968, 1000)  # what is left
    assert len(np.unique(np.concatenate([train, test]), axis=0)) == 3968
    with pytest.raises(InputError, match="train_size = 3967: must be at most 3966"):
        ScaleDetection().split(3967, 10, np.random.default_rng(0))


def test_inputs_have_the_norm_of_the_paper():
    task = ScaleDetection()
    pixels, _ = task.sample(50, np.random.default_rng(0))
    inputs = task.inputs(pixels)
    assert inputs.shape == (50, 128, 1)
    assert (inputs**2).sum((1, 2)) == pytest.approx(np.full(50, 128.0))
    assert np.array_equal(np.argwhere(inputs[..., 0])[:, 1].reshape(-1, 2), pixels)


@pytest.mark.parametrize("norm", ["euclidean", "maximum"])
def test_two_points_on_a_square(norm):
    task = TwoPoints(norm=norm)
    pixels, labels = task.sample(2000, np.random.default_rng(0))
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) == 2000
    apart = np.abs(pixels[:, 0] - pixels[:, 1])
    distance = np.sqrt((apart**2).sum(1)) if norm == "euclidean" else apart.max(1)
    assert np.array_equal(labels, np.where(distance < 12, 1, -1))
    assert not np.any((distance >= 12) & (distance < 16))
    moved = task.move(pixels, np.random.default_rng(1))
    assert np.abs(moved - pixels).sum(-1).max() == 1
    assert np.any(moved != pixels, axis=(1, 2)).mean() > 0.9
    assert np.array_equal(task.distance(moved) < 14, labels == 1)
    assert (task.inputs(pixels) ** 2).sum((1, 2, 3)) == pytest.approx(np.full(2000, 1024.0))
    train, test = task.split(300, 200, np.random.default_rng(0))
    assert len(np.unique(np.concatenate([train, test]).reshape(-1, 4), axis=0)) == 500
    assert np.array_equal(train[:100], task.split(100, 5, np.random.default_rng(0))[0])


@pytest.mark.parametrize("norm", ["euclidean", "maximum"])
def test_pairs_on_a_square_are_counted(norm):
    task = TwoPoints(8, 4, 1, norm=norm)
    pixels = np.array([divmod(i, 8) for i in range(64)])
    labels = task.label(np.stack([pixels[part] for part in np.triu_indices(64, 1)], axis=1))
    assert task.data_count == 2 * min((labels == 1).sum(), (labels == -1).sum())
    assert len(task.split(task.data_count - 2, 9, np.random.default_rng(0))[1]) == 2


def test_patches_of_a_square_are_neighbours_on_the_line():
    """Sums over 4, 16 and 64 neighbours of the line are sums over squares of 2, 4 and 8 pixels, in the same order."""
    task = TwoPoints(8, 4, 1)
    pixels, _ = task.sample(20, np.random.default_rng(0))
    images, lines = task.inputs(pixels)[:, 0], task.patch_inputs(pixels)[..., 0]
    for side in (2, 4, 8):
        squares = images.reshape(20, 8 // side, side, 8 // side, side).sum((2, 4)).reshape(20, -1)
        windows = lines.reshape(20, -1, side**2).sum(2)
        assert np.array_equal(np.sort(windows, axis=1), np.sort(squares, axis=1))
    # The four corners of the square are the middles of the line's quarters, not its neighbours.
    corner = task.patch_inputs(np.array([[[0, 0], [0, 1]], [[0, 0], [0, 4]]]))[..., 0]
    assert [np.flatnonzero(line).tolist() for line in corner] == [[0, 1], [0, 16]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TwoPoints(12, 4, 1).patch_inputs(np.zeros((1, 2, 2), dtype=int)), "size = 12: must be a power of 2"),
        (lambda: ScaleDetection(task="colour"), "task = colour: must be one of distance, block"),
        (lambda: ScaleDetection(size=2), "size = 2"),
        (lambda: ScaleDetection(scale=0), "scale = 0"),
        (lambda: ScaleDetection(32, 20, task="distance"), "scale = 20: leaves no pair of one label"),
        (lambda: ScaleDetection(gap=3, task="block"), "gap = 3: is read by the task distance only"),
        (lambda: TwoPoints(norm="taxi"), "norm = taxi"),
        (lambda: TwoPoints(size=8, scale=14), "scale = 14.0"),
        (lambda: TwoPoints(size=3, scale=2, gap=0).sample(500, np.random.default_rng(0)), "were not found"),
    ],
)
def test_bad_tasks_are_told_in_one_line(make, said):
    with pytest.raises(InputError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
