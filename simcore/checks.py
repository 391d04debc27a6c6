"""Checks of single values, shared by whatever is validated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError

__all__ = ["check_choice", "check_integer", "plain", "shown", "sorted_grid"]


def plain(x: float) -> float | str:
    """Return a number as JSON can hold it: infinity as "inf"."""
    return "inf" if math.isinf(x) else x


def shown(values: Sequence[float]) -> str:
    """Return values as a comma list."""
    return ",".join(f"{x:g}" for x in values)


def sorted_grid(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return values sorted, with −0 as 0; refuse NaN, emptiness and duplicates."""
    ordered = tuple(sorted(x + 0 if isinstance(x, int) else x + 0.0 for x in values))
    if any(x != x for x in ordered):
        raise InputError(name, "nan", "must be a number", "Remove the NaN.")
    if not ordered and name != "width":
        raise InputError(name, "none", "is empty", "Give at least one value.")
    if len(set(ordered)) < len(ordered):
        raise InputError(name, shown(ordered), "names a value twice", "Name each value once.")
    return ordered


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise InputError unless `value` is a whole number between two limits."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(name, value, "must be a whole number", "Give an integer.")
    if not low <= value <= high:
        raise InputError(
            name, value, f"must be between {low} and {high}", "Choose a value in that range."
        )


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of those allowed."""
    if value not in allowed:
        raise InputError(name, value, "is not known", f"Choose one of: {', '.join(allowed)}.")
