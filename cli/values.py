"""Values as they are typed: integers such as 1e7, lists, ranges start:stop:count, profiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TypeVar

from simcore.api import CRITICAL, FAN_IN, WHOLE
from simcore.errors import InputError

RANGE_DIGITS = 12
"""Significant digits inside a range, so that 0.1 is the 0.1 that one would type."""

MAX_VALUES = 100_000
"""Values of one list or range."""

MAX_LAYERS = 2**24
"""Layers of a profile: one more than a run may have."""

MAX_DIGITS = 30
"""Digits of an integer: beyond every limit, and short of 1e999999999."""

Number = TypeVar("Number", int, float)


def parse_integer(field: str, text: str) -> int:
    """Read a whole number, written 4096, 4_096 or 1e7.

    Raises
    ------
    InputError
        If it is not one. `field` is the parameter it is for.
    """
    try:
        value = Decimal(text.strip())
        if value.is_finite() and value.adjusted() < MAX_DIGITS and value == int(value):
            return int(value)
    except InvalidOperation:
        pass
    raise InputError(field, text, *WHOLE)


def parse_float(field: str, text: str, *, infinite: bool = False) -> float:
    """Read a number; ``inf`` only where `infinite` allows it.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        value = float(text.strip())
    except ValueError:
        value = math.nan
    if math.isfinite(value) or (infinite and value == math.inf):
        return value
    allowed = "a number or inf" if infinite else "a finite number"
    raise InputError(field, text, f"must be {allowed}", "Write it as 0.5 or 1e-20.")


def parse_integers(field: str, text: str) -> tuple[int, ...]:
    """Read whole numbers: a value, a comma list, or start:stop:count."""

    def between(start: int, stop: int, share: Fraction) -> int:
        value = start + (stop - start) * share
        if value.denominator != 1:
            raise InputError(
                field,
                text,
                "must step through whole numbers",
                "Choose a count that divides the range evenly, or list the values.",
            )
        return int(value)

    return _parse_list(field, text, parse_integer, between)


def parse_floats(field: str, text: str, *, infinite: bool = False) -> tuple[float, ...]:
    """Read numbers: a value, a comma list, or start:stop:count."""

    def one(field: str, text: str) -> float:
        return parse_float(field, text, infinite=infinite)

    def between(start: float, stop: float, share: Fraction) -> float:
        if math.isinf(start) or math.isinf(stop):
            raise InputError(
                field, text, "must have finite ends", "Add inf after a comma: 0:1:5,inf."
            )
        exact = Fraction(start) + (Fraction(stop) - Fraction(start)) * share
        return float(f"{float(exact):.{RANGE_DIGITS}g}")

    return _parse_list(field, text, one, between)


def parse_bias_scale(field: str, text: str) -> tuple[float, ...] | str:
    """Read σ_b; ``fan-in`` is σ_w/√n."""
    return FAN_IN if text.strip() == FAN_IN else parse_floats(field, text)


def parse_weight_scale(field: str, text: str) -> tuple[float, ...] | str:
    """Read σ_w; ``critical`` is the norm-preserving value."""
    if text.strip() == CRITICAL:
        return CRITICAL
    if any(item.strip() == CRITICAL for item in text.split(",")):
        raise InputError(
            field,
            text,
            f"must be numbers, or {CRITICAL} alone",
            "Run the critical weights by themselves.",
        )
    return parse_floats(field, text)


def parse_profile(field: str, text: str) -> tuple[int, ...]:
    """Read the width of each layer: 784,512x9 is 784 and nine times 512."""
    widths: list[int] = []
    for item in _items(field, text):
        width, times, repeat = item.partition("x")
        count = parse_integer(field, repeat) if times else 1
        if not 1 <= count <= MAX_LAYERS - len(widths):
            rule = f"must name 1 to {MAX_LAYERS} layers"
            raise InputError(field, text, rule, "Write it as 784,512x9.")
        widths += [parse_integer(field, width)] * count
    return tuple(widths)


def _parse_list(
    field: str,
    text: str,
    one: Callable[[str, str], Number],
    between: Callable[[Number, Number, Fraction], Number],
) -> tuple[Number, ...]:
    values: list[Number] = []
    for item in _items(field, text):
        ends, count = _range(field, item)
        if len(values) + count > MAX_VALUES:
            raise InputError(field, text, f"must be at most {MAX_VALUES} values", "Take fewer.")
        if count == 1:
            values.append(one(field, item))
        else:
            start, stop = one(field, ends[0]), one(field, ends[1])
            steps: list[Number] = [
                between(start, stop, Fraction(i, count - 1)) for i in range(count)
            ]
            steps[0], steps[-1] = start, stop
            values += steps
    return tuple(values)


def _items(field: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        rule = "is empty" if len(items) == 1 else "has a comma without a value"
        raise InputError(field, text, rule, "Write it as 1, as 1,2,3 or as 1:3:5.")
    return items


def _range(field: str, item: str) -> tuple[tuple[str, str], int]:
    """Split start:stop:count into its ends and the count, which is 1 for a single value."""
    parts = item.split(":")
    if len(parts) == 1:
        return (item, item), 1
    remedy = "Five values from 1 to 3 are written 1:3:5."
    if len(parts) != 3 or not all(part.strip() for part in parts):
        raise InputError(field, item, "must be start:stop:count", remedy)
    count = parse_integer(field, parts[2])
    if not 2 <= count <= MAX_VALUES:
        raise InputError(field, item, f"must have a count between 2 and {MAX_VALUES}", remedy)
    return (parts[0], parts[1]), count
