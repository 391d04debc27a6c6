"""Checks of single arguments of the theory's functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError
from simcore.physics.parameters import MAX_DEPTH, SCALE_LIMITS, is_masked, number, whole

from .law import FloatArray

MEAN_SQUARES = (SCALE_LIMITS[0] ** 2, SCALE_LIMITS[1] ** 2)
"""Smallest and largest mean square of an input."""


def array_of(field: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return values as an array of any type; InputError if they make none of numbers alone."""
    try:
        items = [values] if hasattr(values, "dtype") else np.asarray(values, dtype=object).ravel()
        if any(is_masked(item) for item in items):
            raise InputError(field, values, "holds masked values", "Leave them out.")
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # unequal rows; a tensor of PyTorch
        if isinstance(error, InputError):
            raise
        rule = f"is no array ({error})"
        raise InputError(field, values, rule, "Give numbers, or an array of NumPy.") from error
    # NumPy takes a truth value for 0 or 1 among numbers.
    if array.dtype.kind in "iuf" and any(
        isinstance(item, bool) or getattr(item, "dtype", None) == np.bool_ for item in items
    ):
        raise InputError(field, values, "holds a truth value", "Give numbers alone.")
    return array


def numbers(field: str, values: npt.ArrayLike) -> FloatArray:
    """Return real numbers of any type as an array; InputError if one is none."""
    array = array_of(field, values)
    if array.dtype.kind not in "iuf":
        found = [number(field, x) for x in array.ravel().tolist()]
        array = np.reshape(found, array.shape)
    return np.asarray(array, dtype=np.float64)


def within(field: str, value: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """Return values as an array; InputError if one lies outside of [low, high]."""
    array = numbers(field, value)
    outside = array[~((array >= low) & (array <= high))]
    if outside.size:
        rule = f"must be between {low:g} and {high:g}"
        remedy = "Correlations lie in [-1, 1], distances are 1 - c, q is a mean square."
        raise InputError(field, float(outside[0]), rule, remedy)
    return array


def single(field: str, value: Any, low: float, high: float) -> float:
    """Return one number; InputError if it is none, or outside of [low, high]."""
    return float(within(field, number(field, value), low, high))


def mean_square(field: str, value: Any) -> float:
    """Return the mean square of an input; InputError if it is out of range."""
    return single(field, value, *MEAN_SQUARES)


def lengths(q1: float, q2: float | None) -> tuple[float, float]:
    """Return the mean squares of a pair of inputs; `q2` None is equal lengths."""
    first = mean_square("q1", q1)
    return first, first if q2 is None else mean_square("q2", q2)


def overlaps(distance: float | None, correlation: float | None) -> tuple[float, float]:
    """Return 1 − c₀ and c₀, the one as given, the other from it."""
    if distance is not None and correlation is None:
        given = single("distance", distance, 0.0, 2.0)
        return given, 1.0 - given
    if correlation is not None and distance is None:
        given = single("correlation", correlation, -1.0, 1.0)
        return 1.0 - given, given
    field, rule = "distance", "must be given if correlation is not, and only then"
    raise InputError(field, distance, rule, "Give one of distance (1 - c0) and correlation (c0).")


def layers(depth: int) -> int:
    """Return a depth; InputError unless it is a whole number of layers that is allowed."""
    return whole("depth", depth, 1, MAX_DEPTH)


def whole_numbers(
    field: str, values: Sequence[int] | npt.NDArray[np.integer], meaning: str
) -> npt.NDArray[np.integer]:
    """Return integers of at least 1, one for each layer, as an array.

    `meaning` is the name of one of them, for the message.
    """
    array = array_of(field, values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or array.min() < 1:
        rule = "must be a sequence of integers of at least 1"
        raise InputError(field, values, rule, f"Give the {meaning} of each layer.")
    return array
