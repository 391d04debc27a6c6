"""Matrices from memory: arrays, tensors and tables of any library."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError

Numbers = npt.NDArray[Any]


def array_of(field: str, given: Any) -> tuple[str, Numbers]:
    """Return what is given in words, for messages, and its numbers.

    PyTorch's tensors may be on a GPU, have gradients and any type; a table may have columns of any
    real numbers, and gaps, which become NaN. InputError if there are no numbers.
    """
    text = f"{type(given).__name__} in memory"
    try:
        return text, _numbers(field, text, given)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = "Give a matrix of numbers, such as an array of NumPy, or name a file."
        raise InputError(field, text, f"is no array ({reason})", remedy) from error


def _numbers(field: str, text: str, given: Any) -> Numbers:
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.double() if given.is_floating_point() else given
    if hasattr(given, "dtypes") and hasattr(given, "columns") and hasattr(given, "to_numpy"):
        return _table(field, text, given)
    if isinstance(given, np.ma.MaskedArray):
        return np.ma.filled(given.astype(np.float64), np.nan)
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError, BufferError):
        if not hasattr(given, "__dlpack__"):
            raise
        return np.from_dlpack(given, device="cpu")


def _table(field: str, text: str, table: Any) -> Numbers:
    """Return the numbers of a table of pandas, or of one that has its methods."""
    for name in table.columns:
        kind = np.asarray(table[name].head(0)).dtype if len(table) else np.dtype(float)
        values = table[name]
        numeric = kind.kind in "buif" or str(values.dtype).lower().startswith(_NUMERIC)
        if not numeric:
            rule = f"has a column '{name}' of the type {values.dtype}, not of real numbers"
            raise InputError(field, text, rule, "Leave that column out.")
    try:
        return np.asarray(table.to_numpy(dtype=np.float64, na_value=np.nan))
    except TypeError:  # other libraries have no such arguments
        return np.asarray(table.to_numpy())


_NUMERIC = ("int", "uint", "float", "bool", "decimal")
"""Beginnings of the names of types of columns that hold numbers, in lower case."""
