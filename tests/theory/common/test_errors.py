"""Bad input is told in one line: the parameter, its value, what is allowed."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import InputError
from theory.common.errors import require_choice, require_integer, require_real

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (3, "width = 3: must be odd"),
        (2.5, "width = 2.5: must be odd"),
        ("wide", "width = wide: must be odd"),
        ("", "width = '': must be odd"),
        (None, "width = None: must be odd"),
        ((1, 2), "width = (1, 2): must be odd"),
    ],
)
def test_message_is_one_line_of_three_parts(value: object, line: str) -> None:
    error = InputError("width", value, "must be odd")
    assert str(error) == line
    assert (error.parameter, error.value, error.allowed) == ("width", value, "must be odd")


def test_the_error_is_a_value_error_that_survives_a_process_boundary() -> None:
    """Sweeps raise it in worker processes, from where exceptions come back as copies."""
    error = InputError("cutoff", 1, "must be at least 2")
    twin = copy.copy(error)  # by the same protocol
    assert isinstance(twin, InputError)
    assert isinstance(twin, ValueError)
    assert (twin.parameter, twin.value, twin.allowed, str(twin)) == ("cutoff", 1, "must be at least 2", str(error))


@QUICK
@given(value=st.integers(-50, 50), low=st.integers(-20, 20), span=st.integers(0, 20))
def test_whole_numbers_pass_exactly_within_their_bounds(value: int, low: int, span: int) -> None:
    for given_value in (value, np.int32(value)):
        if low <= value <= low + span:
            found = require_integer("n", given_value, low, low + span)
            assert (found, type(found)) == (value, int)
        else:
            with pytest.raises(InputError, match=rf"^n = .*at least {low} and at most {low + span}$"):
                require_integer("n", given_value, low, low + span)


@pytest.mark.parametrize("value", [2.0, np.float64(2), "2", None, True, np.nan, [2], 2j])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="must be a whole number, at least 0$") as caught:
        require_integer("n", value, 0)
    assert caught.value.parameter == "n"


@QUICK
@given(value=st.floats(-10, 10), above=st.floats(-10, 10), maximum=st.floats(-10, 10))
def test_real_numbers_pass_exactly_within_their_bounds(value: float, above: float, maximum: float) -> None:
    if above < value <= maximum:
        assert require_real("x", np.float64(value), above=above, maximum=maximum) == value
    else:
        with pytest.raises(InputError, match=r"^x = .*must be a finite number, above .*, at most "):
            require_real("x", value, above=above, maximum=maximum)


def test_the_lower_bound_is_in_the_range_and_the_open_one_is_not() -> None:
    assert require_real("x", 0, minimum=0) == 0.0
    with pytest.raises(InputError, match="x = 0: must be a finite number, above 0$"):
        require_real("x", 0, above=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "one", None, [1.0], 1j])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="must be a finite number$"):
        require_real("x", value)


def test_choices_are_listed() -> None:
    assert require_choice("mode", "b", ("a", "b")) == "b"
    for wrong in ("c", "", None, 3):
        with pytest.raises(InputError, match=r"must be one of a, b$"):
            require_choice("mode", wrong, ("a", "b"))
