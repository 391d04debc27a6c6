"""Arrays of a file that are read when they are used: a backend of xarray."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from simcore.errors import FileFormatError
from simcore.files.hdf5 import reading, translated

__all__ = ["RunBackend", "StoredFile", "lazy_array"]


class StoredFile:
    """An open file, which goes on to show what it held when it was opened.

    A run that is still going replaces its file; the old one stays readable while it is open. Only a
    copy in another process has to open it again, and refuses one that has changed.

    Parameters
    ----------
    path
        The file.
    identity
        What `stamp` was when it was first opened; None takes the present one.
    """

    def __init__(self, path: str, identity: tuple[int, ...] | None = None) -> None:
        self.path = path
        self._place = str(Path(path).absolute())
        self.identity = identity or _stamp(path)
        self._bytes = _Bytes(path)
        with translated(path):
            self.file = h5py.File(self._bytes, "r")
        if _stamp(path) != self.identity:
            self.close()
            rule = "has changed since it was opened"
            raise FileFormatError("file", path, rule, "Open it again, or load before you copy.")

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredFile, (self._place, self.identity)

    def __deepcopy__(self, memo: object) -> StoredFile:
        return self

    def close(self) -> None:
        """Close the file; what was not read can't be read any more."""
        self.file.close()
        self._bytes.close()


class _Bytes(io.RawIOBase):
    """The bytes of a file for HDF5, which then does not know that it has the file open.

    It would refuse others of the same process that open the same file in another way.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._size = os.fstat(self._descriptor).st_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        done = os.preadv(self._descriptor, [buffer], self._at)
        self._at += done
        return done

    def close(self) -> None:
        self._close()
        super().close()


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except OSError as error:
        rule = f"can't be read ({error.strerror})"
        raise FileFormatError("file", path, rule, "Check the name and the permissions.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


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


class RunBackend(BackendEntrypoint):
    """Opens the file of a run as `simcore.open_run` does: ``xr.open_dataset(path, engine=...)``."""

    description = "Open the results of simcore (.h5)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables")

    def open_dataset(
        self, filename_or_obj: Any, *, drop_variables: str | Iterable[str] | None = None
    ) -> xr.Dataset:
        """Return the Dataset of a run; its arrays are read when they are used."""
        from .open_run import stored_dataset

        path = os.fspath(filename_or_obj)
        with reading(path):  # says what is wrong with a file in words
            pass
        stored = StoredFile(path)
        try:
            with translated(path):
                dataset = stored_dataset(stored)
        except BaseException:
            stored.close()
            raise
        dropped = [drop_variables] if isinstance(drop_variables, str) else drop_variables or ()
        dataset = dataset.drop_vars(list(dropped))
        dataset.set_close(stored.close)
        return dataset


def lazy_array(stored: StoredFile, path: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array of an open file that is read when it is used.

    Raises
    ------
    FileFormatError
        If it is missing or has another shape or type.
    """
    with translated(stored.path):
        found = h5py.h5d.open(stored.file.id, path.encode())
        if found.shape != shape or found.dtype != np.dtype(dtype):
            text = f"{path} is {found.dtype}{list(found.shape)}, not {np.dtype(dtype)}{list(shape)}"
            raise ValueError(text)
    return indexing.LazilyIndexedArray(_StoredArray(stored, path, shape, dtype))
