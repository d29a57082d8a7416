"""Arrays of images and labels as users have them, and what the refusals say to do."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from empirical.data.user_arrays import as_images, as_labels
from theory import InputError


def test_rows_of_pixels_and_of_ones_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"data = x.npz: \(40, 784\): must hold images .*; reshape rows of pixels$"):
        as_images(np.zeros((40, 784)), "x.npz")
    with pytest.raises(InputError, match=r"if there are any$"):
        as_images(np.zeros((4, 9, 28, 28)), "x.npz")
    kinds = np.arange(40) % 10
    with pytest.raises(InputError, match=r"labels = \(40, 10\) float64: must be 40 whole .* argmax\(1\)$"):
        as_labels(np.eye(10)[kinds], 40)
    with pytest.raises(InputError, match=r"must be 40 whole numbers$"):
        as_labels(kinds + 0.5, 40)
    assert as_labels(np.eye(10)[kinds].argmax(1), 40).tolist() == kinds.tolist()
    assert as_labels(kinds[:, None].astype(float), 40).tolist() == kinds.tolist()
