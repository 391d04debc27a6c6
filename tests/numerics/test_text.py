"""Numbers as text."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcore.numerics.text import counted, plain, with_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.95421, 0.00032, "0.95421(32)"),
        (-46.0517, 0.12, "-46.05(12)"),
        (0.5, 0.0996, "0.50(10)"),
        (1234.5, 56.0, "1234(56)"),
        (1.0, 0.0, "1"),
        (0.25, math.nan, "0.25"),
        (math.nan, math.nan, "-"),
        (4.1234e-21, 2e-23, "4.123(20)e-21"),
        (0.0, 0.004, "0.0000(40)"),
        (3.5e8, 2e6, "3.500(20)e+08"),
        (1.0, 1e-20, "1 ± 1.0e-20"),
    ],
)
def test_values_with_errors(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text


@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300))
def test_a_printed_value_is_right_within_its_error(value: float, error: float) -> None:
    text = with_error(value, error)
    number, _, rest = text.partition("(")
    power = int(rest.partition("e")[2] or 0)
    shown = Decimal(number.partition(" ")[0]).scaleb(power)
    assert abs(shown - Decimal(value)) <= Decimal(error) + abs(Decimal(value)) * Decimal("1e-14")


def test_undefined_is_a_dash() -> None:
    assert plain(math.nan) == "-"


def test_one_is_singular() -> None:
    assert [counted(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
