"""The power of the swap test on planted tables: grows with nets and effect, and is the level without one."""

from __future__ import annotations

import numpy as np
import pytest

from compare import swap_power
from theory.common.errors import InputError


def test_more_nets_and_a_larger_effect_are_seen_more_often() -> None:
    few, more, most = (swap_power(n, 1, 0.95, d, tables=120) for n, d in ((6, 0.5), (9, 0.5), (9, 0.0)))
    assert few.right.value + 0.05 < more.right.value
    assert more.right.value + 0.05 < most.right.value
    assert most.wrong.value == 0
    turned = swap_power(9, 1, 0.0, 0.95, tables=120)
    assert turned.right.value == pytest.approx(most.right.value, abs=0.2)
    again = swap_power(9, 1, 0.95, 0.0, tables=120, rng=np.random.default_rng(0))
    assert again == most


def test_hardly_any_difference_is_seen_as_often_as_the_level_says() -> None:
    """Of 300 at 0.05, 26 or more are told apart once in 200 times."""
    null = swap_power(7, 1, 0.7, 0.7001, tables=300)
    assert 300 * (null.right.value + null.wrong.value) < 26


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="nets = 2"):
        swap_power(2, 1, 0.9, 0.0)
    with pytest.raises(InputError, match="r = 1.2"):
        swap_power(7, 1, 1.2, 0.0)
    with pytest.raises(InputError, match="nothing to tell apart"):
        swap_power(7, 1, 0.9, -0.9)
