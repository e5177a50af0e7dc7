"""One sentence for what is not a number in range; NumPy's numbers are numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from fqlab.errors import ConfigError, in_range
from fqlab.quant import Grid


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.int16(3), np.array([3])[0]])
def test_whole_numbers_come_back_as_python_s_own(value):
    got = in_range("n", value, 1, 8, integer=True)
    assert type(got) is int
    assert got == 3
    assert type(in_range("n", value, 1, 8)) is int


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), Fraction(1, 2)])
def test_real_numbers_too(value):
    got = in_range("x", value, 0, 1)
    assert type(got) is float
    assert got == 0.5
    with pytest.raises(ConfigError, match=r"^x is .*, but must be a whole number from 0 to 1\.$"):
        in_range("x", value, 0, 1, integer=True)


@pytest.mark.parametrize(
    "value", [True, np.True_, "3", None, 1j, np.float64("nan"), [3], np.array([3, 4]), torch.tensor(3), 9, np.int64(0)]
)
def test_what_is_no_number_in_range(value):
    for integer, kind in ((True, "a whole number"), (False, "a number")):
        with pytest.raises(ConfigError, match=rf"(?s)^n is .*, but must be {kind} from 1 to 8\.$"):
            in_range("n", value, 1, 8, integer=integer)


@pytest.mark.parametrize("value", [4.0, np.float32(4), np.float64(4)])
def test_a_whole_number_with_a_point_is_told_how_to_write_it(value):
    with pytest.raises(ConfigError, match=r"^n is .*4\.0\)?, but must be a whole number from 1 to 8; write 4\.$"):
        in_range("n", value, 1, 8, integer=True)
    with pytest.raises(ConfigError, match=r"^bits is .*, but must be a whole number from 1 to 8; write 4\.$"):
        Grid(value)


def test_bounds_in_words():
    with pytest.raises(ConfigError, match=r"^lr is 0, but must be a number above 0\.$"):
        in_range("lr", 0, 0, open_low=True)
    with pytest.raises(ConfigError, match=r"^lr is 2, but must be a number above 0 and at most 1\.$"):
        in_range("lr", 2, 0, 1, open_low=True)
    with pytest.raises(ConfigError, match=r"^n is -1, but must be a whole number 0 or more\.$"):
        in_range("n", -1, 0, integer=True)
    with pytest.raises(ConfigError, match=r"^n is inf, but must be a whole number 0 or more\.$"):
        in_range("n", float("inf"), 0, integer=True)


@pytest.mark.parametrize("bits", [np.int64(2), np.int8(2), np.uint16(2)])
def test_a_grid_of_numpy_bits_is_the_grid(bits):
    grid = Grid(bits, "sign_magnitude")
    assert grid == Grid(2, "sign_magnitude")
    assert hash(grid) == hash(Grid(2, "sign_magnitude"))
    assert type(grid.bits) is int
    assert (grid.low, grid.high, grid.code_bits) == (-3, 3, 3)
