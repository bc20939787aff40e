"""Rounding of columns is that of single numbers, in every mode, at every number of places, for either sign."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from transforms.money import DECIMAL, SCALE, RoundingMode, rounded, rounded_column

#: Numbers with up to 12 decimals, many of them exactly between two rounded ones.
NUMBERS = st.builds(
    lambda whole, shift: Decimal(whole * 5 * 10**shift).scaleb(-SCALE), st.integers(-(10**16), 10**16), st.integers(0, SCALE + 2)
) | st.integers(-(10**36), 10**36).map(lambda n: Decimal(n).scaleb(-SCALE))


@pytest.mark.parametrize("mode", [mode for mode in RoundingMode if mode is not RoundingMode.UNNECESSARY])
@settings(max_examples=40)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=20), places=st.integers(0, SCALE))
def test_a_column_is_rounded_like_each_of_its_numbers(mode: RoundingMode, numbers: list[Decimal], places: int) -> None:
    column = pl.Series("a", numbers, dtype=DECIMAL).to_frame().select(rounded_column(pl.col("a"), places=places, mode=mode)).to_series()
    assert column.dtype == DECIMAL
    assert column.to_list() == [rounded(n, places=places, mode=mode) for n in numbers]
