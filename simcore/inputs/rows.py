"""Inputs from files: a matrix whose rows are inputs, notes on it, and its digest.

Rows are numbered from 0 everywhere.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import InputError

from .matrices import few, matrix_of, row_batches

Floats = npt.NDArray[np.float64]

_LARGEST = 1e100
"""Largest magnitude of a value, and 1/smallest of a row: products of four must not overflow."""


def read_inputs(source: Any) -> Floats:
    """Read a matrix, float64, shape (M, N₀), C order, whose rows are inputs.

    The source is FILE or FILE:DATASET, or an array in memory (`memory.array_of`).

    The suffix of a file names its format: .npy, .npz, .h5, .hdf5, or .csv (commas, at most one
    header line, which holds no number and not only missing values). DATASET is needed only where an
    archive holds several arrays, or an HDF5 file several matrices of numbers, and none is called
    ``inputs``. All values are finite; a row is zero, or its largest magnitude lies between 1e-100
    and 1e100. InputError if there is no such file or dataset, it can't be read, or it breaks one of
    these rules.
    """
    text, inputs = matrix_of("inputs", source)
    _check_magnitudes(text, inputs)
    return inputs


def _check_magnitudes(text: str, inputs: Floats) -> None:
    """Refuse rows whose squares could leave the range of float64."""
    largest = np.maximum(inputs.max(axis=1), -inputs.min(axis=1))
    least = 1.0 / _LARGEST
    for wrong, what in (
        (largest > _LARGEST, f"with values beyond {_LARGEST:g} in magnitude"),
        ((largest > 0.0) & (largest < least), f"that are below {least:g} throughout but not zero"),
    ):
        if wrong.any():
            first = np.flatnonzero(wrong)[0]
            rule = f"has {np.count_nonzero(wrong)} rows {what}, the first row {first}, from 0"
            raise InputError("inputs", text, rule, "Rescale the inputs.")


def notes(inputs: Floats) -> list[str]:
    """Return notes on inputs: zero rows, constant rows, a first row that looks like a header."""
    low, high = inputs.min(axis=1), inputs.max(axis=1)
    zero = (low == 0.0) & (high == 0.0)
    constant = (low == high) & ~zero
    kinds = (
        (zero, "zero", "a zero input has no correlation with any other"),
        (
            constant,
            "constant (all components equal)",
            "with k = inf constant inputs lie in the null space of the weights",
        ),
    )
    found = [_note(rows, kind, meaning) for rows, kind, meaning in kinds if rows.any()]
    # pandas writes such a header for a table whose columns have no names.
    if inputs.shape[1] > 1 and (inputs[0] == np.arange(inputs.shape[1])).all():
        last = inputs.shape[1] - 1
        found.append(f"inputs: row 0 counts from 0 to {last}; remove it if it is a CSV header")
    return found


def _note(rows: npt.NDArray[np.bool_], kind: str, meaning: str) -> str:
    which = np.flatnonzero(rows).tolist()
    verb, noun = ("is", "row") if len(which) == 1 else ("are", "rows")
    return (
        f"inputs: {len(which)} of {rows.size} rows {verb} {kind} ({noun} {few(which)}); {meaning}"
    )


def digest(inputs: Floats) -> str:
    """Return a digest of inputs that is the same for the same numbers on every machine.

    SHA-256, in hexadecimal, of M and N₀ (64-bit) and the values row by row (float64), all
    little-endian, with −0 as 0.
    """
    record = hashlib.sha256(struct.pack("<2Q", *inputs.shape))
    for rows in row_batches(len(inputs), inputs.shape[1]):
        # Adding 0 turns −0 into 0.
        record.update((inputs[rows] + 0.0).astype("<f8").tobytes())
    return record.hexdigest()
