"""Arrays of a file that are read when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from simcore.errors import FileFormatError
from simcore.files.hdf5 import translated
from simcore.files.stored import StoredFile

SMALL = 2**16
"""Bytes of an array that is read at once, so that a Dataset that is printed shows its numbers."""


class _StoredArray(BackendArray):
    """An array of a file, in the shape that the file has."""

    def __init__(self, stored: StoredFile, path: str, shape: tuple[int, ...], dtype: str) -> None:
        self.stored = stored
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        if not self.stored.file.id.valid:
            rule, remedy = "was closed", "Open it again, or load what is needed before."
            raise FileFormatError("file", self.stored.path, rule, remedy)
        with translated(self.stored.path):
            return self.stored.file[self.path][key]


def lazy_array(stored: StoredFile, path: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array of an open file that is read when it is used.

    FileFormatError if it is missing or has another shape or type.
    """
    with translated(stored.path):
        found = h5py.h5d.open(stored.file.id, path.encode())
        if found.shape != shape or found.dtype != np.dtype(dtype):
            text = f"{path} is {found.dtype}{list(found.shape)}, not {np.dtype(dtype)}{list(shape)}"
            raise ValueError(text)
    return indexing.LazilyIndexedArray(_StoredArray(stored, path, shape, dtype))


def read_small(dataset: xr.Dataset) -> xr.Dataset:
    """Read the small arrays of a Dataset; damage of one is told when it is used."""
    for variable in dataset.variables.values():
        if variable.nbytes <= SMALL:
            with suppress(FileFormatError):
                variable.load()
    return dataset


def held(
    stored: StoredFile,
    dataset_of: Callable[[StoredFile], xr.Dataset],
    drop_variables: str | Iterable[str] | None = None,
) -> xr.Dataset:
    """Return the Dataset of an open file, which closes the file; it is closed if there is none."""
    try:
        dataset = dataset_of(stored)
        dropped = [drop_variables] if isinstance(drop_variables, str) else drop_variables or ()
        dataset = dataset.drop_vars(list(dropped))
    except BaseException:
        stored.close()
        raise
    dataset.set_close(stored.close)
    return dataset
