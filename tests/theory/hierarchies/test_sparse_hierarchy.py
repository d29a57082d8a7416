"""The Sparse Random Hierarchy Model: rules, counts, what does and does not change a label."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from theory.common.errors import InputError
from theory.hierarchies import SparseHierarchy
from theory.hierarchies.rules import EMPTY, placement_table


@st.composite
def hierarchies(draw: st.DrawFn) -> SparseHierarchy:
    """Small hierarchies of every kind: one to three levels, both placements, m at its largest or below."""
    vocabulary, branching = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    levels = draw(st.integers(1, 3 if branching < 3 else 2))
    synonyms = draw(st.integers(1, vocabulary ** (branching - 1)))
    most = vocabulary**branching // synonyms
    classes = draw(st.integers(2, max(2, min(most, 6))))
    return SparseHierarchy(
        vocabulary, classes, synonyms, branching, draw(st.integers(0, 2)), levels,
        draw(st.sampled_from(["A", "B"])), draw(st.integers(0, 1000)),
    )  # fmt: skip


def _some(task: SparseHierarchy, seed: int = 0, most: int = 200):
    return task.sample(min(most, task.data_count), np.random.default_rng(seed))


@settings(max_examples=40, deadline=None)
@given(hierarchies())
def test_the_label_is_a_function_of_the_leaves(task):
    data = _some(task)
    assert np.array_equal(task.label(task.leaves(data)), data.labels)


@settings(max_examples=40, deadline=None)
@given(hierarchies(), st.data())
def test_placements_and_synonyms_never_change_the_label_and_change_what_they_say(task, draws):
    data = _some(task)
    level = draws.draw(st.integers(1, task.levels))
    rng = np.random.default_rng(1)
    moved, exchanged = task.move(data, level, rng), task.exchange_synonyms(data, level, rng)
    before = task.leaves(data)
    for other in (moved, exchanged):
        assert np.array_equal(task.label(task.leaves(other)), data.labels)
    # Moves keep the symbols and their order; exchanged synonyms of the leaves keep the places.
    after = task.leaves(moved)
    assert all(np.array_equal(a[a != EMPTY], b[b != EMPTY]) for a, b in zip(before, after, strict=True))
    exchanged_leaves = task.leaves(exchanged)
    assert np.array_equal(before == EMPTY, exchanged_leaves == EMPTY)
    if level == 1 and task.levels > 1:  # and the symbols of the level above
        assert np.array_equal(exchanged.rules[0], data.rules[0])
    if task.sparsity == 0:
        assert np.array_equal(after, before)
    if task.synonyms == 1:
        assert np.array_equal(exchanged_leaves, before)


@settings(max_examples=40, deadline=None)
@given(hierarchies())
def test_rules_of_different_symbols_are_disjoint(task):
    for depth, level in enumerate(task.rules):
        above = task.classes if depth == 0 else task.vocabulary
        assert level.tuples.shape == (above, task.synonyms, task.branching)
        tuples = level.tuples.reshape(-1, task.branching)
        assert len(np.unique(tuples, axis=0)) == len(tuples)
        assert np.array_equal(level.parse(level.tuples), np.repeat(np.arange(above)[:, None], task.synonyms, 1))


@pytest.mark.parametrize(
    ("task", "count"),
    [
        # n_c [m (s0 + 1)^s]^((s^L - 1) / (s - 1)), by hand; for B with C(k, s).
        (SparseHierarchy(3, 2, 2, 2, 1, 2, "A"), 2 * (2 * 4) ** 3),
        (SparseHierarchy(3, 2, 2, 2, 1, 2, "B"), 2 * (2 * 6) ** 3),
        (SparseHierarchy(4, sparsity=0), 4 * 4**3),
        (SparseHierarchy(2, 2, 1, 3, 1, 1), 2 * 8),
        (SparseHierarchy(2, 2, 2, 2, 0, 3), 2 * 2**7),
        (SparseHierarchy(3, 3, 1, 1, 2, 3), 3 * 3**3),
    ],
)
def test_there_are_as_many_data_as_the_formula_says(task, count):
    assert task.data_count == count
    leaves = task.leaves(task.sample(count, np.random.default_rng(0)))
    assert len(np.unique(leaves, axis=0)) == count  # all different, and none is missing
    with pytest.raises(InputError, match="count"):
        task.sample(count + 1, np.random.default_rng(0))


def test_large_hierarchies_have_exact_counts():
    task = SparseHierarchy(8, sparsity=4, levels=3)
    assert task.data_count == 8 * (8 * 25) ** 7  # beyond 2^53, and beyond 2^63
    assert len(_some(task)) == 200


@pytest.mark.parametrize("task", [SparseHierarchy(4, sparsity=0), SparseHierarchy(6, sparsity=2)])
def test_training_and_test_data_share_nothing_and_samples_are_nested(task):
    size = min(9000, task.data_count - 50)
    train, test = task.split(size, 4000, np.random.default_rng(3))
    assert len(train) == size
    assert len(test) == min(4000, task.data_count - size)
    leaves = np.concatenate([task.leaves(train), task.leaves(test)])
    assert len(np.unique(leaves, axis=0)) == len(leaves)
    smaller, _ = task.split(50, 10, np.random.default_rng(3))
    assert np.array_equal(task.leaves(smaller), task.leaves(train[:50]))


def test_one_seed_one_hierarchy():
    task, same, other = SparseHierarchy(5), SparseHierarchy(5), SparseHierarchy(5, rule_seed=1)
    assert np.array_equal(task.rules[0].tuples, same.rules[0].tuples)
    assert not np.array_equal(task.rules[0].tuples, other.rules[0].tuples)
    assert task == same
    assert hash(task) == hash(same)


def test_choices_are_uniform():
    # Classes, rules and placements of 20000 of 3e9 data; three chi-squared tests at 1e-3 each, false alarms 3e-3.
    task = SparseHierarchy(6, sparsity=2, levels=2, branching=2)
    data = task.sample(20_000, np.random.default_rng(0))
    for values, kinds in ((data.labels, 6), (data.rules[1], 6), (data.placements[1], 9)):
        counts = np.bincount(values.ravel(), minlength=kinds)
        assert stats.chisquare(counts).pvalue > 1e-3
    # The control: data of one class more than of others by a tenth are found out.
    unequal = np.concatenate([data.labels, data.labels[data.labels == 0][:330]])
    assert stats.chisquare(np.bincount(unequal)).pvalue < 1e-3


def test_placements_of_the_two_kinds():
    assert placement_table("A", 2, 1).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert placement_table("B", 2, 1).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]


def test_inputs_are_whitened_one_hot():
    task = SparseHierarchy(5, sparsity=1)
    data = _some(task, most=20)
    leaves, inputs = task.leaves(data), task.inputs(data)
    c = 1 / math.sqrt(4)
    one_hot = (leaves[..., None] == np.arange(5)).astype(float)
    assert inputs.shape == (20, 16, 5)
    assert inputs == pytest.approx(one_hot * (1 + c) - c)
    assert (leaves != EMPTY).sum(1).tolist() == [4] * 20


def test_labels_of_what_is_no_datum_are_refused():
    task = SparseHierarchy(3, 2, 2, 2, 1, 2)
    leaves = task.leaves(_some(task, most=1))
    for wrong in (np.full_like(leaves, EMPTY), np.where(leaves == EMPTY, 0, leaves)):
        with pytest.raises(InputError, match="leaves"):
            task.label(wrong)
    with pytest.raises(InputError, match="shape"):
        task.label(leaves[:, 1:])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocabulary": 3, "classes": 4, "synonyms": 3}, "v\\^s = 9"),
        ({"vocabulary": 3, "classes": 2, "synonyms": 4}, "synonyms = 4: must be at most v\\^\\(s-1\\) = 3"),
        ({"sparsity": -1}, "sparsity = -1"),
        ({"levels": 0}, "levels = 0"),
        ({"levels": 40}, "levels = 40"),
        ({"vocabulary": 1}, "vocabulary = 1"),
        ({"branching": 30}, "branching = 30"),
        ({"placement": "C"}, "placement = C: must be one of A, B"),
        ({"vocabulary": 2.5}, "vocabulary = 2.5"),
    ],
)
def test_bad_hierarchies_are_told_in_one_line(settings, said):
    with pytest.raises(InputError, match=said) as caught:
        SparseHierarchy(**settings)
    assert "\n" not in str(caught.value)


def test_more_points_than_there_are_data():
    task = SparseHierarchy(4, sparsity=0)
    with pytest.raises(InputError, match="train_size = 255: must be at most 254: srhm-v4-s0=0 has 256 data"):
        task.split(255, 100, np.random.default_rng(0))


def test_names_tell_hierarchies_apart():
    assert SparseHierarchy(6, sparsity=2).name == "srhm-v6-s0=2"
    assert SparseHierarchy(6, 3, 2, 2, 1, 3, "B").name == "srhm-v6-s0=1-n3-m2-L3-B"
