"""The slopes of the activation φ(x) = s₊ max(x, 0) + s₋ min(x, 0): names, values and limits.

ReLU has the slopes 1 and 0. Those of shaped ReLU, s± = 1 + c±/√N, follow the width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simcore.errors import InputError

from .parameters import correlation_strength, number, several
from .parameters import norm_preserving_sigma_w as of_relu

Slopes = tuple[float, float]
"""s₊ and s₋."""

RELU: Slopes = (1.0, 0.0)
SHAPED = "shaped:"
LIMITS = (1e-6, 1e6)
"""Smallest and largest s₊, and largest |s₋|: fourth powers stay in float32."""

_NAMED = {"relu": "1,0", "abs": "1,-1", "linear": "1,1"}
_REMEDY = "Write 1,0.2, or one of relu, leaky:0.01, abs, linear, shaped:0,-1."


def parse_slopes(given: Any) -> str:
    """Return slopes as a run holds them: ``"1,0.2"`` for s₊ and s₋, or ``"shaped:0,-1"`` for c±.

    `given` is such a text, a name or a pair of numbers.

    Raises
    ------
    InputError
        If it is none of these, or a slope is out of range.
    """
    if not isinstance(given, str):
        first, second = _checked(_pair([number("slopes", x) for x in several(given)], given))
        return f"{_text(first)},{_text(second)}"
    words = given.strip()
    if words.startswith("leaky:"):
        words = f"1,{words.removeprefix('leaky:')}"
    shaped = words.startswith(SHAPED)
    texts = _NAMED.get(words, words.removeprefix(SHAPED)).split(",")
    try:
        values = _pair([float(text) for text in texts], given)
    except ValueError:
        raise InputError("slopes", given, "is not known", _REMEDY) from None
    first, second = values if shaped else _checked(values)
    return f"{SHAPED * shaped}{_text(first)},{_text(second)}"


def slopes_at(text: str | None, width: int) -> Slopes:
    """Return the slopes that a text of `parse_slopes` has in layers of a width; None is ReLU."""
    if text is None:
        return RELU
    shape = shape_of(text)
    if shape is None:
        return _two(text)
    return _checked((1.0 + shape[0] / math.sqrt(width), 1.0 + shape[1] / math.sqrt(width)))


def shape_of(text: str) -> tuple[float, float] | None:
    """Return c₊ and c₋ of a text of `parse_slopes`; None if it is not that of shaped ReLU."""
    return _two(text.removeprefix(SHAPED)) if text.startswith(SHAPED) else None


def _two(text: str) -> tuple[float, float]:
    first, second = (float(x) for x in text.split(","))
    return first, second


def check_slopes(given: Any) -> Slopes:
    """Return two slopes as numbers; InputError unless they are in range."""
    return _checked(_pair([float(number("slopes", x)) for x in several(given)], given))


def silent(slopes: Slopes) -> bool:
    """Return whether an inactive node sends 0, so that signals can die."""
    return slopes[1] == 0.0


def mean_square(slopes: Slopes) -> float:
    """Return A = ½(s₊² + s₋²), E φ(z)² of a standard normal z; ½ for ReLU."""
    return 0.5 * (slopes[0] ** 2 + slopes[1] ** 2)


def unevenness(slopes: Slopes) -> float:
    """Return η = (s₊ − s₋)²/(s₊² + s₋²): 1 for ReLU, 0 for a linear φ, 2 for an even one."""
    return (slopes[0] - slopes[1]) ** 2 / (slopes[0] ** 2 + slopes[1] ** 2)


def norm_preserving_sigma_w(k: float, slopes: Slopes = RELU) -> float:
    """Return the σ_w that keeps the mean squared pre-activation, σ_w² = 1/[A(1 − ηg/π)].

    theory.md 1, without bias, −1 < k ≤ ∞.
    """
    if slopes == RELU:
        return of_relu(k)
    lost = correlation_strength(k) * (slopes[0] - slopes[1]) ** 2 / (2.0 * math.pi)
    return 1.0 / math.sqrt(mean_square(slopes) - lost)


def _pair(values: Sequence[float], given: Any) -> Slopes:
    if len(values) != 2 or not all(map(math.isfinite, values)):
        raise InputError("slopes", str(given), "must be two finite numbers", _REMEDY)
    return float(values[0]) + 0.0, float(values[1]) + 0.0


def _checked(slopes: Slopes) -> Slopes:
    low, high = LIMITS
    first, second = slopes
    if not (low <= first <= high and abs(second) <= high):
        rule = f"must have s+ between {low:g} and {high:g}, and s- up to {high:g} in size"
        remedy = "Signs and sides may be swapped: -s+,-s- and s-,s+ have the law of s+,s-."
        raise InputError("slopes", f"{_text(first)},{_text(second)}", rule, remedy)
    return slopes


def _text(value: float) -> str:
    """Return a number with all its digits, a whole one without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
