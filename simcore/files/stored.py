"""A file that is held open."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import h5py

from simcore.errors import FileFormatError

from .hdf5 import check_ordinary, check_signature, translated, unreadable
from .sink import Seekable


class StoredFile:
    """An open file, which shows its contents at the time of opening.

    A run in progress replaces its file; the old one stays readable while it is open. Only a copy in
    another process has to open it again, and refuses one that has changed.

    `identity` is its inode, size and time when it was first opened; None takes the present ones.

    Raises
    ------
    FileFormatError
        If there is no such file, it is no HDF5 file, or it has changed.
    """

    def __init__(self, path: str, identity: tuple[int, ...] | None = None) -> None:
        self.path = path
        self.identity = identity or _stamp(path)
        self._place = str(Path(path).absolute())
        try:
            self._bytes = _Bytes(path)
        except OSError as error:
            raise unreadable(path, error) from error
        check_signature(path, self._bytes)
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
        """Close the file; arrays that were not read are lost."""
        self.file.close()
        self._bytes.close()


class _Bytes(Seekable):
    """Bytes of a file for HDF5, which then does not know that the file is open.

    It would not let the same process open the file in another way.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._size = os.fstat(self._descriptor).st_size

    def readinto(self, buffer: Any) -> int:
        done = os.preadv(self._descriptor, [buffer], self._place)
        self._place += done
        return done

    def close(self) -> None:
        self._close()
        super().close()


def _stamp(path: str) -> tuple[int, ...]:
    status = check_ordinary(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
