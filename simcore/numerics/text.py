"""Numbers as people read them."""

from __future__ import annotations

import math

NOTHING = "-"
"""Text of an undefined value."""

SMALLEST_ERROR = 1e-14
"""Errors smaller than this, relative to the value, are lost among its digits."""


def plain(value: float, digits: int = 6) -> str:
    """Return a number with up to `digits` significant digits; NaN is a dash."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}g}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural has an s: 1 trial, 2 trials."""
    return f"{number} {noun}{'s' * (number != 1)}"


def with_error(value: float, error: float) -> str:
    """Return a value with its standard error in parentheses, in units of the last two digits.

    0.95421 ± 0.00032 is 0.95421(32). Without a usable error the value stands alone.

    The library `uncertainties` gives the same text for most values, but 1.0(0) and 0.25(nan) where
    there is no error, 1.23(56)e+03 for 1234(560), and no ± where the error is lost in the digits.
    """
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0.0:
        return plain(value)
    large = max(abs(value), error)
    if error < large * SMALLEST_ERROR or not 1e-280 < large < 1e280:
        return f"{value:.15g} ± {error:.1e}"
    if 1e-3 <= large < 1e6:
        return _in_parentheses(value, error)
    power = math.floor(math.log10(large))
    scale = 10.0**power
    return f"{_in_parentheses(value / scale, error / scale)}e{power:+03d}"


def _in_parentheses(value: float, error: float) -> str:
    # The exponent is that of the error once it is rounded: 0.0996 is 0.10, not 0.099.
    decimals = 1 - int(f"{error:.1e}".partition("e")[2])
    if decimals <= 0:
        return f"{value:.0f}({error:.0f})"
    return f"{value:.{decimals}f}({error * 10.0**decimals:.0f})"
