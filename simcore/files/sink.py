"""Files under HDF5."""

from __future__ import annotations

import io
import os
from typing import Any


class Seekable(io.RawIOBase):
    """Place and size of a file for HDF5."""

    _place = _size = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place


class Sink(Seekable):
    """A file for HDF5 that ignores all writes after one that failed.

    HDF5 can't close a file whose writes fail, and keeps its descriptor until the process ends.

    The descriptor is that of a new file, and is not closed here.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._error: OSError | KeyboardInterrupt | None = None

    def check(self) -> None:
        """Raise the error that stopped the writing, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any, /) -> int:
        """Write at the place; an error is kept for `check`."""
        rest = memoryview(data).cast("B")
        written, end = len(rest), self._place + len(rest)
        try:
            while len(rest) and self._error is None:
                rest = rest[os.pwrite(self._descriptor, rest, end - len(rest)) :]
        except (OSError, KeyboardInterrupt) as error:
            self._error = error
        self._place = end
        self._size = max(self._size, end)
        return written

    def readinto(self, buffer: Any, /) -> int:
        """Read at the place; zeros where nothing was written."""
        room = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(room), self._place)
        room[:] = found.ljust(len(room), b"\0")
        self._place += len(room)
        return len(room)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size."""
        self._size = self._place if size is None else size
        try:
            if self._error is None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._error = error
        return self._size

    def writable(self) -> bool:
        """Return True."""
        return True
