import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simcore.cli.values import (
    parse_float,
    parse_floats,
    parse_integer,
    parse_integers,
    parse_profile,
    parse_weight_scale,
)

from simcore.errors import InputError

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("4096", 4096), ("1e7", 10**7), ("4_096", 4096), (" 12 ", 12), ("2.5e3", 2500), ("-3", -3)],
)
def test_integers_as_people_write_them(text: str, value: int) -> None:
    assert parse_integer("trials", text) == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "nan", "inf", "1e999999999", "0x10", "1,2"])
def test_not_an_integer(text: str) -> None:
    with pytest.raises(InputError, match="whole number"):
        parse_integer("trials", text)


@given(st.integers(-(10**29), 10**29))
def test_every_integer_comes_back(value: int) -> None:
    assert parse_integer("seed", str(value)) == value
    assert parse_integer("seed", f"{value:_}") == value


@given(FINITE)
def test_every_float_comes_back(value: float) -> None:
    assert parse_float("q0", repr(value)) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "one", "1e999"])
def test_not_a_finite_number(text: str) -> None:
    with pytest.raises(InputError, match="finite number"):
        parse_float("q0", text)


@pytest.mark.parametrize("text", ["nan", "-inf", "infinite"])
def test_infinite_means_plus_infinity(text: str) -> None:
    assert parse_float("k", "inf", infinite=True) == math.inf
    with pytest.raises(InputError, match="number or inf"):
        parse_float("k", text, infinite=True)


@given(st.lists(FINITE, min_size=1, max_size=5))
def test_lists_keep_values_and_order(values: list[float]) -> None:
    assert parse_floats("q0", ",".join(map(repr, values))) == tuple(values)


def test_a_range_holds_what_one_would_type() -> None:
    assert parse_floats("sigma_w", "1.2:1.6:9") == (
        1.2, 1.25, 1.3, 1.35, 1.4, 1.45, 1.5, 1.55, 1.6,
    )  # fmt: skip
    assert parse_floats("k", "0:0.3:4,inf", infinite=True) == (0.0, 0.1, 0.2, 0.3, math.inf)
    assert parse_integers("width", "128:1024:8") == (128, 256, 384, 512, 640, 768, 896, 1024)
    assert parse_integers("width", "1e3:2e3:2,4096") == (1000, 2000, 4096)


@given(FINITE, FINITE, st.integers(2, 50))
def test_a_range_is_even_inclusive_and_rounded(start: float, stop: float, count: int) -> None:
    values = parse_floats("q0", f"{start!r}:{stop!r}:{count}")
    assert len(values) == count
    assert values[0] == start
    assert values[-1] == stop
    scale = max(abs(start), abs(stop))
    for i, value in enumerate(values):
        assert i in (0, count - 1) or value == float(f"{value:.12g}")
        exact = Fraction(start) + (Fraction(stop) - Fraction(start)) * Fraction(i, count - 1)
        # Rounding to 12 digits, and below the normal floats to their last bit.
        assert abs(Fraction(value) - exact) <= Fraction(scale) / 10**11 + Fraction(5e-324)


@pytest.mark.parametrize(
    "text", ["", ",", "1,", ",1", "1::3", "1:2", "1:2:1", "1:2:3:4", "1:2:x", "1:2:1e9", "a:b:3"]
)
def test_malformed_lists(text: str) -> None:
    with pytest.raises(InputError):
        parse_floats("sigma_b", text)
    with pytest.raises(InputError):
        parse_integers("width", text)


def test_a_range_of_integers_must_hit_them() -> None:
    with pytest.raises(InputError, match="whole numbers"):
        parse_integers("width", "1:10:5")


def test_infinity_is_no_end_of_a_range() -> None:
    with pytest.raises(InputError, match="finite ends"):
        parse_floats("k", "0:inf:3", infinite=True)


def test_a_list_has_a_limit() -> None:
    with pytest.raises(InputError, match="at most"):
        parse_floats("q0", "1:2:60000,3:4:60000")


def test_profiles() -> None:
    assert parse_profile("widths", "784,512x9") == (784, *[512] * 9)
    assert parse_profile("widths", "8") == (8,)


@pytest.mark.parametrize("text", ["", "8x", "x3", "8x0", "8x-1", "8x1e12", "8xx2", "8,,8", "8x2x2"])
def test_malformed_profiles(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_profile("widths", text)
    assert caught.value.field == "widths"


def test_critical_stands_alone() -> None:
    assert parse_weight_scale("sigma_w", "critical") == "critical"
    assert parse_weight_scale("sigma_w", "1.5") == (1.5,)
    with pytest.raises(InputError, match="alone"):
        parse_weight_scale("sigma_w", "1.5,critical")


def test_the_ends_of_a_range_stay_as_typed() -> None:
    assert parse_floats("k", "-0.9999999999999:0:3") == (-0.9999999999999, -0.5, 0.0)
    assert parse_floats("correlation", "0.99999999999995:0.5:2") == (0.99999999999995, 0.5)
    with pytest.raises(InputError, match="must have finite ends"):
        parse_floats("k", "0:inf:2", infinite=True)
